"""Which times a series must have, and which of them it lacks.

Candles and open interest lie on a fixed grid (:class:`market.collection.grid.FixedGrid`). Funding
does not: every instrument settles at an interval of its own, and exchanges change that interval
without publishing its history. :class:`market.collection.grid.FundingGrid` reads it from the
settlements themselves:

- Settlements are at whole multiples of the interval in UTC; an interval is one of those that
  exchanges have (:data:`market.exchanges.base.FUNDING_HOURS`).
- At least three equal spacings of such an interval in a row, at multiples of it, are a stretch in
  which that *was* the interval, whatever it is now. Nothing is missing there.
- Any other spacing is measured by the finer interval of the stretches before and after it, or by
  the instrument's present interval where there is no stretch: a settlement skipped once is a hole.
- Before the first row the stretch after it counts, and after the last row the stretch before it.

So a hole is never overlooked where the interval holds still, and beside a change one too many may
be recorded. One case can't be detected from times alone: if the very first settlement after a
change to a finer interval is missing, and no other, the change seems to come one settlement later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.series.bars import parse_timeframe
from market.exchanges.base import FUNDING_HOURS

__all__ = [
    "FixedGrid",
    "FundingGrid",
    "Grid",
    "Span",
    "Times",
    "as_stamp",
    "as_time",
    "as_times",
    "held",
    "join_spans",
    "parts_outside",
    "union",
]

# Of an instrument whose interval is unknown.
_DEFAULT_HOURS = 8

_HOUR = 3_600_000_000  # microseconds, the unit of every time here
_INTERVALS = np.array(FUNDING_HOURS, dtype=np.int64) * _HOUR
_MIN_STRETCH = 3  # equal spacings
_WEEK_ORIGIN = 4 * 24 * _HOUR  # Monday 5 January 1970: weekly bars open on Mondays

#: Microseconds since 1970, sorted and unique unless said otherwise.
Times = npt.NDArray[np.int64]


@dataclass(frozen=True, order=True)
class Span:
    """A stretch of time with grid points in it.

    Attributes:
        start: its first time, UTC.
        end: its end, exclusive.
        count: how many of its grid points count, the missing ones of a hole; 0 where only the
            stretch matters.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    count: int


class Grid(Protocol):
    """The times that a series must have."""

    def holes(self, times: Times, start: pd.Timestamp, end: pd.Timestamp) -> list[Span]:
        """The missing stretches of ``[start, end)``, all of which the exchange has answered for.

        Args:
            times: of the rows; those beyond the range are context.
            start: of the range.
            end: of the range, exclusive.
        """

    def possible_holes(self, times: Times, start: pd.Timestamp, end: pd.Timestamp) -> list[Span]:
        """The stretches of ``[start, end)`` that could be missing before the exchange has answered.

        The holes and, of funding, whatever a finer interval would add; ``count`` is by the present
        interval.

        Args:
            times: of the rows; those beyond the range are context.
            start: of the range.
            end: of the range, exclusive.
        """

    def count(self, start: pd.Timestamp, end: pd.Timestamp) -> int:
        """How many times are in ``[start, end)``; of funding, at the present interval."""


