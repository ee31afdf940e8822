"""What strategies came to on the same nights, with errors.

The capital is shared out to all symbols alike and stays what it is, so that profits add up. A night
is a day of UTC with bars. Errors are those of a circular block bootstrap of nights
(:mod:`engine.evaluation.bootstrap`), with the same draws for every strategy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.replay.strategies import CHAMPIONS, Held
from brain.brief import Brief
from brain.errors import NotEnoughBarsError
from brain.records import Estimate
from engine.evaluation.bootstrap import MIN_BLOCKS, BlockBootstrap, block_length
from engine.kernels.columns import Floats

__all__ = ["Comparison", "StrategyFigures", "compare"]

_DAY_SECONDS = 86_400
_YEAR_DAYS = 365.0
#: Nights in a block at least; the profits of neighbours share positions and volatility.
_LEAST_BLOCK = 5


@dataclass(frozen=True)
class StrategyFigures:
    """What a strategy came to; errors are standard errors.

    Attributes:
        name: of the strategy.
        sharpe: annualised, after costs and funding.
        total: profit over all nights, a share of the capital.
        less: the total less that of following the champions at their sizes.
        drawdown: the largest fall of the summed profits from their highest point, 0 at the start.
        turnover: of a night, in units of the capital.
        invested: share of the nights on which anything was held, on any symbol.
    """

    name: str
    sharpe: Estimate
    total: Estimate
    less: Estimate
    drawdown: Estimate
    turnover: float
    invested: float


@dataclass(frozen=True, repr=False)
class Comparison(Brief):
    """Strategies on the same nights.

    Attributes:
        nights: profits in shares of the capital, a column a strategy, by the end of each night
            that is known of all of them.
        unknown: nights that are left out, as funding is unknown.
        block: nights in a block of the bootstrap.
        turnover, invested: as in :class:`StrategyFigures`, by strategy.
        symbols: of the capital.
    """

    nights: pd.DataFrame
    unknown: int
    block: int
    turnover: Mapping[str, float]
    invested: Mapping[str, float]
    symbols: tuple[str, ...]

    @cached_property
    def figures(self) -> list[StrategyFigures]:
        """Of each strategy."""
        return [self._figures(name) for name in self.nights.columns]

    @property
    def per_year(self) -> float:
        """Nights a year, as the replay had them."""
        index = self.nights.index
        days = (index[-1] - index[0]).total_seconds() / _DAY_SECONDS + 1.0
        return _YEAR_DAYS * len(index) / days

    @cached_property
    def draws(self) -> BlockBootstrap:
        """Of nights."""
        return BlockBootstrap(len(self.nights), self.block)

    def _figures(self, name: str) -> StrategyFigures:
        net = self.nights[name].to_numpy()
        return StrategyFigures(
            name,
            self._sharpe(net),
            self.total(net),
            self.total(net - self.nights[CHAMPIONS].to_numpy()),
            self._drawdown(net),
            self.turnover[name],
            self.invested[name],
        )

    def total(self, net: Floats) -> Estimate:
        """The sum of profits of nights, (D,)."""
        means = self.draws.means(net[:, None])[:, 0]
        return Estimate(float(net.sum()), self._error(len(net) * means, net))

    def _sharpe(self, net: Floats) -> Estimate:
        deviation = net.std()
        if not deviation > 0.0:
            return Estimate(math.nan, math.nan)
        scaled = net / deviation
        moments = np.column_stack([scaled, scaled * scaled])

        def ratio(means: Floats) -> Floats:
            mean, square = means.T
            variance = square - mean**2
            root = np.sqrt(np.where(variance > 1e-12, variance, np.nan))
            return np.asarray(math.sqrt(self.per_year) * mean / root)

        value = float(ratio(moments.mean(axis=0)[None, :])[0])
        error = self._error(ratio(self.draws.means(moments)), net)
        return Estimate(value, error)

    def _drawdown(self, net: Floats) -> Estimate:
        def deepest(paths: Floats) -> Floats:
            wealth = np.cumsum(paths, axis=1)
            peak = np.maximum(np.maximum.accumulate(wealth, axis=1), 0.0)
            return np.asarray((peak - wealth).max(axis=1))

        error = self._error(deepest(self.draws.paths(net)), net)
        return Estimate(float(deepest(net[None, :])[0]), error)

    def _error(self, draws: Floats, net: Floats) -> float:
        """Unknown where too few blocks have any profit; what never held anything has none."""
        blocks = np.unique(np.flatnonzero(net) // self.block).size
        if 0 < blocks < MIN_BLOCKS:
            return math.nan
        return self.draws.error(draws, blocks or None)


def compare(held: Sequence[Held], symbols: Sequence[str], bars_a_night: Sequence[float],
            horizon: int) -> Comparison:  # fmt: skip
    """Strategies over all symbols.

    Args:
        held: of each symbol.
        symbols: theirs.
        bars_a_night: of each.
        horizon: bars that a position is held.

    Raises:
        NotEnoughBarsError: no night is known of all strategies.
    """
    names = held[0].strategies
    net, turnover, invested = (_joined(held, kind) for kind in ("net", "turnover", "invested"))
    known = net.notna().all(axis=1)
    nights = net[known].T.groupby(level=1, sort=False).sum().T[list(names)] / len(held)
    if nights.empty:
        raise NotEnoughBarsError(
            "no night of the replay has bars whose profit is known; give an earlier since, or "
            "collect funding"
        )
    by_strategy = turnover[known].T.groupby(level=1, sort=False).sum().T / len(held)
    anything = invested[known].T.groupby(level=1, sort=False).max().T
    block = max(_LEAST_BLOCK, math.ceil(block_length(horizon) / min(bars_a_night)))
    return Comparison(
        nights,
        int((~known).sum()),
        block,
        {name: float(by_strategy[name].mean()) for name in names},
        {name: float(anything[name].mean()) for name in names},
        tuple(symbols),
    )


def _joined(held: Sequence[Held], kind: str) -> pd.DataFrame:
    """By the end of each night, and by symbol and strategy; 0 where a symbol has no bars."""
    days = np.unique(np.concatenate([one.days for one in held]))
    parts = {
        number: pd.DataFrame(
            np.asarray(getattr(one, kind), dtype=np.float64), index=one.days, columns=one.strategies
        )
        for number, one in enumerate(held)
    }
    frames = {
        # A day without bars of the symbol is no night of its own, and nothing changes hands.
        number: frame.reindex(days, fill_value=0.0)
        for number, frame in parts.items()
    }
    joined = pd.concat(frames, axis=1)
    joined.index = pd.to_datetime((days + 1) * _DAY_SECONDS, unit="s", utc=True)
    return joined
