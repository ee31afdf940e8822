"""Which row of a source is public at the newest bar's close, as in :mod:`engine.kernels.as_of`.

A row counts from the first bar that is pushed after it and closes at or after its ``available``.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

from engine.kernels.as_of import STALE
from engine.kernels.incremental.scalars import NAN, ratio

__all__ = ["Row", "Rows", "age"]


class Row(NamedTuple):
    """A market's row in the order of :class:`engine.kernels.as_of.AsOf`: the newest is the last."""

    time_ns: int
    available_ns: int
    place: int
    first: float
    second: float


class Rows:
    """A source's rows of a kind: those to come, and the newest of those that are public."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Row]] = []
        self._newest: Row | None = None
        self._places = 0

    def add(self, time_ns: int, available_ns: int, first: float, second: float) -> None:
        """Add a row of two values."""
        row = Row(int(time_ns), int(available_ns), self._places, float(first), float(second))
        self._places += 1
        heapq.heappush(self._waiting, (row.available_ns, row))

    def public(self, at_ns: int) -> Row | None:
        """The newest row that is public at a bar's close; closes ascend."""
        while self._waiting and self._waiting[0][0] <= at_ns:
            _, row = heapq.heappop(self._waiting)
            if self._newest is None or row > self._newest:
                self._newest = row
        return self._newest

    def rows(self) -> list[Row]:
        """All that may count at bars to come."""
        newest = [self._newest] if self._newest else []
        return newest + [row for _, row in sorted(self._waiting)]


def age(row: Row, period_ns: float, at_ns: int) -> float:
    """Periods since a row's time stamp; NaN where it is stale."""
    # Whole nanoseconds are subtracted first, as in the batch.
    periods = ratio(float(at_ns - row.time_ns), period_ns)
    return periods if 0.0 <= periods <= STALE else NAN
