"""Simulated evidence: nights of several lines on several symbols, many independent paths at once.

A symbol's volatility is the exponential of an autoregression; a night's profit is over the
volatility that was known before it, an exponential average of earlier squared returns, which also
classifies the regime. Profits are of Student's t with 3 degrees of freedom, one shock of a night
for all symbols and lines (so that pooling doesn't make them normal), or of a negative skew beside.
Lines and symbols are correlated. An edge adds to a challenger's mean; it grows with the true
volatility, not with the known one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Market", "Nights", "simulate"]

Single = NDArray[np.float32]

_DAYS = 365.0
_BURN_IN = 60
_MEMORY = 0.95  # of log volatility, a night
_SPREAD = 0.5  # of log volatility
_DECAY = 0.9  # of the known volatility
_CUTS = (0.25, 0.75, 0.95)
_SPLIT = 0.15  # of the nights, halves in two regimes


@dataclass(frozen=True)
class Market:
    """What is simulated.

    Attributes:
        symbols, nights: of a path.
        lines: the champion, first, and its challengers.
        line_correlation, symbol_correlation: of profits.
        skewed: whether lines' own profits are skewed to the left, those of the champion excepted.
        heavy: whether tails are Student's with 3 degrees of freedom, and not normal.
        edge: of the second line over the champion, in annual Sharpe ratio of a symbol's profit.
        edge_regimes, edge_symbols: where the edge is: regimes' numbers, and the first so many
            symbols; everywhere if None.
        later: from which night on the edge is another one, and which.
        wander: standard deviation of an edge of the second line that comes and goes around
            ``edge``, with a memory of 60 nights.
    """

    symbols: int = 20
    nights: int = 180
    lines: int = 3
    line_correlation: float = 0.8
    symbol_correlation: float = 0.3
    skewed: bool = False
    heavy: bool = True
    edge: float = 0.0
    edge_regimes: tuple[int, ...] | None = None
    edge_symbols: int | None = None
    later: tuple[int, float] | None = None
    wander: float = 0.0

    def edges(self) -> NDArray[np.float64]:
        """The edge of each line over the champion by cell: (lines, symbols, regimes)."""
        edges = np.zeros((self.lines, self.symbols, len(_CUTS) + 1))
        edges[1, : self.edge_symbols, list(self.edge_regimes or range(len(_CUTS) + 1))] = self.edge
        return edges

    def with_(self, **changes: Any) -> Market:
        """The same but for some attributes."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Nights:
    """Simulated nights.

    Attributes:
        profits: (lines, paths, nights, symbols) over the volatility known before.
        shares: (paths, nights, symbols, regimes) of a night's profit by regime of decision.
    """

    profits: Single
    shares: Single

    def cells(self, line: int, other: int = 0) -> Single:
        """A line less another by cell, (paths, nights, symbols, regimes); NaN without a share."""
        difference = self.profits[line] - self.profits[other]
        return np.where(self.shares > 0, difference[..., None] * self.shares, np.nan)

    def night(self, number: int) -> NDArray[np.float64]:
        """A night's evidence, (paths, symbols, regimes, lines); NaN without a share."""
        shares = self.shares[:, number, ..., None]
        profits = np.moveaxis(self.profits[:, :, number], 0, -1)[..., None, :]
        return np.where(shares > 0, profits * shares, np.nan).astype(float)


def simulate(market: Market, paths: int, rng: np.random.Generator) -> Nights:
    """Independent paths of a market."""
    nights = market.nights + _BURN_IN
    shock = np.ones((paths, nights, 1), dtype=np.float32)
    if market.heavy:
        shock = np.sqrt(1.0 / rng.chisquare(3, shock.shape)).astype(np.float32)
    volatility = _volatility(market, (paths, nights, market.symbols), rng)
    returns = volatility * shock * _correlated(market, paths, nights, rng)
    unit, regimes = _before(volatility, returns)
    unit, shock = unit[:, _BURN_IN:], shock[:, _BURN_IN:]
    regimes, last = regimes[:, _BURN_IN:], regimes[:, _BURN_IN - 1 : -1]
    common = math.sqrt(market.line_correlation) * _correlated(market, paths, market.nights, rng)
    own = math.sqrt(1.0 - market.line_correlation)
    profits = np.empty((market.lines, *unit.shape), dtype=np.float32)
    for line in range(market.lines):
        draws = _correlated(market, paths, market.nights, rng, market.skewed and line > 0)
        profits[line] = unit * shock * (common + own * draws)
    # An edge in one regime must not leak into another's half of a night.
    chance = _SPLIT if market.edge_regimes is None else 0.0
    shares = _shares(regimes, last, chance, rng)
    if market.lines > 1:
        # In units of the deviation that the profits have, which errors of the volatility widen.
        scale = np.sqrt(np.mean(unit * unit)) / unit.mean()
        profits[1] += scale * unit * _edge(market, shares, paths, rng)
    return Nights(profits, shares)


