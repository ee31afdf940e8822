"""The book of a symbol: its slots, what they hold, and what they have earned."""

from __future__ import annotations

import math
from collections.abc import Callable
from math import inf, isnan
from typing import Any, NamedTuple

import numpy as np

from brain.errors import InputError
from brain.naming import Fill
from brain.text import moment as time_text
from engine.kernels.fills import fill_time
from engine.kernels.incremental.positions import IncrementalPositions
from engine.kernels.incremental.profit import IncrementalProfit
from engine.kernels.incremental.recent_bars import Arrays
from engine.kernels.incremental.settlements import IncrementalSettlements, PaidBar
from serving.arrays import from_json, to_json
from serving.bars import Bar, Row
from serving.funding import FundingLedger
from serving.journal import value

__all__ = ["DAY_NS", "Book", "BookedProfit"]

DAY_NS = 86_400 * 10**9

_PLAIN = ("close", "day", "net", "booked", "version", "bars", "stopped", "switch")

# Where the bars tell it: of finer ones an executor sees none, so it is this bar's open.
_BOOKED = {fill: str(Fill.OPEN if fill is Fill.FINER else fill) for fill in Fill}


class BookedProfit(NamedTuple):
    """What a symbol has earned, after costs and funding, in shares of its capital.

    Attributes:
        bar: in its last bar; NaN where that is missing, or its funding is unknown yet.
        day: on that bar's day (UTC); NaN where funding of the day is unknown yet.
        fill: where the evaluation of the newest version fills decisions.
        booked: where the decision before the last bar was filled here: ``given``, by a row; or
            ``open``, ``worked`` or ``close``, by the bars. Empty before the first.
    """

    bar: float
    day: float
    fill: Fill
    booked: str


