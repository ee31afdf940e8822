"""The evidence of a night: a line's profit by regime of decision, over the volatility known before.

A night is a day of UTC, by the bars' closes; a close at midnight belongs to the day that ends
there. A night's evidence rests on bars up to its end alone, so it never changes once they are
there; and it is the same whatever the bars before the first position are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from brain.naming import REGIMES
from engine.evaluation.trading import Trading
from engine.kernels.columns import Floats, Times

__all__ = ["DAY_NS", "NightTable", "complete_days", "days_of", "night_evidence"]

DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, repr=False)
class NightTable(Brief):
    """Evidence by night; D nights with bars, oldest first, R regimes.

    Attributes:
        days: (D,) days since 1970-01-01.
        profit: (D, R) net profit of the regime's decisions, marked to market, costs and funding
            paid, over ``volatility``. NaN where no decision of the regime was held or closed in the
            night, where funding is unknown, and where the volatility is.
        volatility: (D,) of the night's log return, by what was known before its first bar opened;
            NaN is unknown.
        turnover: (D, R) traded, in units of the capital.
        missing: (D,) share of the night's bars without a prediction.
        bars: (D,) of the grid.
    """

    days: NDArray[np.int64]
    profit: Floats
    volatility: Floats
    turnover: Floats
    missing: Floats
    bars: NDArray[np.int64]

    def nights(self, chosen: NDArray[np.bool_]) -> NightTable:
        """Some of the nights, by a mask (D,)."""
        return NightTable(**{name: column[chosen] for name, column in vars(self).items()})


def days_of(close_ns: Times) -> NDArray[np.int64]:
    """The day of each close, (N,), days since 1970-01-01."""
    return (close_ns - 1) // DAY_NS


def complete_days(close_ns: Times) -> NDArray[np.int64]:
    """The days whose end the bars reach, ascending; one before the first bar's is none of them."""
    days = np.unique(days_of(close_ns))
    return days[(days + 1) * DAY_NS <= close_ns[-1]] if len(close_ns) else days


def night_evidence(
    prediction: Floats, position: Floats, trading: Trading, volatility: Floats, close_ns: Times
) -> NightTable:
    """The evidence of every night with bars, of an incomplete one too.

    A night's volatility is that of one bar, known at the last close before the night, times the
    root of the night's bars. Profits of the regimes add up to that of the whole book, as far as the
    decisions' regimes are known.

    Args:
        prediction: (N,) at each close; NaN is none.
        position: (N,) decided at each close, -1 to 1 of the slot's capital; NaN is no decision.
        trading: on the same rows.
        volatility: (N,) of one bar's log return, known at each close; NaN unknown.
        close_ns: (N,) closes, nanoseconds since 1970 UTC, ascending.
    """
    days, starts, bars = np.unique(days_of(close_ns), return_index=True, return_counts=True)
    profit, turnover = np.empty((len(days), len(REGIMES))), np.empty((len(days), len(REGIMES)))
    exists = trading.exists
    for place, regime in enumerate(REGIMES):
        result = trading.profit(position, regime)
        held = np.logical_or.reduceat(exists & (result.slots > 0), starts)
        total = np.add.reduceat(np.where(exists, result.net, 0.0), starts)
        profit[:, place] = np.where(held, total, np.nan)
        turnover[:, place] = np.add.reduceat(np.where(exists, result.turnover, 0.0), starts)
    before = np.where(starts > 0, volatility[starts - 1], np.nan)
    scale = np.where(before > 0.0, before, np.nan) * np.sqrt(bars)
    missing = np.add.reduceat(~np.isfinite(prediction), starts, dtype=np.float64) / bars
    return NightTable(days, profit / scale[:, None], scale, turnover, missing, bars)
