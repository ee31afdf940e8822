"""Simulated cells whose true Sharpe ratios are known, through the library's own posteriors.

A market is a contest: symbols, regimes and three lines whose nights are those of
:mod:`benchmarks.promotion_markets`, with heavy tails, clustered volatility, and symbols and lines
that are correlated. The first line's cells are judged: against their true ratio, and against the
sign of the profit of the block that follows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from benchmarks.promotion_markets import Market, simulate
from brain.confidence import BLOCK_DAYS, Posterior
from brain.naming import REGIMES
from registry.promotion.cell_posteriors import CellEstimates, cell_estimates, cell_posteriors
from registry.promotion.history import History
from registry.promotion.posterior import Pool

__all__ = ["Judged", "World", "former", "former_size", "history_of", "judge", "perfect"]

Floats = NDArray[np.float64]

#: The first number of each seed; the rule was put together on others.
_SEED = 19
_LINES = 3
_ALIKE = 0.7  # of the variance of true ratios, to all lines of a cell
_NIGHTS_A_YEAR = 365.0
_CHUNK = 25


@dataclass(frozen=True)
class World:
    """What true Sharpe ratios are like.

    Attributes:
        name: unique; it is part of the seed.
        mean, spread: of the ratios of a market; drawn for each from the prior if None.
        few: share of the cells whose ratio is larger by 2.
        nights: of evidence.
        backtest: share of the nights that are of a backtest.
        correlation: of symbols' profits.
        symbols: of a market.
    """

    name: str
    mean: float | None = None
    spread: float | None = None
    few: float = 0.0
    nights: int = 360
    backtest: float = 0.0
    correlation: float = 0.3
    symbols: int = 5

    @property
    def true(self) -> bool:
        """Whether ratios are spread as the prior has it, and errors are as they are measured."""
        return self.mean is None and self.spread is None and not (self.few or self.backtest)


@dataclass(frozen=True)
class Judged:
    """Cells with their truth, (C,) each.

    Attributes:
        truth: annual Sharpe ratio.
        gained: whether the block gained; NaN where the cell had no night in it.
        posteriors: of the cells.
        markets: what a perfect forecaster is simulated by: estimates of each market's cells.
    """

    truth: Floats
    gained: Floats
    posteriors: tuple[Posterior, ...]
    markets: tuple[CellEstimates, ...]

    def column(self, name: str) -> Floats:
        """A posterior's attribute of each cell."""
        return np.array([getattr(posterior, name) for posterior in self.posteriors], dtype=float)


