"""The evaluation of a model: its metrics out of sample in each regime, with standard errors.

A decision at bar t's close is one of ``horizon`` overlapping positions (Jegadeesh & Titman 1993),
filled after it and marked to market bar by bar (:mod:`engine.kernels.profit`). The returns of the
whole capital are those over all bars; those of a regime are the profit of the positions that were
decided in it, over their capital, on the bars that have any. What is judged is the position rule
(:mod:`engine.kernels.position`); the sign of every prediction, always in the market, stands beside
it.

Every metric has the standard error of a block bootstrap (:mod:`engine.evaluation.bootstrap`). A
metric that can't be computed is NaN, and so is the error of too few bars: unknown, not zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brain.records import Estimate, Evidence
from engine.evaluation.bootstrap import MIN_BLOCKS, BlockBootstrap, block_length, quotient
from engine.evaluation.trading import ALL, KEYS, Trading, always_in, reversal
from engine.kernels.columns import Floats
from engine.kernels.profit import Profit

__all__ = ["evaluate", "net_returns", "paired_difference", "sharpe_ratio"]

_BASIS_POINTS = 1e4


def evaluate(
    prediction: Floats,
    target: Floats,
    forward_return: Floats,
    trading: Trading,
    position: Floats | None = None,
) -> dict[str, Evidence]:
    """Evaluate one model's out-of-sample predictions, over all bars and regime by regime.

    Args:
        prediction, target, forward_return: (N,) consecutive rows, oldest first; NaN is unknown.
        trading: on the same rows.
        position: (N,) that the predictions decide; all of each slot in their direction if None.

    Returns:
        The evidence for each of :data:`engine.evaluation.trading.KEYS`.
    """
    decided = always_in(prediction) if position is None else position
    return {
        key: _evidence(key, prediction, target, forward_return, trading, decided) for key in KEYS
    }


def net_returns(position: Floats, trading: Trading, key: str = ALL) -> Floats:
    """The net return of each bar, (N,), on the capital of a key's decisions.

    NaN on bars without a decision, on missing bars, and where funding is unknown. A return that is
    known never changes.
    """
    result = trading.profit(position, key)
    return result.net / trading.capital(result, key)


def paired_difference(net: Floats, other: Floats, horizon: int) -> Estimate:
    """The mean of ``net`` less ``other`` on the same bars.

    Args:
        net, other: (N,) net returns, NaN unknown; bars where either is unknown don't count.
        horizon: bars that a position is held.

    Returns:
        Value and error are NaN without a common bar.
    """
    difference = (net - other)[np.isfinite(net) & np.isfinite(other)]
    if difference.size == 0:
        return Estimate(np.nan, np.nan)
    draws = BlockBootstrap(difference.size, block_length(horizon))
    return Estimate(float(difference.mean()), draws.error(draws.means(difference[:, None])[:, 0]))


def _evidence(
    key: str,
    prediction: Floats,
    target: Floats,
    forward_return: Floats,
    trading: Trading,
    position: Floats,
) -> Evidence:
    members = trading.members(key)
    valid = np.isfinite(prediction) & np.isfinite(target) & np.isfinite(forward_return)
    rows = members & valid
    active = rows & (np.nan_to_num(position) != 0.0)
    draws = BlockBootstrap(int(rows.sum()), block_length(trading.horizon))
    result = trading.profit(position, key)
    capital = trading.capital(result, key)
    net = result.net / capital
    decided = np.isfinite(position)
    sign = trading.profit(always_in(prediction), key)
    sign_capital = trading.capital(sign, key)
    evidence = Evidence(
        bars=int(rows.sum()),
        episodes=_episodes(members, valid, trading.regimes),
        positions=int(active.sum()),
        years=float(decided.sum() / trading.bars_per_year),
        net_sharpe=sharpe_ratio(net, trading),
        rank_ic=_rank_ic(prediction[rows], target[rows], draws),
        hit_rate=_hit_rate(prediction[rows], target[rows], draws),
        max_drawdown=_drawdown(net, trading),
        gross_sharpe=sharpe_ratio(result.gross / capital, trading),
        delayed_sharpe=_delayed(position, trading, key),
        gain_bp=_gain(position[active] * np.expm1(forward_return[active]), trading),
        break_even_bp=_break_even(result, capital, trading),
        sign_gross_sharpe=sharpe_ratio(sign.gross / sign_capital, trading),
        sign_net_sharpe=sharpe_ratio(sign.net / sign_capital, trading),
        long_sharpe=_benchmark(np.where(decided, 1.0, np.nan), trading, key),
        reversal_sharpe=_benchmark(reversal(trading.close, decided), trading, key),
    )
    return evidence if draws.enough else evidence.without_errors()


def _episodes(
    members: NDArray[np.bool_], valid: NDArray[np.bool_], regimes: NDArray[np.int8]
) -> int:
    """Stretches of the members with at least one valid row; unknown regimes end none."""
    known = (regimes >= 0) | members
    inside, counts = members[known], valid[known]
    stretch = np.cumsum(inside & ~np.concatenate([[False], inside[:-1]]))
    return int(np.unique(stretch[inside & counts]).size)


def _root(variance: Floats) -> Floats:
    """Standard deviation; NaN where the variance is nothing but rounding (about 1e-16)."""
    return np.sqrt(np.where(variance > 1e-12, variance, np.nan))


def _correlation(moments: Floats) -> Floats:
    """Pearson correlation from means of x, y, xx, yy, xy in the last axis."""
    x, y, xx, yy, xy = np.moveaxis(moments, -1, 0)
    return np.asarray((xy - x * y) / (_root(xx - x * x) * _root(yy - y * y)))


def _rank_ic(prediction: Floats, target: Floats, draws: BlockBootstrap) -> Estimate:
    if prediction.size < 3:
        return Estimate(np.nan, np.nan)
    from scipy.stats import rankdata

    # Ranks centred on 0 with unit scale keep the moments well conditioned. They are computed once:
    # ranking every draw again changes the error by less than its own Monte Carlo noise.
    x, y = (rankdata(v) / v.size - 0.5 for v in (prediction, target))
    moments = np.column_stack([x, y, x * x, y * y, x * y])
    value = _correlation(moments.mean(axis=0)[None, :])[0]
    return Estimate(float(value), draws.error(_correlation(draws.means(moments))))


def _hit_rate(prediction: Floats, target: Floats, draws: BlockBootstrap) -> Estimate:
    moved = target != 0
    hits = (moved & (np.sign(prediction) == np.sign(target))).astype(float)
    if not moved.any():
        return Estimate(np.nan, np.nan)
    moments = np.column_stack([hits, moved.astype(float)])
    return Estimate(float(hits.sum() / moved.sum()), draws.error(quotient(draws.means(moments))))


def _gain(returns: Floats, trading: Trading) -> Estimate:
    """The mean of the positions' gross returns, in basis points."""
    if returns.size == 0:
        return Estimate(np.nan, np.nan)
    draws = BlockBootstrap(returns.size, block_length(trading.horizon))
    points = _BASIS_POINTS * returns[:, None]
    return Estimate(float(points.mean()), draws.error(draws.means(points)[:, 0]))