def _volatility(market: Market, shape: tuple[int, ...], rng: np.random.Generator) -> Single:
    """Exponential of an AR(1), half of whose variance is common to all symbols."""
    paths, nights, _ = shape
    common = rng.standard_normal((paths, nights, 1), dtype=np.float32)
    steps = math.sqrt(0.5) * (common + rng.standard_normal(shape, dtype=np.float32))
    log = np.empty(shape, dtype=np.float32)
    log[:, 0] = _SPREAD * steps[:, 0]
    fresh = _SPREAD * math.sqrt(1.0 - _MEMORY**2)
    for night in range(1, nights):
        log[:, night] = _MEMORY * log[:, night - 1] + fresh * steps[:, night]
    return np.exp(log)


def _correlated(
    market: Market, paths: int, nights: int, rng: np.random.Generator, skewed: bool = False
) -> Single:
    """Draws of unit variance whose symbols are correlated: (paths, nights, symbols)."""
    common = _draws((paths, nights, 1), rng, skewed)
    own = _draws((paths, nights, market.symbols), rng, skewed)
    rho = market.symbol_correlation
    return math.sqrt(rho) * common + math.sqrt(1.0 - rho) * own


def _draws(shape: tuple[int, ...], rng: np.random.Generator, skewed: bool) -> Single:
    if skewed:  # many small gains, few large losses: skewness −2
        return 1.0 - rng.standard_exponential(shape, dtype=np.float32)
    return rng.standard_normal(shape, dtype=np.float32)


def _before(volatility: Single, returns: Single) -> tuple[Single, NDArray[np.int8]]:
    """True over known volatility, and regimes by the known one: (paths, nights, symbols)."""
    known = np.empty_like(returns)
    level = np.ones_like(returns[:, 0])
    # Absolute values, which heavy tails hurt less; E|t₃| of unit scale is .637 of its deviation.
    for night in range(returns.shape[1]):
        known[:, night] = level
        fresh = np.abs(returns[:, night]) / 0.637
        level = np.asarray(_DECAY * level + (1.0 - _DECAY) * fresh, dtype=np.float32)
    cuts = np.quantile(known[:, _BURN_IN:], _CUTS)
    return volatility / known, np.searchsorted(cuts, known).astype(np.int8)


def _shares(
    regimes: NDArray[np.int8], last: NDArray[np.int8], chance: float, rng: np.random.Generator
) -> Single:
    """A night is its regime's, or in halves the last night's and its own."""
    split = rng.random(regimes.shape) < chance
    codes = np.arange(len(_CUTS) + 1)
    own = (regimes[..., None] == codes).astype(np.float32)
    before = (last[..., None] == codes).astype(np.float32)
    return np.where(split[..., None], 0.5 * (own + before), own)


def _edge(market: Market, shares: Single, paths: int, rng: np.random.Generator) -> Single:
    """The mean of a night's profit over its true volatility: (paths, nights, symbols)."""
    edge = np.full((paths, market.nights, 1), market.edge, dtype=np.float32)
    if market.later is not None:
        edge[:, market.later[0] :] = market.later[1]
    if market.wander:
        memory = math.exp(-1.0 / 60.0)
        state = rng.standard_normal(paths)
        for night in range(market.nights):
            edge[:, night, 0] += market.wander * state
            fresh = math.sqrt(1.0 - memory**2) * rng.standard_normal(paths)
            state = memory * state + fresh
    edge = np.repeat(edge / math.sqrt(_DAYS), market.symbols, axis=2)
    if market.edge_regimes is not None:
        edge = edge * shares[..., list(market.edge_regimes)].sum(axis=-1)
    if market.edge_symbols is not None:
        edge[..., market.edge_symbols :] = 0.0
    return edge
