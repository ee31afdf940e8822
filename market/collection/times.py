"""The times that are stored, read for many symbols at once, and the neighbours of a range.

A collection leaves no hole in the middle of a series that is not on record: between its oldest row
or recorded gap and its newest one, every time is stored or lies within a gap. So the rows and gaps
next to a range tell how far the series is on record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brain.series.bars import parse_timeframe
from brain.series.faults import row_faults
from brain.series.store.store import SeriesStore
from market.collection.grid import Times, as_stamp, as_time
from market.collection.results import Gap

__all__ = ["NO_TIMES", "Neighbours", "StoredTimes", "TimeRange", "neighbours"]

#: Start and end, the end exclusive.
TimeRange = tuple[pd.Timestamp, pd.Timestamp]

NO_TIMES: Times = np.empty(0, dtype=np.int64)

# The columns that tell whether a row can be true.
_VALUES = {
    "candles": ["open", "high", "low", "close", "volume"],
    "funding": ["rate", "mark_price"],
    "open_interest": ["base", "usd"],
}
# Rows that one query may bring: some 200 MB.
_ROWS = 2_000_000
# Symbols whose ranges differ share a query unless that brings this many rows more.
_MORE_ROWS = 100_000
# So far from a range the nearest row is looked for, in days, before all of the history is read.
_DISTANCES = (8, 32, 128, 512)
_LONGEST = pd.Timedelta(days=3650)


@dataclass(frozen=True)
class StoredTimes:
    """The stored times of one kind at one exchange.

    Attributes:
        store: holds them.
        kind: ``candles``, ``funding`` or ``open_interest``.
        exchange: its name, ``okx``.
        timeframe: empty for funding.
    """

    store: SeriesStore
    kind: str
    exchange: str
    timeframe: str

    def times(self, ranges: Mapping[str, TimeRange]) -> dict[str, Times]:
        """The times of each symbol in its range."""
        by_symbol: dict[str, Times] = {}
        for symbols, span in self._queries(ranges):
            rows = self._read(symbols, *span)
            for symbol in symbols:
                start, end = (as_time(time) for time in ranges[symbol])
                times = rows.get(symbol, NO_TIMES)
                low, high = np.searchsorted(times, [start, end])
                by_symbol[symbol] = times[low:high].copy()
        return by_symbol

    def all_times(self, symbol: str) -> Times:
        """All times of one symbol."""
        return self._read([symbol], None, None).get(symbol, NO_TIMES)

    def newest(self, symbols: Iterable[str], before: pd.Timestamp) -> dict[str, Times]:
        """The newest time before another one, of each symbol that has any."""
        newest: dict[str, Times] = {}
        rest, end = set(symbols), before
        for days in (*_DISTANCES, None):
            if not rest:
                break
            start = None if days is None else before - pd.Timedelta(days=days)
            for symbol, times in self._times_between(rest, start, end).items():
                newest[symbol] = times[-1:]
            rest, end = rest - set(newest), end if start is None else start
        return newest

    def oldest(
        self, symbols: Iterable[str], since: pd.Timestamp, now: pd.Timestamp
    ) -> dict[str, Times]:
        """The oldest time since another one, of each symbol that has any."""
        oldest: dict[str, Times] = {}
        rest, start = set(symbols), since
        for days in (*_DISTANCES, None):
            if not rest or start >= now:
                break
            end = now if days is None else since + pd.Timedelta(days=days)
            for symbol, times in self._times_between(rest, start, end).items():
                oldest[symbol] = times[:1]
            rest, start = rest - set(oldest), end
        return oldest

    def _times_between(
        self, symbols: Iterable[str], start: pd.Timestamp | None, end: pd.Timestamp
    ) -> dict[str, Times]:
        """The times in ``[start, end)``, of each symbol that has any; None: since the first."""
        low = end - _LONGEST if start is None else start
        by_symbol: dict[str, Times] = {}
        for group, _ in self._queries(dict.fromkeys(symbols, (low, end))):
            by_symbol |= self._read(group, start, end)
        return by_symbol

    def _queries(self, ranges: Mapping[str, TimeRange]) -> Iterator[tuple[list[str], TimeRange]]:
        """Symbols that are read together, and the range that spans theirs: not too many rows."""
        group: list[str] = []
        rows = 0.0  # of the group's ranges
        span: TimeRange | None = None
        for symbol in sorted(ranges, key=lambda name: (ranges[name], name)):
            start, end = ranges[symbol]
            more = (end - start) / self._step
            if span is not None:
                wider = min(span[0], start), max(span[1], end)
                cost = (wider[1] - wider[0]) / self._step * (len(group) + 1)
                if cost <= _ROWS and cost <= 2 * (rows + more) + _MORE_ROWS:
                    group.append(symbol)
                    rows, span = rows + more, wider
                    continue
                yield group, span
            group, rows, span = [symbol], more, (start, end)
        if span is not None:
            yield group, span

    def _read(
        self, symbols: Sequence[str], start: pd.Timestamp | None, end: pd.Timestamp | None
    ) -> dict[str, Times]:
        """The times in ``[start, end)``, of each symbol that has any."""
        rows = self.store.read(
            self.kind,
            exchange=self.exchange,
            symbol=symbols,
            timeframe=self.timeframe or None,
            start=start,
            end=end,
            columns=["symbol", "time", *_VALUES[self.kind]],
        )
        # A row that can't be true is stored by an older program alone: it is requested again.
        rows = rows[row_faults(self.kind, rows) == ""]
        # Rows come sorted by symbol and time.
        codes, names = pd.factorize(rows["symbol"])
        edges = np.flatnonzero(np.diff(codes)) + 1
        parts = np.split(pd.DatetimeIndex(rows["time"]).as_unit("us").asi8, edges)
        return {str(name): np.unique(part) for name, part in zip(names, parts, strict=False)}

    @property
    def _step(self) -> pd.Timedelta:
        return parse_timeframe(self.timeframe) if self.timeframe else pd.Timedelta(hours=1)


@dataclass(frozen=True)
class Neighbours:
    """How a series is on record, as rows or gaps, next to a range.

    Attributes:
        inside: whether anything of the range is on record.
        before: the end of what is on record before the range; None: nothing is.
        after: the start of what is on record after the range; None: nothing is.
    """

    inside: bool
    before: pd.Timestamp | None
    after: pd.Timestamp | None

    @property
    def nowhere(self) -> bool:
        """Whether nothing is on record at all."""
        return not self.inside and self.before is None and self.after is None


def neighbours(
    times: Times, gaps: Iterable[Gap], start: pd.Timestamp, end: pd.Timestamp, step: pd.Timedelta
) -> Neighbours:
    """The neighbours of ``[start, end)``.

    Args:
        times: of the series' rows.
        gaps: on record.
        start: of the range.
        end: of the range, exclusive.
        step: from a row to the end of what it covers.
    """
    low, high = np.searchsorted(times, [as_time(start), as_time(end)])
    inside = bool(high > low)
    before = [as_stamp(times[low - 1]) + step] if low else []
    after = [as_stamp(times[high])] if high < len(times) else []
    for gap in gaps:
        if gap.end <= start:
            before.append(gap.end)
        elif gap.start >= end:
            after.append(gap.start)
        else:
            inside = True
    return Neighbours(inside, max(before, default=None), min(after, default=None))
