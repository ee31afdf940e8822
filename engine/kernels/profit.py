"""The profit of a position rule, marked to market bar by bar.

Every decision is one of ``horizon`` slots, each with 1/horizon of a constant capital of 1. It is
filled after its bar's close, its units stay fixed from then on, and it is closed ``horizon`` bars
later, at the fill of that bar's decision, which takes the slot over: only the difference is traded.
If the bar of that fill is missing, it is closed at the first later fill. A decision whose fill is
missing, and one without a prediction, holds nothing.

A bar's profit is the change from close to close of what is held and traded, less what was paid in
it; a bar that is missing has none, and its changes and payments belong to the next bar. So profits
add up, and a bar's never changes once it is known.

A kernel on NumPy arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from brain.errors import InputError
from engine.kernels.columns import Floats, valid_prices
from engine.kernels.payments import Funding
from engine.kernels.windows import lag, last_known

__all__ = ["Profit", "position_profit"]


@dataclass(frozen=True, repr=False)
class Profit(Brief):
    """The profit of each bar, as a share of the whole capital; NaN where there is no bar.

    Attributes:
        gross: (N,) of prices.
        turnover: (N,) traded, in units of the capital.
        cost: (N,) paid for it.
        funding: (N,) received; negative where it was paid. NaN where it is unknown.
        slots: (N,) decisions that were held or closed in the bar, flat ones included; at most the
            horizon.
    """

    gross: Floats
    turnover: Floats
    cost: Floats
    funding: Floats
    slots: NDArray[np.int64]

    @property
    def net(self) -> Floats:
        """(N,) after costs and funding."""
        return self.gross - self.cost + self.funding


def position_profit(
    position: Floats,
    fill: Floats,
    close: Floats,
    *,
    horizon: int,
    cost: Floats | float,
    funding: Funding | None = None,
    members: NDArray[np.bool_] | None = None,
) -> Profit:
    """The profit of the decisions.

    Args:
        position: (N,) decided at each close, -1 to 1 of the slot's capital; NaN is no decision.
        fill: (N,) prices of :func:`engine.kernels.fills.fill_prices`.
        close: (N,) of the bars; NaN is a missing bar.
        horizon: bars that a decision is held.
        cost: of each unit of capital that is traded, as a share; (N,) of each bar, or of all.
        funding: of the bars; None if there is none.
        members: (N,) the decisions whose profit it is; all if None. What a decision holds on from
            the one before it in its slot, of whatever group, costs neither of them anything.

    Raises:
        InputError: the arrays differ in length, or the horizon is not at least 1.
    """
    if horizon < 1:
        raise InputError(f"horizon {horizon} is not a number of bars; write 1 or more")
    if not position.shape == fill.shape == close.shape:
        raise InputError(
            f"{position.shape} positions, {fill.shape} fills and {close.shape} closes don't match; "
            "give one of each a bar"
        )
    rows = len(close)
    group = np.ones(rows, dtype=np.bool_) if members is None else members
    fillable = valid_prices(fill)
    decided = np.isfinite(position) & fillable
    price = np.where(fillable, fill, 1.0)
    units = np.where(decided, position, 0.0) / (horizon * price)
    exits = _exits(fillable, horizon)
    slots = _Slots(decided & group, exits)

    mine = units * group
    traded = slots.opened(mine) - slots.closed(mine)
    # A running sum leaves a rest where all that was held is closed.
    holding = _Slots(decided & group & (units != 0.0), exits).held() > 0
    held = np.where(holding, np.cumsum(traded), 0.0)
    before, traded_at = lag(held, 1, 0.0), lag(price, 1, 0.0)
    mark = last_known(close)
    moves = np.nan_to_num(mark - lag(mark, 1))  # none before there is a close
    gross = before * moves + traded * np.where(traded, mark - traded_at, 0.0)
    turnover = traded_at * _turnover(units, decided, group, fillable, horizon)
    received = np.zeros(rows)
    if funding is not None:
        received = -(_product(before, funding.before) + _product(held, funding.after))
    exists = valid_prices(close)
    return Profit(
        gross=_at_bars(gross, exists),
        turnover=_at_bars(turnover, exists),
        cost=_at_bars(cost * turnover, exists),
        funding=_at_bars(received, exists),
        slots=np.minimum(slots.touched(), horizon),
    )


class _Slots:
    """The bars in which decisions are held.

    Args:
        decided: (N,) the decisions that are filled, flat ones included.
        exits: (N,) the row whose fill closes each decision; N if there is none yet.
    """

    def __init__(self, decided: NDArray[np.bool_], exits: NDArray[np.int64]) -> None:
        self._rows = np.flatnonzero(decided)
        self._exits = exits[self._rows]
        self._length = len(decided)

    def opened(self, units: Floats) -> Floats:
        """(N,) units that are bought in each bar: those of the decision before it."""
        return self._sum(self._rows + 1, units)

    def closed(self, units: Floats) -> Floats:
        """(N,) units that are sold in each bar."""
        return self._sum(self._exits + 1, units)

    def held(self) -> NDArray[np.int64]:
        """(N,) decisions that are held at each bar's close."""
        return self._count(self._rows + 1, self._exits + 1)

    def touched(self) -> NDArray[np.int64]:
        """(N,) decisions that are held or closed in each bar."""
        return self._count(self._rows + 1, self._exits + 2)

    def _sum(self, bars: NDArray[np.int64], units: Floats) -> Floats:
        total = np.zeros(self._length + 2)
        np.add.at(total, np.minimum(bars, self._length), units[self._rows])
        return total[: self._length]

    def _count(self, first: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
        change = np.zeros(self._length + 1, dtype=np.int64)
        np.add.at(change, np.minimum(first, self._length), 1)
        np.add.at(change, np.minimum(end, self._length), -1)
        return np.cumsum(change)[: self._length]


def _exits(fillable: NDArray[np.bool_], horizon: int) -> NDArray[np.int64]:
    """The first row with a fill at least ``horizon`` rows later, (N,); N if there is none."""
    rows = len(fillable)
    first = np.where(fillable, np.arange(rows), rows)
    first = np.minimum.accumulate(first[::-1])[::-1]
    exits = np.full(rows, rows)
    exits[:-horizon] = first[horizon:]
    return exits


def _turnover(
    units: Floats,
    decided: NDArray[np.bool_],
    group: NDArray[np.bool_],
    fillable: NDArray[np.bool_],
    horizon: int,
) -> Floats:
    """(N,) units that the group pays for in each bar, by decision and not netted between slots."""
    rows = len(units)
    paid = np.zeros(rows)
    former, before = np.zeros(rows), np.zeros(rows, dtype=np.bool_)
    former[horizon:], before[horizon:] = units[:-horizon], group[:-horizon]
    # What both hold is handed over; a decision pays for what it opens, and for what it closes.
    both = np.where(units * former > 0.0, np.minimum(np.abs(units), np.abs(former)), 0.0)
    opened = np.where(decided & group, np.abs(units) - both, 0.0)
    closed = np.where(before, np.abs(former) - both, 0.0)
    paid[1:] = np.where(fillable, opened + closed, 0.0)[:-1]
    # A slot whose fill is missing is closed later, by itself.
    late = np.flatnonzero(~fillable[horizon:] & (units[:-horizon] != 0.0) & group[:-horizon])
    bars = _exits(fillable, horizon)[late] + 1
    inside = bars < rows
    np.add.at(paid, bars[inside], np.abs(units[late[inside]]))
    return paid


def _product(units: Floats, amount: Floats) -> Floats:
    """Units times an amount; nothing held is nothing paid, whatever is unknown."""
    return np.where(units == 0.0, 0.0, units * amount)


def _at_bars(values: Floats, exists: NDArray[np.bool_]) -> Floats:
    """(N,) values at the bars that exist, those of the missing bars before them added; NaN else."""
    total = np.full(len(values), np.nan)
    places = np.flatnonzero(exists)
    if places.size:
        starts = np.concatenate([[0], places[:-1] + 1])
        total[places] = np.add.reduceat(values, starts)[: places.size]
        # reduceat's last stretch reaches to the end of the values.
        total[places[-1]] = values[starts[-1] : places[-1] + 1].sum()
    return total
