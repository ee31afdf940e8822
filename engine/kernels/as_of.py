"""Which row of a market series was known at each bar's close. NumPy arrays alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.kernels.windows import Floats, ratio

__all__ = ["STALE", "AsOf", "Times"]

Times = NDArray[np.int64]

#: Periods after which a row says nothing of the present.
STALE = 2.0


class AsOf:
    """One exchange's rows as they were known at every bar's close.

    Of the rows that were published by then, the one with the latest time stamp; none if that is
    more than :data:`STALE` of its periods old. Which rows are published later, and which are older
    than the one that is known, makes no difference.

    Args:
        time_ns, available_ns: (M,) stamps and moments of publication, in any order.
        period_ns: (M,) to the next row; one that isn't positive makes the row unknown.
        at_ns: (N,) the bars' closes.

    Attributes:
        age: (N,) since the row's time stamp, in its own periods; NaN where none is known.
        time: (N,) the row's stamp in nanoseconds; NaN likewise.
    """

    def __init__(
        self, time_ns: Times, available_ns: Times, period_ns: Floats, at_ns: Times
    ) -> None:
        order = np.lexsort((available_ns, time_ns))
        # The k-th row to be published, as a place in the order of time; the newest of the first k.
        arrival = np.argsort(available_ns[order], kind="stable")
        newest = np.maximum.accumulate(arrival)
        count = np.searchsorted(available_ns[order][arrival], at_ns, side="right")
        self._any = count > 0
        self._row = order[newest[count[self._any] - 1]]
        # Whole nanoseconds are subtracted first: as floats they would lose their last digits.
        since = (at_ns[self._any] - time_ns[self._row]).astype(np.float64)
        age = self._at_bars(ratio(since, period_ns[self._row]))
        self._known = (age >= 0.0) & (age <= STALE)
        self.age = np.where(self._known, age, np.nan)
        self.time = self.take(time_ns.astype(np.float64))

    def take(self, values: Floats) -> Floats:
        """A column's value (M,) in the row that is known at each bar, (N,); NaN without one."""
        return np.where(self._known, self._at_bars(values[self._row]), np.nan)

    def _at_bars(self, found: Floats) -> Floats:
        spread = np.full(self._any.shape, np.nan)
        spread[self._any] = found
        return spread