class Book:
    """What a symbol's decisions hold; it outlives the versions that made them.

    A bar is settled first, which is what the decisions before it earned in it, and then decided.

    Args:
        horizon: bars that a decision is held, and so the number of slots.
        fill: where decisions are filled.

    Attributes:
        opened: when a bar opened, by its close; both nanoseconds since 1970 UTC.
        net: profit of the day of the last bar (UTC, by its close), after costs and such funding as
            is known.
        booked: where the decision before the last bar was filled, see :class:`BookedProfit`.
        version, bars: that decided last, and for how many bars.
        stopped: the day on which the daily loss was reached last.
        switch: why nothing may be held by a call; empty if it may.
    """

    def __init__(self, horizon: int, fill: Fill) -> None:
        self.horizon = horizon
        self._positions = IncrementalPositions(horizon)
        self._profit = IncrementalProfit(horizon, fill)
        self._funding: FundingLedger | None = None
        self._given: list[float] = []  # the price of the decision at the last close, or none
        self._own = math.nan  # the last bar's profit but for funding
        self.opened: Callable[[int], int] = int
        self._slots = [0.0] * horizon
        self._at = 0
        self.close: int | None = None
        self.day = 0
        self.net = 0.0
        self.booked = ""
        self.version = ""
        self.bars = 0
        self.stopped = -1
        self.switch = ""

    @property
    def exposure(self) -> float:
        """Over all slots, shares of the symbol's capital."""
        return math.fsum(self._slots) / self.horizon

    @property
    def profit(self) -> float:
        """Of the last bar, after costs and funding; NaN is missing, or unknown yet."""
        return self._own if self._funding is None else self._own + self._funding.received

    @property
    def earned(self) -> BookedProfit:
        """Of the last bar and its day."""
        complete = self._funding is None or self._funding.complete
        day = self.net if complete else math.nan
        return BookedProfit(self.profit, day, self._profit.fill, self.booked)

    def adopt(self, fill: Fill, settlements: Arrays) -> None:
        """Fill and pay as a version does from now on.

        Args:
            fill: where decisions are filled.
            settlements: of the funding that positions pay, as the version carries them; none where
                they pay none. Those of the same exchange that are here already stay.
        """
        self._profit.fill = fill
        if not settlements:
            self._funding = None
            return
        theirs = IncrementalSettlements.from_arrays(settlements)
        if self._funding is None or self._funding.exchange != theirs.exchange:
            self._funding = FundingLedger(theirs)
        else:
            self.net += self._funding.learn(theirs)

    def row(self, row: Row) -> bool:
        """Book a settlement of the funding that is paid, or the fill of the last decision.

        Returns:
            Whether it is of these.

        Raises:
            InputError: the fill is of another close than the last one.
        """
        if row.kind == "fill":
            if row.time != self.close:
                last = "there is none" if self.close is None else time_text(self.close)
                raise InputError(
                    f"a fill is given for {time_text(row.time)}, and the last decision's close is "
                    f"{last}; give it after its bar and before the next one"
                )
            self._given = [row.values["price"]]
            return True
        if row.kind != "funding" or self._funding is None or self._funding.exchange != row.exchange:
            return False
        self.net += self._funding.add(row.time, row.values["rate"], row.values["interval_hours"])
        return True

    def settle(self, bar: Bar, cost: float) -> None:
        """Book what the decisions before a bar earned in it.

        Args:
            bar: the next one; NaN prices are a missing one.
            cost: of each unit of capital that is traded in it, as a share.
        """
        close_ns, open_, high, low, close, _ = bar
        day = close_ns // DAY_NS
        if day != self.day:
            self.day, self.net = day, 0.0
            if self._funding is not None:
                self._funding.new_day()
        before, mark, given = self._profit.units, self._profit.mark, self._given
        fill = given[0] if given else None
        self._own = self._profit.settle(open_, high, low, close, cost, fill=fill).net
        self._given, self.booked = [], "given" if given else _BOOKED[self._profit.fill]
        if not isnan(self._own):
            self.net += self._own
        if self._funding is not None:
            received = self._pay(self._funding, bar, before, mark)
            self.net += 0.0 if isnan(received) else received
        if not 0.0 < (close if fill is None else fill) < inf:
            # There is no fill, so the decision before holds nothing.
            self._slots[self._at - 1] = 0.0
        self.close = close_ns

    def _pay(self, funding: FundingLedger, bar: Bar, before: float, mark: float) -> float:
        """What is received in the bar; NaN is unknown yet."""
        opened = self.opened(bar.close_time)
        length = bar.close_time - opened
        filled = bar.close_time - round(length * (1.0 - fill_time(self._profit.fill)))
        begin = opened if self.close is None else self.close
        paid = PaidBar(begin, filled, bar.close_time, mark, self._profit.mark)
        return funding.settle(paid, before, self._profit.units, missing=isnan(bar.close))

    def side(self, gain: float, threshold: float) -> float:
        """What the position rule does at the bar: 1, 0, -1; NaN is no decision."""
        return self._positions.push(gain, threshold)

    def others(self) -> float:
        """The exposure without the slot that the bar's decision takes over."""
        slots = self._slots
        taken, slots[self._at] = slots[self._at], 0.0
        rest = math.fsum(slots) / self.horizon
        slots[self._at] = taken
        return rest

    def decide(self, side: float, position: float, keep: float = 1.0) -> None:
        """Take the slot over.

        Args:
            side: of :meth:`side`.
            position: after the limits.
            keep: the share of every other slot that is kept; the rest is closed at the next fill.
        """
        slots, positions = self._slots, self._positions
        if keep < 1.0:
            self._slots = slots = [keep * position for position in slots]
            self._profit.shrink(keep)
        if keep == 0.0:
            positions.before = np.zeros(self.horizon)
        elif position == 0.0 and side in (1.0, -1.0):
            # The slot holds nothing, so the decision after it has nothing to keep.
            positions.before = np.append(positions.before[:-1], 0.0)
        slots[self._at] = position
        self._at = (self._at + 1) % self.horizon
        self._profit.decide(math.nan if isnan(side) else position)

    def skip(self, bar: Bar, cost: float) -> None:
        """Settle a bar on which nothing was decided; before the first decision there is nothing."""
        if self.close is not None and bar.close_time > self.close:
            self.settle(bar, cost)
            self.side(math.nan, 0.0)
            self.decide(math.nan, 0.0)

    def used(self, version: str) -> None:
        """Note which version decided the bar."""
        self.bars = self.bars + 1 if version == self.version else 1
        self.version = version

    def to_json(self) -> dict[str, Any]:
        """The whole state, to the last bit."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "own": None if isnan(self._own) else self._own,
            "given": [None if isnan(price) else price for price in self._given],
            "slots": self._slots,
            "at": self._at,
            "positions": to_json(self._positions.arrays()),
            "profit": to_json(self._profit.arrays()),
            "funding": None if self._funding is None else to_json(self._funding.arrays()),
        }

    def restore(self, entry: dict[str, Any]) -> None:
        """The inverse of :meth:`to_json`."""
        for name in _PLAIN:
            setattr(self, name, entry[name])
        self._own, self._given = value(entry["own"]), list(map(value, entry["given"]))
        self._slots, self._at = list(entry["slots"]), entry["at"]
        self._positions = IncrementalPositions.from_arrays(from_json(entry["positions"]))
        self._profit = IncrementalProfit.from_arrays(from_json(entry["profit"]))
        funding = entry["funding"]
        self._funding = funding and FundingLedger.from_arrays(from_json(funding))
