"""The profit of :func:`engine.kernels.profit.position_profit`, a bar at a time.

A decision is filled in the bar after its own, so a bar settles the decision before it. The units of
the open slots are added up anew in each bar, in another order than the batch's running sum: figures
agree to 1e-12 of the capital, and don't drift.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from brain.errors import InputError
from brain.naming import Fill, parse_fill
from engine.kernels.incremental.recent_bars import Arrays, array_of
from engine.kernels.incremental.scalars import INF, NAN

__all__ = ["BarProfit", "IncrementalProfit"]


@dataclass(frozen=True, repr=False)
class BarProfit(Brief):
    """The profit of a bar, as a share of the whole capital; NaN where the bar is missing.

    Attributes:
        gross: of prices.
        turnover: traded, in units of the capital.
        cost: paid for it.
        funding: received; negative where it was paid. NaN where it is unknown.
    """

    gross: float
    turnover: float
    cost: float
    funding: float

    @property
    def net(self) -> float:
        """After costs and funding."""
        return self.gross - self.cost + self.funding


_NOTHING = BarProfit(0.0, 0.0, 0.0, 0.0)
_UNKNOWN = BarProfit(NAN, NAN, NAN, NAN)


class IncrementalProfit:
    """The profit of bars and decisions that come one at a time.

    Args:
        horizon: bars that a decision is held.
        fill: where decisions are filled; a later fill may be another.

    Raises:
        InputError: the horizon is not at least 1.
    """

    def __init__(self, horizon: int, fill: Fill) -> None:
        if horizon < 1:
            raise InputError(f"horizon {horizon} is not a number of bars; write 1 or more")
        self._horizon, self.fill = horizon, fill
        # Units of the last decisions, oldest first, and of those that a missing fill kept open.
        self._slots: deque[float] = deque([0.0] * horizon, maxlen=horizon)
        self._late: list[float] = []
        self._position = self._close = self._mark = NAN
        # Of missing bars, for the next one.
        self._carried = _NOTHING

    @property
    def units(self) -> float:
        """Held over all slots, in units of what is traded for a capital of 1."""
        return sum(self._slots) + sum(self._late)

    @property
    def mark(self) -> float:
        """The last close that there was; NaN before the first."""
        return self._mark

    def push(
        self,
        position: float,
        open: float,  # noqa: A002 -- the column's name
        high: float,
        low: float,
        close: float,
        cost: float,
        funding: tuple[float, float] | None = None,
    ) -> BarProfit:
        """The next bar's profit, and the decision at its close: :meth:`settle`, :meth:`decide`."""
        profit = self.settle(open, high, low, close, cost, funding)
        self.decide(position)
        return profit

    def decide(self, position: float) -> None:
        """The decision at the last bar's close, -1 to 1 of its slot's capital; NaN is none.

        Of two for one bar the later counts.
        """
        self._position = position

    def shrink(self, share: float) -> None:
        """Close all but a share of every slot at the next fill, beside what the slot itself does.

        Args:
            share: that goes on, 0 to 1.
        """
        self._late += [units * (1.0 - share) for units in self._slots if units]
        self._slots.extend([units * share for units in self._slots])

    def settle(
        self,
        open: float,  # noqa: A002 -- the column's name
        high: float,
        low: float,
        close: float,
        cost: float,
        funding: tuple[float, float] | None = None,
        *,
        fill: float | None = None,
    ) -> BarProfit:
        """Fill the decision before the next bar, and mark the bar to its close.

        Args:
            open, high, low, close: prices; NaN is a missing bar.
            cost: of each unit of capital that is traded, as a share.
            funding: what a long position of one unit pays in the bar, until its fills and from
                then to its close, see :class:`engine.kernels.payments.Funding`; None if nothing.
            fill: the price of the decision before; None is that of the bars by the fill, and where
                it lies in finer bars, this bar's open.

        Returns:
            The bar's profit, with that of the missing bars before it.
        """
        price = self._price(open, high, low, close) if fill is None else fill
        before, mark = self.units, self._mark if math.isnan(close) else close
        bought, paid = self._trade(price)
        gross = 0.0
        if not math.isnan(mark):
            moves = 0.0 if math.isnan(self._mark) else mark - self._mark
            gross = before * moves + (bought * (mark - price) if bought else 0.0)
        received = 0.0
        if funding is not None:
            received = -(_product(before, funding[0]) + _product(self.units, funding[1]))
        turnover = price * paid if paid else 0.0
        profit = _sum(self._carried, BarProfit(gross, turnover, cost * turnover, received))
        self._mark, self._close, self._position = mark, close, NAN
        if 0.0 < close < INF:
            self._carried = _NOTHING
            return profit
        self._carried = profit
        return _UNKNOWN

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What :meth:`from_arrays` goes on from."""
        carried = [getattr(self._carried, field.name) for field in fields(BarProfit)]
        return {
            "fill": np.array(str(self.fill)),
            "slots": np.array(self._slots),
            "late": np.array(self._late, dtype=np.float64),
            "last": np.array([self._position, self._close, self._mark]),
            "carried": np.array(carried),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Go on after the bar of :meth:`arrays`.

        Raises:
            InputError: the arrays are of something else.
        """
        slots = array_of(arrays, "slots", np.float64, 1).tolist()
        profit = cls(len(slots), parse_fill(str(array_of(arrays, "fill", np.str_, 0))))
        profit._slots.extend(slots)
        profit._late = array_of(arrays, "late", np.float64, 1).tolist()
        last, carried = (array_of(arrays, name, np.float64, 1) for name in ("last", "carried"))
        if last.shape != (3,) or carried.shape != (len(fields(BarProfit)),):
            raise InputError("last and carried have other lengths than arrays() gives them")
        profit._position, profit._close, profit._mark = last.tolist()
        profit._carried = BarProfit(*carried.tolist())
        return profit

    def _price(self, open_: float, high: float, low: float, close: float) -> float:
        """The fill of the decision before, by the bars; see :mod:`engine.kernels.fills`."""
        if self.fill is Fill.CLOSE:
            return self._close
        return (high + low + close) / 3.0 if self.fill is Fill.WORKED else open_

    def _trade(self, price: float) -> tuple[float, float]:
        """Units that are bought, and units that are paid for, at the price of the last decision."""
        former = self._slots[0]
        if not 0.0 < price < INF:
            # What can't be closed now is closed at the first later fill.
            if former:
                self._late.append(former)
            self._slots.append(0.0)
            return 0.0, 0.0
        decided = math.isfinite(self._position)
        units = self._position / (self._horizon * price) if decided else 0.0
        # What both hold is handed over; a decision pays for what it opens, and for what it closes.
        both = min(abs(units), abs(former)) if units * former > 0.0 else 0.0
        paid = abs(units) + abs(former) - 2.0 * both + sum(map(abs, self._late))
        bought = units - former - sum(self._late)
        self._late.clear()
        self._slots.append(units)
        return bought, paid


def _product(units: float, amount: float) -> float:
    """Units times an amount; nothing held is nothing paid, whatever is unknown."""
    return units * amount if units else 0.0


def _sum(first: BarProfit, second: BarProfit) -> BarProfit:
    return BarProfit(
        first.gross + second.gross,
        first.turnover + second.turnover,
        first.cost + second.cost,
        first.funding + second.funding,
    )
