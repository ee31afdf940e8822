"""Predictions as trades: the positions that they decide, and the profit of these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from brain.naming import REGIMES
from engine.data.dataset import Dataset
from engine.kernels.columns import Floats
from engine.kernels.payments import Funding
from engine.kernels.profit import Profit, position_profit
from engine.kernels.windows import lag

__all__ = ["ALL", "KEYS", "Trading", "always_in", "reversal", "trading_of"]

#: The key of what is over all bars, whatever their regime.
ALL = "all"
#: All bars, and each regime's.
KEYS = (ALL, *REGIMES)


@dataclass(frozen=True, repr=False)
class Trading(Brief):
    """What predictions are traded on, and at what cost.

    Attributes:
        close: (N,) of the bars; NaN is a missing bar.
        fill: (N,) the price at which each bar's decision is filled.
        regimes: (N,) codes into :data:`brain.naming.REGIMES`, -1 unknown.
        horizon: bars that a decision is held.
        cost: of each unit of capital that is traded, as a share; (N,) of each bar, or of all.
        bars_per_year: of a grid without gaps.
        funding: of the bars; None if there is none.
    """

    close: Floats
    fill: Floats
    regimes: NDArray[np.int8]
    horizon: int
    cost: Floats | float
    bars_per_year: float
    funding: Funding | None = None

    @property
    def exists(self) -> NDArray[np.bool_]:
        """(N,) which rows are bars."""
        return np.isfinite(self.close)

    @property
    def existing_per_year(self) -> float:
        """Bars a year that exist."""
        return self.bars_per_year * float(self.exists.mean())

    def members(self, key: str) -> NDArray[np.bool_]:
        """(N,) the rows of a key of :data:`KEYS`."""
        if key == ALL:
            return np.ones(len(self.close), dtype=np.bool_)
        return np.asarray(self.regimes == REGIMES.index(key))

    def profit(self, position: Floats, key: str = ALL, *, delay: int = 0) -> Profit:
        """The profit of the decisions of a key's rows, each that many bars late."""
        return position_profit(
            lag(position, delay),
            self.fill,
            self.close,
            horizon=self.horizon,
            cost=self.cost,
            funding=self.funding,
            members=lag(self.members(key).astype(np.float64), delay, 0.0) > 0.0,
        )

    def capital(self, result: Profit, key: str = ALL) -> Floats:
        """(N,) the capital behind a profit; NaN on bars without a decision.

        All of it over all bars; in a regime, that of the slots that were decided in it.
        """
        share = np.ones(len(self.close)) if key == ALL else result.slots / self.horizon
        return np.where(result.slots > 0, share, np.nan)


def trading_of(dataset: Dataset, cost: Floats | float) -> Trading:
    """Trading on a dataset's bars at a cost of each unit traded, see :class:`Trading`."""
    return Trading(
        close=dataset.close,
        fill=dataset.fill_price,
        regimes=dataset.regimes,
        horizon=dataset.horizon,
        cost=cost,
        bars_per_year=dataset.bars_per_year,
        funding=dataset.funding,
    )


def always_in(prediction: Floats) -> Floats:
    """The whole slot in the direction of the prediction, (N,); NaN is no decision."""
    return np.sign(prediction)


def reversal(close: Floats, decided: NDArray[np.bool_]) -> Floats:
    """The last return reversed, (N,): what a model has to be better than.

    Args:
        close: (N,) of the bars.
        decided: (N,) the rows that the model decides; NaN elsewhere.
    """
    change = close - lag(close, 1)
    return np.where(decided, -np.sign(change), np.nan)