@dataclass(frozen=True)
class FixedGrid:
    """One time every ``step``, in UTC; weeks begin on Mondays."""

    step: pd.Timedelta

    @classmethod
    def of(cls, timeframe: str) -> FixedGrid:
        """The grid of a timeframe, ``1h``.

        Raises:
            InputError: there is no such timeframe.
        """
        return cls(parse_timeframe(timeframe))

    def floor(self, time: pd.Timestamp) -> pd.Timestamp:
        """The latest grid point that is not after the time."""
        value = as_time(time)
        return as_stamp(value - (value - _WEEK_ORIGIN) % self._width)

    def ceil(self, time: pd.Timestamp) -> pd.Timestamp:
        """The earliest grid point that is not before the time."""
        value = as_time(time)
        return as_stamp(value + (_WEEK_ORIGIN - value) % self._width)

    def holes(self, times: Times, start: pd.Timestamp, end: pd.Timestamp) -> list[Span]:
        grid = np.arange(as_time(self.ceil(start)), as_time(end), self._width, dtype=np.int64)
        missing = np.setdiff1d(grid, times, assume_unique=True)
        if not len(missing):
            return []
        firsts = np.flatnonzero(
            np.diff(missing, prepend=missing[0] - 2 * self._width) > self._width
        )
        lasts = np.append(firsts[1:], len(missing)) - 1
        return [
            Span(as_stamp(missing[i]), as_stamp(missing[j] + self._width), int(j - i + 1))
            for i, j in zip(firsts, lasts, strict=True)
        ]

    def possible_holes(self, times: Times, start: pd.Timestamp, end: pd.Timestamp) -> list[Span]:
        return self.holes(times, start, end)

    def count(self, start: pd.Timestamp, end: pd.Timestamp) -> int:
        return max(0, -((self.ceil(start) - end) // self.step))

    @property
    def _width(self) -> int:
        return self.step // pd.Timedelta(microseconds=1)


@dataclass(frozen=True)
class FundingGrid:
    """Settlements at an interval that may have changed, read from the rows as the module says.

    Attributes:
        hours: the instrument's present interval; None if unknown, which counts as 8 where there
            are too few rows to read it from.
    """

    hours: float | None

    def holes(self, times: Times, start: pd.Timestamp, end: pd.Timestamp) -> list[Span]:
        return self._spans(times, as_time(start), as_time(end), possible=False)

    def possible_holes(self, times: Times, start: pd.Timestamp, end: pd.Timestamp) -> list[Span]:
        return self._spans(times, as_time(start), as_time(end), possible=True)

    @property
    def _present(self) -> int:
        return round((self.hours or _DEFAULT_HOURS) * _HOUR)

    def count(self, start: pd.Timestamp, end: pd.Timestamp) -> int:
        return FixedGrid(pd.Timedelta(microseconds=self._present)).count(start, end)

    def _spans(self, times: Times, start: int, end: int, *, possible: bool) -> list[Span]:
        if start >= end:
            return []
        # The range's ends are points too; where rows reach beyond them, nothing is between.
        points = np.concatenate(([start - 1], times, [end]))
        steps = self._steps_between(times, possible=possible)
        first = np.maximum(points[:-1] + 1, start)
        first += -first % steps
        last = np.minimum(points[1:], end) - 1
        last -= last % steps
        spans: list[Span] = []
        for i in np.flatnonzero(last >= first):
            low, high = int(first[i]), min(int(last[i] + steps[i]), int(points[i + 1]), end)
            count = int((last[i] - first[i]) // steps[i]) + 1
            if possible:  # a finer interval may have held here: from the next full hour
                low = max(int(points[i]) // _HOUR * _HOUR + _HOUR, start)
                high = min(int(points[i + 1]), end)
            spans.append(Span(as_stamp(low), as_stamp(high), count))
        return spans

    def _steps_between(self, times: Times, *, possible: bool) -> Times:
        """The interval before the first row, of each spacing, and after the last row."""
        present = self._present
        inner = _steps(times, present)
        before, after = (inner[0], inner[-1]) if len(inner) else (present, present)
        if possible:
            after = min(after, present)  # it may have changed since
        return np.concatenate(([before], inner, [after] if len(times) else [])).astype(np.int64)


def _steps(times: Times, present: int) -> Times:
    """The interval by which each spacing is measured.

    Args:
        times: of the settlements.
        present: the instrument's present interval, in microseconds.
    """
    spacings = np.diff(times)
    if not len(spacings):
        return spacings
    starts = np.flatnonzero(np.diff(spacings, prepend=-1))
    lengths = np.diff(starts, append=len(spacings))
    width = spacings[starts]
    regular = (lengths >= _MIN_STRETCH) & np.isin(width, _INTERVALS)
    regular &= times[starts] % np.where(regular, width, 1) == 0
    if not regular.any():
        return np.full(len(spacings), present, dtype=np.int64)
    intervals = np.repeat(np.where(regular, width, 0), lengths)  # 0 outside stretches
    positions = np.flatnonzero(intervals)
    # The nearest stretch before and after; where there is none on one side, the other's.
    place = np.searchsorted(positions, np.arange(len(intervals)))
    later = intervals[positions[np.minimum(place, len(positions) - 1)]]
    earlier = intervals[positions[np.maximum(place - 1, 0)]]
    return np.where(intervals > 0, intervals, np.minimum(earlier, later)).astype(np.int64)


def as_times(times: pd.DatetimeIndex | pd.Series) -> Times:
    """Times as microseconds since 1970, sorted and unique."""
    index = pd.DatetimeIndex(times)
    return np.unique(index.as_unit("us").asi8)


def union(*times: Times) -> Times:
    """Times as one: sorted and unique, as each of them is.

    Ten times as fast as NumPy's ``union1d``, which forgets that they are.
    """
    times = tuple(some for some in times if len(some))
    joined = np.concatenate(times) if times else np.empty(0, dtype=np.int64)
    if len(times) > 1:
        joined.sort(kind="stable")  # which merges runs that are sorted
        joined = joined[np.append(True, np.diff(joined) > 0)]
    return joined


def held(times: Times, by: Times) -> npt.NDArray[np.bool_]:
    """Which of some times are among others, both sorted: as NumPy's ``isin``, and much faster."""
    if not len(by):
        return np.zeros(len(times), dtype=bool)
    return by[np.minimum(np.searchsorted(by, times), len(by) - 1)] == times


def join_spans(spans: Iterable[Span], within: pd.Timedelta) -> list[Span]:
    """The spans, sorted, those less than ``within`` apart joined: fewer requests bring them."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start - joined[-1].end < within:
            last = joined.pop()
            end, count = max(last.end, span.end), last.count + span.count
            joined.append(Span(last.start, end, count))
        else:
            joined.append(span)
    return joined


def parts_outside(
    start: pd.Timestamp, end: pd.Timestamp, spans: Sequence[Span]
) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """The parts of ``[start, end)`` that no span covers."""
    parts: list[tuple[pd.Timestamp, pd.Timestamp]] = []
    for span in sorted(spans):
        if span.end <= start:
            continue
        if span.start >= end:
            break
        if span.start > start:
            parts.append((start, span.start))
        start = max(start, span.end)
    return [*parts, (start, end)] if start < end else parts


def as_time(time: pd.Timestamp) -> int:
    """A time as microseconds since 1970."""
    return int(time.value) // 1000  # nanoseconds, whatever the unit of the time


def as_stamp(value: int | np.int64) -> pd.Timestamp:
    """Microseconds since 1970 as a time in UTC."""
    return pd.Timestamp(int(value), unit="us", tz="UTC")
