"""The check of stored series: their rows, grids and recorded gaps; the data are not changed.

:func:`check_store` writes its records to the kind ``quality``. The rules are in
:mod:`market.quality.rules`, each beside its reason.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import pandas as pd

from brain.errors import InputError, did_you_mean
from brain.series.bars import parse_timeframe
from brain.series.store.store import SeriesStore
from brain.text import count
from market.collection.gaps import open_gaps
from market.collection.grid import FixedGrid, FundingGrid, Grid, as_times
from market.collection.plan import HISTORIES, SENTIMENT
from market.collection.results import Gap
from market.quality.columns import rows_of
from market.quality.coverage import coverage_of, grid_of
from market.quality.liquidations_check import LIQUIDATIONS, liquidations_record
from market.quality.record import QualityRecord, RecordedGap, records_frame
from market.quality.rules import RULES
from market.quality.sentiment_check import INDICES, index_record, posts_record
from market.quality.series_check import check_series

__all__ = ["SeriesName", "check_store"]

logger = logging.getLogger(__name__)

#: Exchange, symbol, kind and timeframe; of sentiment publisher and coin, of an index its name.
SeriesName = tuple[str, str, str, str]

_Range = tuple[pd.Timestamp, pd.Timestamp]

# Kinds without a grid and rules of rows, each with its own check.
_CHECKS: Mapping[str, Callable[..., QualityRecord]] = MappingProxyType(
    {SENTIMENT: posts_record, INDICES: index_record, LIQUIDATIONS: liquidations_record}
)
# Those of no exchange: the table of records has none of theirs.
_OF_PUBLISHERS = (SENTIMENT, INDICES)
# Prices from so long before a range may be the nearest to its first rows.
_PRICE_MARGIN = pd.Timedelta(days=1)
_MOMENT = pd.Timedelta(microseconds=1)


def check_store(
    store: SeriesStore,
    series: Iterable[SeriesName],
    *,
    start: pd.Timestamp,
    end: pd.Timestamp,
    now: pd.Timestamp,
    from_first: bool = False,
    uncollected: Collection[SeriesName] = (),
    remarks: Mapping[SeriesName, str] = MappingProxyType({}),
) -> tuple[QualityRecord, ...]:
    """Check series of a store, and write the records of exchanges' series to its kind ``quality``.

    A series is expected on its grid in ``[start, end)``, from its instrument's listing and to its
    delisting where the store has them, except what is not published by ``now``. Missing rows are
    counted on that grid; recorded gaps have the reasons. A series of which the store holds neither
    rows, gaps nor an instrument has unknown counts. Posts and liquidations have no grid: see
    :mod:`market.quality.sentiment_check` and :mod:`market.quality.liquidations_check`.

    Args:
        store: read, and written once at the end.
        series: (exchange, symbol, kind, timeframe) each; the timeframe is ``""`` for all but
            candles and open interest. Of kind ``sentiment`` (publisher, coin), of ``indices``
            (index, ``""``).
        start, end: the range, UTC, end exclusive.
        now: the time of the check in the records, UTC.
        from_first: whether the range of a history begins with its first stored row where that is
            earlier: rows were imported, or collected by a longer range.
        uncollected: histories that only imports or streams bring: they are judged from their first
            row to their last, whatever the range, since nobody has promised more.
        remarks: of posts and indices, by series: why rows may be missing, as far as their
            collection knows.

    Returns:
        The records in the order of the series.

    Raises:
        InputError: a kind or timeframe is unknown, a time has no zone, or the range is empty.
        SeriesStoreError: the store can't be read or written.
    """
    _check_range(start, end, now)
    names = [_listed(store, name) for name in series]
    ranges = {name: (start, end) for name in names if name[2] in RULES}
    stored = _stored_ranges(store, ranges) if from_first or uncollected else {}
    for name, (first, last) in stored.items():
        if name in uncollected:
            ranges[name] = first, last
        elif from_first:
            ranges[name] = min(start, first), end
    records = _history_records(store, ranges, now)
    for name in names:
        if name[2] not in RULES:
            told = {"remark": remarks[name]} if name in remarks else {}
            record = _CHECKS[name[2]](store, *name[:2], start=start, end=end, now=now, **told)
            records[name] = record
    kept = [record for name, record in records.items() if name[2] not in _OF_PUBLISHERS]
    if kept:
        store.upsert("quality", records_frame(kept))
    for record in records.values():
        if record.severity == "poor":
            logger.warning("%s: %s", record.name, record.note)
    return tuple(records[name] for name in names)


def _check_range(start: pd.Timestamp, end: pd.Timestamp, now: pd.Timestamp) -> None:
    for limit, time in (("start", start), ("end", end), ("now", now)):
        if time.tzinfo is None:
            raise InputError(f"{limit} is {time}, without a zone; give it in UTC")
    if not start < end:
        raise InputError(f"the range from {start} to {end} is empty; give an end after the start")


def _listed(store: SeriesStore, name: SeriesName) -> SeriesName:
    """A series by the name that the store has it under.

    Raises:
        InputError: the kind is none that is checked.
    """
    exchange, symbol, kind, timeframe = name
    if kind in _OF_PUBLISHERS:
        return name
    if kind not in RULES and kind not in _CHECKS:
        every = [*RULES, *_CHECKS]
        raise InputError(f"{kind!r} is no kind that is checked; {did_you_mean(kind, every)}")
    return exchange, store.listed_name(symbol, exchange), kind, timeframe


def _stored_ranges(store: SeriesStore, names: Collection[SeriesName]) -> dict[SeriesName, _Range]:
    """From the first row to the end of the last one, of those that are histories with rows."""
    stored: dict[SeriesName, _Range] = {}
    for kind in {name[2] for name in names} & set(HISTORIES):
        exchanges, symbols = ({name[k] for name in names if name[2] == kind} for k in (0, 1))
        rows = store.extents(kind, exchange=sorted(exchanges), symbol=sorted(symbols))
        timeframes = rows.get("timeframe", pd.Series("", index=rows.index))
        columns = (rows["exchange"], rows["symbol"], timeframes, rows["first"], rows["last"])
        for exchange, symbol, timeframe, first, last in zip(*columns, strict=True):
            name = (exchange, symbol, kind, timeframe)
            if name in names:
                step = parse_timeframe(timeframe) if timeframe else _MOMENT
                stored[name] = first, last + step
    return stored


def _history_records(
    store: SeriesStore, ranges: Mapping[SeriesName, _Range], now: pd.Timestamp
) -> dict[SeriesName, QualityRecord]:
    """The records of series whose rows have rules, by name."""
    if not ranges:
        return {}
    exchanges, symbols = (sorted({name[k] for name in ranges}) for k in (0, 1))
    instruments = store.read("instruments", exchange=exchanges, symbol=symbols)
    gaps = open_gaps(store, exchange=exchanges, symbol=symbols)
    checks = {name: _SeriesCheck(store, *name, *limits) for name, limits in ranges.items()}
    return {name: check.record(now, instruments, gaps) for name, check in checks.items()}


@dataclass(frozen=True)
class _SeriesCheck:
    """The check of one series of a store, in a range."""

    store: SeriesStore
    exchange: str
    symbol: str
    kind: str
    timeframe: str
    start: pd.Timestamp
    end: pd.Timestamp

    def record(
        self, now: pd.Timestamp, instruments: pd.DataFrame, gaps: pd.DataFrame
    ) -> QualityRecord:
        """The series' record; instruments and gaps may be of other series, too."""
        frame = self._read(self.kind, self.timeframe, self.start)
        rows = rows_of(frame, self.kind)
        instruments = self._of_instrument(instruments)
        recorded_gaps = self._recorded_gaps(self._of_instrument(gaps))
        start, end = self._range(instruments, now)
        grid = None
        if not (frame.empty and instruments.empty and not recorded_gaps):
            grid = grid_of(self.kind, self.timeframe, rows, _present_hours(instruments))
        latest = grid.floor(end) if isinstance(grid, FixedGrid) else end  # without open periods
        expected, missing, gap_count = _counts(grid, rows.times, start, latest)
        record = check_series(
            frame,
            self.kind,
            exchange=self.exchange,
            symbol=self.symbol,
            timeframe=self.timeframe,
            expected=expected,
            missing=missing,
            gaps=gap_count,
            now=end if start < end else now,
            price=self._price(),
            history=self._history(),
        )
        coverage = record.coverage
        if grid is not None and start < latest:
            coverage = coverage_of(rows.times[rows.valid], grid, start, latest)
        unrecorded = _unrecorded(missing, recorded_gaps, start, latest)
        return replace(
            record,
            checked=now.tz_convert("UTC").as_unit("us"),
            recorded_gaps=tuple(map(RecordedGap.of, recorded_gaps)),
            note=record.note + unrecorded + _reasons(recorded_gaps),
            coverage=coverage,
        )

    def _read(self, kind: str, timeframe: str, start: pd.Timestamp) -> pd.DataFrame:
        return self.store.read(
            kind,
            exchange=self.exchange,
            symbol=self.symbol,
            timeframe=timeframe or None,
            start=start,
            end=self.end,
        )

    def _of_instrument(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows[(rows["exchange"] == self.exchange) & (rows["symbol"] == self.symbol)]

    def _range(
        self, instruments: pd.DataFrame, now: pd.Timestamp
    ) -> tuple[pd.Timestamp, pd.Timestamp]:
        """The part of the range in which rows can be."""
        listed, delisted = (instruments[name].dropna() for name in ("listed", "delisted"))
        over = len(delisted) and len(delisted) == len(instruments)
        end = min([self.end, now, *([delisted.max()] if over else [])])
        return max([self.start, *(self._first(time) for time in listed.nsmallest(1))]), end

    def _first(self, listed: pd.Timestamp) -> pd.Timestamp:
        """The first time of rows: the candle of the listing, but no settlement at it."""
        if self.kind == "candles":
            return FixedGrid.of(self.timeframe).floor(listed)
        return listed + pd.Timedelta(microseconds=1) if self.kind == "funding" else listed

    def _recorded_gaps(self, gaps: pd.DataFrame) -> tuple[Gap, ...]:
        mask = (gaps["kind"] == self.kind) & (gaps["timeframe"] == self.timeframe)
        mask &= (gaps["end"] > self.start) & (gaps["start"] < self.end)
        rows = gaps[mask].sort_values("start")
        columns = (rows[name] for name in ("start", "end", "count", "reason"))
        return tuple(
            Gap(start, end, int(number), str(reason))
            for start, end, number, reason in zip(*columns, strict=True)
        )

    def _price(self) -> pd.Series | None:
        """Closes by close time, where base and quote amounts have no price beside them."""
        if self.kind not in ("open_interest", "snapshots"):
            return None
        return self._column("candles", "close", "available")

    def _history(self) -> pd.Series | None:
        return self._column("open_interest", "base", "time") if self.kind == "snapshots" else None

    def _column(self, kind: str, name: str, time: str) -> pd.Series | None:
        frame = self._read(kind, self.timeframe, self.start - _PRICE_MARGIN)
        return None if frame.empty else frame.set_index(time)[name]


def _reasons(gaps: Iterable[Gap]) -> str:
    """Why rows are missing, as the collector recorded it."""
    rows: dict[str, int] = {}
    for gap in gaps:
        rows[gap.reason] = rows.get(gap.reason, 0) + gap.count
    return "".join(f"; {reason}: {count(number, 'row')}" for reason, number in rows.items())


def _present_hours(instruments: pd.DataFrame) -> float | None:
    hours = instruments.sort_values("seen")["funding_interval_hours"].dropna()
    return None if hours.empty else float(hours.iloc[-1])


def _counts(
    grid: Grid | None, times: pd.DatetimeIndex, start: pd.Timestamp, end: pd.Timestamp
) -> tuple[int | None, int | None, int | None]:
    """Grid points of a range, those without a row, and stretches of them; None without a grid."""
    if grid is None:
        return None, None, None
    if isinstance(grid, FundingGrid) and grid.hours is None and times.empty:
        return None, None, None
    if not start < end:
        return 0, 0, 0
    spans = grid.holes(as_times(times), start, end)
    missing = sum(span.count for span in spans)
    if isinstance(grid, FixedGrid):
        expected = sum(span.count for span in grid.holes(as_times(times[:0]), start, end))
    else:
        expected = missing + int(((times >= start) & (times < end)).sum())
    return expected, missing, len(spans)


def _unrecorded(
    missing: int | None, gaps: tuple[Gap, ...], start: pd.Timestamp, end: pd.Timestamp
) -> str:
    """The missing rows in no recorded gap, in words."""
    recorded = 0.0
    for gap in gaps:  # which may reach beyond the range
        inside = min(gap.end, end) - max(gap.start, start)
        recorded += gap.count * max(inside / (gap.end - gap.start), 0.0)
    rest = (missing or 0) - math.ceil(recorded)
    return f"; {count(rest, 'missing row')} in no recorded gap" if rest > 0 else ""
