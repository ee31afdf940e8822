"""What is known of series already: the times that are stored, read for many symbols at once.

A collection leaves no hole in the middle of a series that nobody knows of: between its oldest row
or recorded gap and its newest one, every time is stored or lies within a gap. So what is known of a
series is told by its ends, and these by the rows and gaps next to a range.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brain.series.bars import parse_timeframe
from brain.series.store.store import SeriesStore
from market.collection.grid import Times, as_stamp, as_time
from market.collection.results import Gap

__all__ = ["Around", "StoredTimes", "Window", "around"]

#: From when to when, the end exclusive.
Window = tuple[pd.Timestamp, pd.Timestamp]

# Rows that one reading may bring: some 100 MB.
_ROWS = 2_000_000
# Symbols whose windows differ share a reading unless that brings this many rows more.
_MORE_ROWS = 100_000
# So far from a range the nearest row is looked for, in days, before all of the history is read.
_FAR = (8, 32, 128, 512)
_LONGEST = pd.Timedelta(days=3650)


@dataclass(frozen=True)
class StoredTimes:
    """The stored times of one kind at one exchange.

    Attributes:
        store: Where they are.
        kind: ``candles``, ``funding`` or ``open_interest``.
        exchange: ``okx``.
        timeframe: Empty for funding.
    """

    store: SeriesStore
    kind: str
    exchange: str
    timeframe: str

    def times(self, wanted: Mapping[str, Window]) -> dict[str, Times]:
        """The times of each symbol in its window, sorted and unique."""
        found: dict[str, Times] = {}
        for symbols, window in self._readings(wanted):
            read = self._read(symbols, *window)
            for symbol in symbols:
                start, end = (as_time(each) for each in wanted[symbol])
                times = read.get(symbol, np.empty(0, dtype=np.int64))
                low, high = np.searchsorted(times, [start, end])
                found[symbol] = times[low:high].copy()
        return found

    def all_times(self, symbol: str) -> Times:
        """All times of one symbol."""
        return self._read([symbol], None, None).get(symbol, np.empty(0, dtype=np.int64))

    def newest(self, symbols: Iterable[str], before: pd.Timestamp) -> dict[str, Times]:
        """For each symbol that has any, the newest time before a moment."""
        found: dict[str, Times] = {}
        left, end = set(symbols), before
        for days in (*_FAR, None):
            if not left:
                break
            start = None if days is None else before - pd.Timedelta(days=days)
            for symbol, times in self._near(left, start, end).items():
                found[symbol] = times[-1:]
            left, end = left - set(found), end if start is None else start
        return found

    def oldest(
        self, symbols: Iterable[str], since: pd.Timestamp, now: pd.Timestamp
    ) -> dict[str, Times]:
        """For each symbol that has any, the oldest time since a moment."""
        found: dict[str, Times] = {}
        left, start = set(symbols), since
        for days in (*_FAR, None):
            if not left or start >= now:
                break
            end = now if days is None else since + pd.Timedelta(days=days)
            for symbol, times in self._near(left, start, end).items():
                found[symbol] = times[:1]
            left, start = left - set(found), end
        return found

    def _near(
        self, symbols: Iterable[str], start: pd.Timestamp | None, end: pd.Timestamp
    ) -> dict[str, Times]:
        bounded = end - _LONGEST if start is None else start
        found: dict[str, Times] = {}
        for some, _ in self._readings(dict.fromkeys(symbols, (bounded, end))):
            found |= self._read(some, start, end)
        return found

    def _readings(self, wanted: Mapping[str, Window]) -> Iterator[tuple[list[str], Window]]:
        """Symbols that are read together, and from when to when: not too much at once."""
        some: list[str] = []
        own = 0.0
        window: Window | None = None
        for symbol in sorted(wanted, key=lambda name: (wanted[name], name)):
            start, end = wanted[symbol]
            rows = (end - start) / self._step
            if window is not None:
                wider = min(window[0], start), max(window[1], end)
                cost = (wider[1] - wider[0]) / self._step * (len(some) + 1)
                if cost <= _ROWS and cost <= 2 * (own + rows) + _MORE_ROWS:
                    some.append(symbol)
                    own, window = own + rows, wider
                    continue
                yield some, window
            some, own, window = [symbol], rows, (start, end)
        if window is not None:
            yield some, window

    def _read(
        self, symbols: Sequence[str], start: pd.Timestamp | None, end: pd.Timestamp | None
    ) -> dict[str, Times]:
        rows = self.store.read(
            self.kind,
            exchange=self.exchange,
            symbol=symbols,
            timeframe=self.timeframe or None,
            start=start,
            end=end,
            columns=["symbol", "time"],
        )
        # Rows come sorted by symbol and time.
        codes, names = pd.factorize(rows["symbol"])
        places = np.flatnonzero(np.diff(codes)) + 1
        parts = np.split(_as_sorted(rows["time"]), places)
        return {str(name): np.unique(part) for name, part in zip(names, parts, strict=False)}

    @property
    def _step(self) -> pd.Timedelta:
        return parse_timeframe(self.timeframe) if self.timeframe else pd.Timedelta(hours=1)


def _as_sorted(times: pd.Series) -> Times:
    """Times as microseconds since 1970, in the order in which they are given."""
    return pd.DatetimeIndex(times).as_unit("us").asi8


@dataclass(frozen=True)
class Around:
    """What is known next to a range.

    Attributes:
        inside: Whether anything is known within it.
        before: Until when the series is known before it.
        after: Since when it is known after it.
    """

    inside: bool
    before: pd.Timestamp | None
    after: pd.Timestamp | None


def around(
    times: Times, gaps: Iterable[Gap], start: pd.Timestamp, end: pd.Timestamp, step: pd.Timedelta
) -> Around:
    """What stored times and recorded gaps tell of ``[start, end)`` and its surroundings."""
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
    return Around(inside, max(before, default=None), min(after, default=None))
