"""Which series a night reports on, and for which range each.

Those that it has collected, histories from their first stored row on, since models read all of
them; finer candles and open interest that imports or streams have stored, which models read beside
them; and the liquidations of its symbols and exchanges, wherever a stream has ever listened. Then
what else models read beside the bars, and nobody has collected.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd

from brain.errors import InputError
from brain.naming import perpetual
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

__all__ = ["night_records", "read_records"]

_DAY = pd.Timedelta(days=1)
_HOUR = pd.Timedelta(hours=1)
# The kinds of which a finer timeframe stands for what the bars' own lacks.
_FINER = ("candles", "open_interest")
# The kinds of which models read rows beside the bars.
_BESIDE = ("candles", "funding", "open_interest")

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
    return _records(store, checked, now)


def read_records(
    store: SeriesStore,
    settings: Settings,
    bars: Iterable[QualityRecord],
    reported: Iterable[QualityRecord],
) -> tuple[QualityRecord, ...]:
    """The records of what models read beside bars, where no collection has reported on it.

    Liquidations wherever the settings name their exchange, listened to or not; funding, open
    interest and finer candles as far as they are stored.

    Args:
        store: is read, and the records are kept there.
        settings: whose series are read.
        bars: the records of the bars, whose ranges they are.
        reported: records that there are.

    Raises:
        SeriesStoreError: the store can't be read or written.
    """
    now = pd.Timestamp.now(tz="UTC")
    ranges: dict[str, _Range] = {}
    for record in bars:
        contract = _contract(store, record.symbol)
        if contract is not None and record.first is not None and record.last is not None:
            ranges[contract] = record.first, record.last + parse_timeframe(record.timeframe)
    checked = _Checked()
    for exchange in settings.liquidations:
        for symbol, limits in ranges.items():
            checked.ranges[exchange, symbol, LIQUIDATIONS, ""] = limits
    step = parse_timeframe(settings.candle_timeframe)
    for kind in _BESIDE if settings.exchanges and ranges else ():
        for key in _stored(store, kind, settings.exchanges, ranges):
            span = parse_timeframe(key[3]) if key[3] else step
            if span < step or (span == step and kind != "candles"):  # those are the bars
                checked.ranges[key] = ranges[key[1]]
                checked.uncollected.add(key)
    for record in reported:
        checked.ranges.pop((record.exchange, record.symbol, record.kind, record.timeframe), None)
    return _records(store, checked, now)


def _records(store: SeriesStore, checked: _Checked, now: pd.Timestamp) -> tuple[QualityRecord, ...]:
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
        for name in _stored(store, kind, exchanges, symbols):
            limits = ranges.get(name[:2])
            if limits is not None and parse_timeframe(name[3]) < step:
                checked.ranges[name] = limits
                checked.uncollected.add(name)


def _stored(
    store: SeriesStore, kind: str, exchanges: Collection[str], symbols: Collection[str]
) -> Iterator[SeriesName]:
    """The stored series of a kind; without a timeframe where it has none."""
    stored = store.extents(kind, exchange=sorted(exchanges), symbol=sorted(symbols))
    for row in stored.to_dict("records"):
        yield row["exchange"], row["symbol"], kind, row.get("timeframe", "")


def _contract(store: SeriesStore, symbol: str) -> str | None:
    """The perpetual of the bars' symbol by its present name; None if it has none."""
    try:
        return store.present_name(perpetual(symbol))
    except InputError:
        return None


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
