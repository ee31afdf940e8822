"""Which row of a market series was public at each bar's close. NumPy arrays alone."""

from __future__ import annotations

import numpy as np

from engine.kernels.columns import Floats, Times
from engine.kernels.windows import ratio

__all__ = ["STALE", "AsOf"]

#: Periods after which a row no longer holds for the present.
STALE = 2.0


class AsOf:
    """One exchange's rows as they were public at every bar's close.

    Of the rows that were published by then, the one with the latest time stamp; none if that is
    more than :data:`STALE` of its periods old. Rows that are published later, and rows older than
    the latest one, make no difference.

    Args:
        time_ns, available_ns: (M,) stamps and moments of publication, in any order.
        period_ns: (M,) to the next row; one that isn't positive makes the row unknown.
        at_ns: (N,) the bars' closes.

    Attributes:
        age: (N,) since the row's time stamp, in its own periods; NaN without a row.
        time: (N,) the row's stamp in nanoseconds; NaN without a row.
    """

    def __init__(
        self, time_ns: Times, available_ns: Times, period_ns: Floats, at_ns: Times
    ) -> None:
        order = np.lexsort((available_ns, time_ns))
        # The k-th row to be published, as a place in the order of time; the newest of the first k.
        arrival = np.argsort(available_ns[order], kind="stable")
        newest = np.maximum.accumulate(arrival)
        count = np.searchsorted(available_ns[order][arrival], at_ns, side="right")
        self._published = count > 0
        self._row = order[newest[count[self._published] - 1]]
        # Whole nanoseconds are subtracted first: as floats they would lose their last digits.
        since = (at_ns[self._published] - time_ns[self._row]).astype(np.float64)
        age = self._at_bars(ratio(since, period_ns[self._row]))
        self._valid = (age >= 0.0) & (age <= STALE)
        self.age = np.where(self._valid, age, np.nan)
        self.time = self.take(time_ns.astype(np.float64))

    def take(self, values: Floats) -> Floats:
        """A column's value (M,) in the row that is public at each bar, (N,); NaN without one."""
        return np.where(self._valid, self._at_bars(values[self._row]), np.nan)

    def _at_bars(self, values: Floats) -> Floats:
        spread = np.full(self._published.shape, np.nan)
        spread[self._published] = values
        return spread
