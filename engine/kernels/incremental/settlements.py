"""The payments of :func:`engine.kernels.payments.funding_payments`, as settlements become known.

Rows may come late and in any order: whoever has to know what a bar paid asks again. Of bars that
are asked once all settlements are known, the batch says the same.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from math import isnan
from typing import Self

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from brain.errors import InputError
from engine.kernels.incremental.recent_bars import Arrays, array_of
from engine.kernels.incremental.scalars import NAN

__all__ = ["IncrementalSettlements", "PaidBar"]

_HOUR_NS = 3_600_000_000_000
# As many as a day has, of intervals of half an hour, and the one before them.
_KEPT = 49


@dataclass(frozen=True, slots=True, repr=False)
class PaidBar(Brief):
    """A bar, to ask for its payments.

    Attributes:
        begin_ns: when the bar before it closed, nanoseconds since 1970 UTC.
        fill_ns: moment of its fills.
        close_ns: when it closed.
        mark: the last close before it; NaN is unknown.
        close: of the bar, or the last one if it is missing.
    """

    begin_ns: int
    fill_ns: int
    close_ns: int
    mark: float
    close: float


class IncrementalSettlements:
    """The newest settlements of the funding that positions pay.

    Args:
        exchange: whose.
    """

    def __init__(self, exchange: str) -> None:
        self.exchange = exchange
        self._times: list[int] = []
        self._rates: list[float] = []
        self._intervals: list[int] = []

    def add(self, time_ns: int, rate: float, interval_hours: float) -> None:
        """Add a settlement; of two of one time the later one counts.

        Args:
            time_ns: of it.
            rate: fraction per interval; NaN is unknown.
            interval_hours: since the settlement before; NaN is unknown.
        """
        # An unknown interval tells nothing of what came before.
        interval = 0 if isnan(interval_hours) else round(interval_hours * _HOUR_NS)
        at = bisect_left(self._times, time_ns)
        end = at + (self._times[at : at + 1] == [time_ns])
        self._times[at:end] = [time_ns]
        self._rates[at:end], self._intervals[at:end] = [rate], [interval]

    def extend(self, later: Self) -> None:
        """Add those of others that are later than all here."""
        at = bisect_right(later._times, self._times[-1]) if self._times else 0
        self._times += later._times[at:]
        self._rates += later._rates[at:]
        self._intervals += later._intervals[at:]

    def payments(self, bar: PaidBar) -> tuple[float, float]:
        """What a long position of one unit pays, until the bar's fills and from then to its close.

        Returns:
            In the quote currency; zero without a settlement, NaN where one may be missing.
        """
        first = bisect_right(self._times, bar.begin_ns)
        if self._unknown(bar, first):
            return NAN, NAN
        before = after = 0.0
        for at in range(first, bisect_right(self._times, bar.close_ns)):
            time = self._times[at]
            amount = (bar.close if time == bar.close_ns else bar.mark) * self._rates[at]
            if time <= bar.fill_ns:
                before += amount
            else:
                after += amount
        return before, after

    def forget(self, until_ns: int) -> None:
        """Drop the oldest that are before a moment, but for as many as a day has."""
        while len(self._times) > _KEPT and self._times[_KEPT] <= until_ns:
            del self._times[0], self._rates[0], self._intervals[0]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What :meth:`from_arrays` goes on from."""
        return {
            "exchange": np.array(self.exchange),
            "time_ns": np.array(self._times, dtype=np.int64),
            "rate": np.array(self._rates, dtype=np.float64),
            "interval_ns": np.array(self._intervals, dtype=np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The inverse of :meth:`arrays`.

        Raises:
            InputError: the arrays are of something else.
        """
        settlements = cls(str(array_of(arrays, "exchange", np.str_, 0)))
        times = array_of(arrays, "time_ns", np.int64, 1).tolist()
        rates = array_of(arrays, "rate", np.float64, 1).tolist()
        intervals = array_of(arrays, "interval_ns", np.int64, 1).tolist()
        if not len(times) == len(rates) == len(intervals):
            raise InputError(f"{len(times)} settlements have {len(rates)} rates; give one each")
        settlements._times, settlements._rates = times, rates
        settlements._intervals = intervals
        return settlements

    def _unknown(self, bar: PaidBar, first: int) -> bool:
        """Whether a settlement of the bar may be missing; the first is that after its begin."""
        times, intervals = self._times, self._intervals
        if not times or bar.close_ns >= times[-1] + intervals[-1]:
            return True
        # Where a settlement's interval does not reach back to the one before it, or the begin.
        for at in range(first, min(bisect_left(times, bar.close_ns), len(times) - 1) + 1):
            begin = bar.begin_ns if at == 0 else max(times[at - 1], bar.begin_ns)
            if times[at] - intervals[at] > begin:
                return True
        return False
