"""The book of a symbol: its slots, what they hold, and what they have earned."""

from __future__ import annotations

import math
from math import isnan
from typing import Any

import numpy as np

from brain.naming import Fill
from engine.kernels.incremental.positions import IncrementalPositions
from engine.kernels.incremental.profit import IncrementalProfit
from serving.arrays import from_json, to_json
from serving.bars import Bar
from serving.journal import value

__all__ = ["DAY_NS", "Book"]

DAY_NS = 86_400 * 10**9

_PLAIN = ("close", "day", "net", "version", "bars", "stopped", "switch")


class Book:
    """What a symbol's decisions hold; it outlives the versions that made them.

    A bar is settled first, which is what the decisions before it earned in it, and then decided.

    Args:
        horizon: bars that a decision is held, and so the number of slots.
        fill: where decisions are filled.

    Attributes:
        net: profit of the day of the last bar (UTC, by its close), after costs.
        profit: of the last bar, after costs; NaN where it is missing.
        version, bars: that decided last, and for how many bars.
        stopped: the day on which the daily loss was reached last.
        switch: why nothing may be held by a call; empty if it may.
    """

    def __init__(self, horizon: int, fill: Fill) -> None:
        self.horizon = horizon
        self._positions = IncrementalPositions(horizon)
        self._profit = IncrementalProfit(horizon, fill)
        self._slots = [0.0] * horizon
        self._at = 0
        self.close: int | None = None
        self.day = 0
        self.net = 0.0
        self.profit = math.nan
        self.version = ""
        self.bars = 0
        self.stopped = -1
        self.switch = ""

    @property
    def exposure(self) -> float:
        """Over all slots, shares of the symbol's capital."""
        return math.fsum(self._slots) / self.horizon

    def settle(self, bar: Bar, cost: float) -> None:
        """Book what the decisions before a bar earned in it.

        Args:
            bar: the next one; NaN prices are a missing one.
            cost: of each unit of capital that is traded in it, as a share.
        """
        close_ns, open_, high, low, close, _ = bar
        self.profit = self._profit.settle(open_, high, low, close, cost).net
        day = close_ns // DAY_NS
        if day != self.day:
            self.day, self.net = day, 0.0
        if not isnan(self.profit):
            self.net += self.profit
        if isnan(close):  # there is no fill, so the decision before holds nothing
            self._slots[self._at - 1] = 0.0
        self.close = close_ns

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
            "profit_of_bar": None if isnan(self.profit) else self.profit,
            "slots": self._slots,
            "at": self._at,
            "positions": to_json(self._positions.arrays()),
            "profit": to_json(self._profit.arrays()),
        }

    def restore(self, entry: dict[str, Any]) -> None:
        """The inverse of :meth:`to_json`."""
        for name in _PLAIN:
            setattr(self, name, entry[name])
        self.profit = value(entry["profit_of_bar"])
        self._slots, self._at = list(entry["slots"]), entry["at"]
        self._positions = IncrementalPositions.from_arrays(from_json(entry["positions"]))
        self._profit = IncrementalProfit.from_arrays(from_json(entry["profit"]))