def _break_even(result: Profit, capital: Floats, trading: Trading) -> Estimate:
    """The cost of each unit traded that would leave nothing, in basis points."""
    columns = np.column_stack([_BASIS_POINTS * result.gross, result.turnover])
    columns = columns[np.isfinite(capital) & np.isfinite(columns).all(axis=1)]
    if not columns[:, 1].sum() > 0.0:
        return Estimate(np.nan, np.nan)
    draws = BlockBootstrap(len(columns), block_length(trading.horizon))
    gross, traded = columns.sum(axis=0)
    return Estimate(float(gross / traded), draws.error(quotient(draws.means(columns))))


def _delayed(position: Floats, trading: Trading, key: str) -> Estimate:
    """The gross Sharpe ratio of the same decisions, each filled one more bar late."""
    result = trading.profit(position, key, delay=1)
    return sharpe_ratio(result.gross / trading.capital(result, key), trading)


def _benchmark(position: Floats, trading: Trading, key: str) -> Estimate:
    """The net Sharpe ratio of another rule at the same costs."""
    return sharpe_ratio(net_returns(position, trading, key), trading)


def sharpe_ratio(returns: Floats, trading: Trading) -> Estimate:
    """The annualised Sharpe ratio of the returns that are known, risk-free rate 0.

    The blocks that hold a return other than 0 are those that the error counts; with fewer than
    :data:`engine.evaluation.bootstrap.MIN_BLOCKS` of them it is unknown.
    """
    known = returns[np.isfinite(returns)]
    if known.size < 3 or not known.std() > 0:
        return Estimate(np.nan, np.nan)
    scaled = known / known.std()
    moments = np.column_stack([scaled, scaled * scaled])
    draws = BlockBootstrap(known.size, block_length(trading.horizon))

    def ratio(means: Floats) -> Floats:
        mean, square = means.T
        annual = np.sqrt(trading.existing_per_year)
        return np.asarray(annual * mean / _root(square - mean**2))

    value = ratio(moments.mean(axis=0)[None, :])[0]
    blocks = np.unique(np.flatnonzero(known) // draws.block).size
    if blocks < MIN_BLOCKS:
        return Estimate(float(value), np.nan)
    return Estimate(float(value), draws.error(ratio(draws.means(moments)), blocks))


def _drawdown(returns: Floats, trading: Trading) -> Estimate:
    known = returns[np.isfinite(returns)]
    if known.size == 0:
        return Estimate(np.nan, np.nan)

    def deepest(paths: Floats) -> Floats:
        wealth = np.cumsum(paths, axis=1)
        peak = np.maximum(np.maximum.accumulate(wealth, axis=1), 0)
        return np.asarray((peak - wealth).max(axis=1))

    draws = BlockBootstrap(known.size, block_length(trading.horizon))
    return Estimate(float(deepest(known[None, :])[0]), draws.error(deepest(draws.paths(known))))
