"""Which series a night reports on, and for which range each.

Those that it has collected, histories from their first stored row on, since models read all of
them; finer candles and open interest that imports or streams have stored, which models read beside
them; and the liquidations of its symbols and exchanges, wherever a stream has ever listened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd

from brain.errors import InputError
from brain.series.bars import parse_timeframe
from brain.series.store.store import SeriesStore
from brain.settings import Settings
from market.collection.plan import SENTIMENT
from market.collection.results import SeriesResult
from market.quality.liquidations_check import LIQUIDATIONS, listened_series
from market.quality.record import QualityRecord
from market.quality.sentiment_check import INDICES
from market.quality.store_check import SeriesName, check_store
from market.sentiment.coins import present_coin
from market.sentiment.publishers.catalogue import INDEX

__all__ = ["night_records"]

_DAY = pd.Timedelta(days=1)
_HOUR = pd.Timedelta(hours=1)
# The kinds of which a finer timeframe stands for what the bars' own lacks.
_FINER = ("candles", "open_interest")

_Range = tuple[pd.Timestamp, pd.Timestamp]


@dataclass
class _Checked:
    """The series to check.

    Attributes:
        ranges: by series.
        uncollected: those that nobody collects.
        remarks: of posts and indices.
    """

    ranges: dict[SeriesName, _Range] = field(default_factory=dict)
    uncollected: set[SeriesName] = field(default_factory=set)
    remarks: dict[SeriesName, str] = field(default_factory=dict)

    def by_range(self) -> Iterator[tuple[_Range, list[SeriesName]]]:
        """The series of each range that is one, sorted."""
        series: dict[_Range, list[SeriesName]] = {}
        for name, limits in self.ranges.items():
            series.setdefault(limits, []).append(name)
        for limits, names in series.items():
            if limits[0] < limits[1]:
                yield limits, sorted(names)


def night_records(
    store: SeriesStore, settings: Settings, results: Sequence[SeriesResult]
) -> tuple[QualityRecord, ...]:
    """The records of a night's series.

    Args:
        store: is read, and the records are kept there.
        settings: hours, timeframe and renamings of the collection.
        results: of the collection.

    Raises:
        SeriesStoreError: the store can't be read or written.
    """
    now = pd.Timestamp.now(tz="UTC")
    checked = _Checked()
    of_exchanges = [result for result in results if result.kind != SENTIMENT]
    _add_collected(checked, store, of_exchanges, now)
    _add_stored(checked, store, settings, of_exchanges, now)
    _add_sentiment(checked, settings, [r for r in results if r.kind == SENTIMENT], now)
    return tuple(
        record
        for (start, end), names in checked.by_range()
        for record in check_store(
            store,
            names,
            start=start,
            end=end,
            now=now,
            from_first=True,
            uncollected=checked.uncollected,
            remarks=checked.remarks,
        )
    )


def _add_collected(
    checked: _Checked, store: SeriesStore, results: Sequence[SeriesResult], now: pd.Timestamp
) -> None:
    """The series whose exchange answered."""
    clocks = {result.exchange: result.end for result in results if result.end is not None}
    for result in results:
        if result.rows_stored is None:
            continue
        # Snapshots have no range: they are of the exchange's now, whatever our clock says.
        clock = clocks.get(result.exchange, now)
        limits = result.start or clock - _DAY, result.end or clock + _DAY
        symbol = store.present_name(result.symbol)
        checked.ranges[result.exchange, symbol, result.kind, result.timeframe] = limits


def _add_stored(
    checked: _Checked,
    store: SeriesStore,
    settings: Settings,
    results: Iterable[SeriesResult],
    now: pd.Timestamp,
) -> None:
    """What is stored of the same symbols and exchanges beside what was collected."""
    span = settings.hours * _HOUR
    ranges: dict[tuple[str, str], _Range] = {}
    for result in results:
        if result.kind == "candles":
            symbol = _present_name(store, result.symbol)
            ranges[result.exchange, symbol] = (result.start or now - span, result.end or now)
    if not ranges:
        return
    exchanges, symbols = ({key[k] for key in ranges} for k in (0, 1))
    for key in listened_series(store, exchanges, symbols):
        if key in ranges:
            checked.ranges[*key, LIQUIDATIONS, ""] = ranges[key]
    step = parse_timeframe(settings.candle_timeframe)
    for kind in _FINER:
        stored = store.extents(kind, exchange=sorted(exchanges), symbol=sorted(symbols))
        columns = (stored[name] for name in ("exchange", "symbol", "timeframe"))
        for exchange, symbol, timeframe in zip(*columns, strict=True):
            limits = ranges.get((exchange, symbol))
            if limits is not None and parse_timeframe(timeframe) < step:
                checked.ranges[exchange, symbol, kind, timeframe] = limits
                checked.uncollected.add((exchange, symbol, kind, timeframe))


def _present_name(store: SeriesStore, symbol: str) -> str:
    """The perpetual's present name; a name that is none is that of no stored series."""
    try:
        return store.present_name(symbol)
    except InputError:
        return symbol


def _add_sentiment(
    checked: _Checked, settings: Settings, results: Iterable[SeriesResult], now: pd.Timestamp
) -> None:
    """Posts on each coin and indices, with what their collection says of rows that may lack."""
    for result in results:
        if result.rows_stored is None:
            continue
        limits = result.start or now - settings.hours * _HOUR, result.end or now
        index = result.exchange == INDEX
        coin = "" if index else present_coin(result.symbol, settings.renamed)
        name = (result.exchange, coin, INDICES if index else SENTIMENT, "")
        checked.ranges[name] = limits
        failure = "" if result.failure is None else f"failed: {result.failure}"
        if remark := "; ".join(filter(None, (result.note, failure))):
            checked.remarks[name] = remark
