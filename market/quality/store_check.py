"""Is a market series fit to be learnt from? Counts, and words for people; nothing is changed.

:func:`check_series` looks at the rows of one series, :func:`check_store` at series of a store,
with their recorded gaps, and keeps what it found in the kind ``quality``. The rules are in
:mod:`market.quality.rules`, each beside its reason.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from brain.errors import InputError, did_you_mean
from brain.series.store.store import SeriesStore
from brain.text import count
from market.collection.gaps import open_gaps
from market.collection.grid import FixedGrid, FundingGrid, Grid, as_times
from market.quality.columns import read_rows
from market.quality.coverage import coverage, grid_of
from market.quality.record import Hole, QualityRecord, records_frame
from market.quality.rules import RULES
from market.quality.series_check import check_series

__all__ = ["check_store"]

_log = logging.getLogger(__name__)

# Prices from so long before a range may be the nearest to its first rows.
_BESIDE = pd.Timedelta(days=1)


def check_store(
    store: SeriesStore,
    series: Iterable[tuple[str, str, str, str]],
    *,
    start: pd.Timestamp,
    end: pd.Timestamp,
    now: pd.Timestamp,
) -> tuple[QualityRecord, ...]:
    """Look at series of a store, and keep the records in its kind ``quality``.

    What belongs to a series is its grid in ``[start, end)``, from its instrument's listing and to
    its delisting as far as the store knows them, without what is not published by ``now``. What is
    missing is counted on that grid; recorded gaps give the reasons. A series of which the store
    holds neither rows, gaps nor an instrument has unknown counts.

    Args:
        store: read, and written once at the end.
        series: (exchange, symbol, kind, timeframe) each; the timeframe is ``""`` for funding and
            snapshots.
        start, end: the range to look at, UTC, end exclusive.
        now: when the records say they were made, UTC.

    Returns:
        The records in the order of the series.

    Raises:
        InputError: a kind or timeframe is unknown, a time has no zone, or the range is empty.
        SeriesStoreError: the store can't be read or written.
    """
    for name, time in (("start", start), ("end", end), ("now", now)):
        if time.tzinfo is None:
            raise InputError(f"{name} is {time}, without a zone; give it in UTC")
    if not start < end:
        raise InputError(f"the range from {start} to {end} is empty; give an end after the start")
    wanted = [
        (exchange, store.present_name(symbol), kind, span)
        for exchange, symbol, kind, span in series
    ]
    if not wanted:
        return ()
    exchanges, symbols = (sorted({names[k] for names in wanted}) for k in (0, 1))
    instruments = store.read("instruments", exchange=exchanges, symbol=symbols)
    gaps = open_gaps(store, exchange=exchanges, symbol=symbols)
    records = [_Series(store, *names, start, end).check(now, instruments, gaps) for names in wanted]
    store.upsert("quality", records_frame(records))
    for record in records:
        if record.severity == "poor":
            _log.warning("%s: %s", record.name, record.note)
    return tuple(records)


@dataclass(frozen=True)
class _Series:
    """One series of a store, in a range."""

    store: SeriesStore
    exchange: str
    symbol: str
    kind: str
    timeframe: str
    start: pd.Timestamp
    end: pd.Timestamp

    def check(
        self, now: pd.Timestamp, instruments: pd.DataFrame, gaps: pd.DataFrame
    ) -> QualityRecord:
        """Its record; instruments and gaps may be of other series, too."""
        if self.kind not in RULES:
            raise InputError(
                f"{self.kind!r} is no kind that is checked; {did_you_mean(self.kind, RULES)}"
            )
        frame = self._read(self.kind, self.timeframe, self.start)
        rows = read_rows(frame, self.kind)
        own, holes = self._own(instruments), self._holes(self._own(gaps))
        start, end = self._range(own, now)
        grid = None
        if not (frame.empty and own.empty and not holes):
            grid = grid_of(self.kind, self.timeframe, rows, _present_hours(own))
        latest = grid.floor(end) if isinstance(grid, FixedGrid) else end  # what has not ended
        expected, missing, stretches = _counts(grid, rows.times, start, latest)
        record = check_series(
            frame,
            self.kind,
            exchange=self.exchange,
            symbol=self.symbol,
            timeframe=self.timeframe,
            expected=expected,
            missing=missing,
            gaps=stretches,
            now=end if start < end else now,
            price=self._price(),
            history=self._history(),
        )
        whole = record.coverage
        if grid is not None and start < latest:
            whole = coverage(rows.times[~rows.blank], grid, start, latest)
        return replace(
            record,
            checked=now.tz_convert("UTC").as_unit("us"),
            holes=holes,
            note=record.note + _unrecorded(missing, holes, start, latest) + _reasons(holes),
            coverage=whole,
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

    def _own(self, rows: pd.DataFrame) -> pd.DataFrame:
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
        """From when rows can be: the candle of the listing, but no settlement at it."""
        if self.kind == "candles":
            return FixedGrid.of(self.timeframe).floor(listed)
        return listed + pd.Timedelta(microseconds=1) if self.kind == "funding" else listed

    def _holes(self, gaps: pd.DataFrame) -> tuple[Hole, ...]:
        own = (gaps["kind"] == self.kind) & (gaps["timeframe"] == self.timeframe)
        own &= (gaps["end"] > self.start) & (gaps["start"] < self.end)
        rows = gaps[own].sort_values("start")
        columns = (rows[name] for name in ("start", "end", "count", "reason"))
        return tuple(Hole(a, b, int(n), str(why)) for a, b, n, why in zip(*columns, strict=True))

    def _price(self) -> pd.Series | None:
        """Closes by close time, where base and quote amounts have no price beside them."""
        if self.kind not in ("open_interest", "snapshots"):
            return None
        return self._column("candles", "close", "available")

    def _history(self) -> pd.Series | None:
        return self._column("open_interest", "base", "time") if self.kind == "snapshots" else None

    def _column(self, kind: str, name: str, time: str) -> pd.Series | None:
        frame = self._read(kind, self.timeframe, self.start - _BESIDE)
        return None if frame.empty else frame.set_index(time)[name]


def _reasons(holes: Iterable[Hole]) -> str:
    """Why rows are missing, as the collector recorded it."""
    rows: dict[str, int] = {}
    for hole in holes:
        rows[hole.reason] = rows.get(hole.reason, 0) + hole.count
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
    holes = grid.holes(as_times(times), start, end)
    missing = sum(hole.count for hole in holes)
    if isinstance(grid, FixedGrid):
        whole = sum(hole.count for hole in grid.holes(as_times(times[:0]), start, end))
    else:
        whole = missing + int(((times >= start) & (times < end)).sum())
    return whole, missing, len(holes)


def _unrecorded(
    missing: int | None, holes: tuple[Hole, ...], start: pd.Timestamp, end: pd.Timestamp
) -> str:
    """What is missing and in no recorded gap, in words."""
    known = 0.0
    for hole in holes:  # a gap may reach beyond the range
        inside = min(hole.end, end) - max(hole.start, start)
        known += hole.count * max(inside / (hole.end - hole.start), 0.0)
    rest = (missing or 0) - math.ceil(known)
    return f"; {count(rest, 'missing row')} in no recorded gap" if rest > 0 else ""