def judge(world: World, markets: int) -> Judged:
    """Judge the cells of so many markets."""
    rng = np.random.default_rng([_SEED, crc32(world.name.encode())])
    truths, gains, posteriors, estimates = [], [], [], []
    for size in [_CHUNK] * (markets // _CHUNK) + [markets % _CHUNK] * (markets % _CHUNK > 0):
        for truth, profit in _markets(world, size, rng):
            history = history_of(profit[: world.nights], world.backtest)
            found = cell_posteriors(history).cells
            estimates.append(cell_estimates(history))
            block = profit[world.nights :]
            gained = np.where(
                np.isfinite(block).any(axis=0), np.nansum(block, axis=0) > 0.0, np.nan
            )
            for i, j in np.ndindex(truth.shape[:2]):
                cell = history.symbols[i], str(REGIMES[j]), history.lines[0]
                if cell in found:
                    posteriors.append(found[cell])
                    truths.append(truth[i, j, 0])
                    gains.append(gained[i, j, 0])
    return Judged(np.array(truths), np.array(gains), tuple(posteriors), tuple(estimates))


def _markets(world: World, count: int, rng: np.random.Generator) -> Iterator[tuple[Floats, Floats]]:
    """True ratios (symbols, regimes, lines), and profits (nights, symbols, regimes, lines)."""
    market = Market(
        symbols=world.symbols,
        nights=world.nights + BLOCK_DAYS,
        lines=_LINES,
        symbol_correlation=world.correlation,
    )
    nights = simulate(market, count, rng)
    profits = np.moveaxis(nights.profits, 0, -1)[..., None, :] * nights.shares[..., None]
    noise = np.where(nights.shares[..., None] > 0, profits, np.nan).astype(float)
    scale = math.sqrt(float(np.nanmean(noise**2)) / _NIGHTS_A_YEAR)
    for of_market in noise:
        truth = _truth(world, rng)
        yield truth, of_market + scale * truth


def _truth(world: World, rng: np.random.Generator) -> Floats:
    mean = rng.normal(0.0, 0.5) if world.mean is None else world.mean
    spread = abs(rng.normal()) if world.spread is None else world.spread
    shape = (world.symbols, len(REGIMES), _LINES)
    common, own = rng.standard_normal((*shape[:2], 1)), rng.standard_normal(shape)
    truth = mean + spread * (math.sqrt(_ALIKE) * common + math.sqrt(1.0 - _ALIKE) * own)
    return np.where(rng.random((*shape[:2], 1)) < world.few, 2.0, 0.0) + truth


def history_of(profit: Floats, backtest: float = 0.0) -> History:
    """A history of profits (nights, symbols, regimes, lines), the first ones a backtest's."""
    nights, symbols, _, lines = profit.shape
    live = np.ones(profit.shape, dtype=bool)
    live[: round(backtest * nights)] = False
    zero = np.zeros(profit.shape)
    return History(
        first=0,
        symbols=tuple(f"S{k}" for k in range(symbols)),
        lines=tuple(f"line {k}" for k in range(lines)),
        profit=profit,
        turnover=zero,
        missing=zero,
        tried=zero + 1.0,
        bars=zero + 24.0,
        live=live,
        stored=np.zeros(profit.shape, dtype=np.int64),
    )


def former(posteriors: tuple[Posterior, ...]) -> Floats:
    """The former rule's probability that a ratio is above 0: each cell by itself, prior N(0, 1)."""
    s, e = (np.array([getattr(p, name) for p in posteriors]) for name in ("measured", "error"))
    return np.asarray(ndtr(s / (e * np.hypot(1.0, e))))


def former_size(posteriors: tuple[Posterior, ...]) -> Floats:
    """The former rule's size."""
    return np.maximum(2.0 * former(posteriors) - 1.0, 0.0)


def perfect(
    judged: Judged, rng: np.random.Generator
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Forecasts and outcomes of the posteriors where all that they assume holds.

    Markets have the errors and the correlation that were measured; truths are drawn from the prior.

    Returns:
        Probabilities and outcomes of a ratio above 0, and of the block.
    """
    positive, above, block, gained = [], [], [], []
    for estimates in judged.markets:
        known = estimates.known
        error, own = estimates.error[known], np.argwhere(known)[:, 2] == 0
        loads, weights = estimates.correlations.structure(known)
        truth = rng.normal(0.0, 0.5) + abs(rng.normal()) * rng.standard_normal(len(error))
        measured = truth + error * _alike(loads, rng)
        mixtures = Pool(measured, error, loads, weights).posteriors()
        years = estimates.share[known] * BLOCK_DAYS / 365.25
        profit = truth * np.sqrt(years) + _alike(loads, rng)
        positive.append(mixtures.positive()[own])
        above.append(truth[own] > 0.0)
        block.append(mixtures.gain(years)[own])
        gained.append(profit[own] > 0.0)
    return (
        (np.concatenate(positive), np.concatenate(above).astype(float)),
        (np.concatenate(block), np.concatenate(gained).astype(float)),
    )


def _alike(loads: Floats, rng: np.random.Generator) -> Floats:
    own = np.sqrt(1.0 - (loads**2).sum(axis=1)) * rng.standard_normal(len(loads))
    return np.asarray(loads @ rng.standard_normal(loads.shape[1]) + own)
