"""The evaluation of a model: its metrics out of sample in each regime, with standard errors.

A prediction at bar t's close is traded as a small position of its own: one ``horizon``-th of the
capital in the direction of the prediction, held for ``horizon`` bars and then handed over to the
prediction of that moment (overlapping portfolios, Jegadeesh & Titman 1993). The position that is
opened pays for the change of direction between the two; without a next position whose net return
is known, the position that is closed pays for its end. So every row has one net return, which
belongs to the regime of the row.

Every metric has the standard error of a block bootstrap (:mod:`engine.evaluation.bootstrap`). A
metric that can't be computed is NaN, and so is the error of too few bars: unknown, not zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from brain.naming import REGIMES
from brain.records import Estimate, Evidence
from engine.evaluation.bootstrap import BlockBootstrap, block_length
from engine.kernels.columns import Floats

__all__ = ["ALL", "evaluate", "net_returns", "paired_difference"]

#: The key of the evidence over all bars, whatever their regime.
ALL = "all"


def net_returns(prediction: Floats, forward_return: Floats, *, horizon: int, cost: float) -> Floats:
    """The net return of the position that each prediction opens.

    Args:
        prediction: (N,), its sign is the direction; NaN opens nothing.
        forward_return: (N,) log return over the next ``horizon`` bars; NaN is unknown.
        horizon: bars that a position is held.
        cost: paid on each unit traded, as a share (0.0005 is 5 basis points).

    Returns:
        (N,) simple returns on the position's capital; NaN where prediction or outcome is unknown.
        A position pays for the change of direction from the position before it, and for its own end
        if the next position has no net return: an unknown prediction, an unknown outcome, or the
        end of the rows.
    """
    side = np.sign(prediction)
    gross = side * np.expm1(forward_return)
    lagged = np.zeros_like(side)
    lagged[horizon:] = np.nan_to_num(side[:-horizon])
    ends = np.ones(side.shape, dtype=np.bool_)
    ends[:-horizon] = ~np.isfinite(gross[horizon:])
    traded = np.abs(side - lagged) + np.where(ends, np.abs(side), 0.0)
    return np.asarray(gross - cost * traded)


def evaluate(
    prediction: Floats,
    target: Floats,
    forward_return: Floats,
    regimes: NDArray[np.int8],
    *,
    horizon: int,
    cost: float,
    bars_per_year: float,
) -> dict[str, Evidence]:
    """Evaluate one model's out-of-sample predictions, over all bars and regime by regime.

    Args:
        prediction, target, forward_return: (N,) consecutive rows, oldest first; NaN is unknown.
        regimes: (N,) codes into :data:`brain.naming.REGIMES`, -1 unknown.
        horizon: bars that target and return look forward.
        cost: paid on each unit traded, as a share.
        bars_per_year: bars in a year of trading, for the annualised Sharpe ratio.

    Returns:
        The evidence for :data:`ALL` and for each of the four regimes.
    """
    net = net_returns(prediction, forward_return, horizon=horizon, cost=cost)
    valid = np.isfinite(net) & np.isfinite(target)
    masks: dict[str, NDArray[np.bool_]] = {ALL: np.ones_like(valid)}
    masks |= {regime: regimes == code for code, regime in enumerate(REGIMES)}
    trades_a_year = bars_per_year / horizon
    return {
        name: _evidence(
            prediction[mask & valid],
            target[mask & valid],
            net[mask & valid],
            _episodes(mask, valid),
            trades_a_year=trades_a_year,
            horizon=horizon,
        )
        for name, mask in masks.items()
    }


def paired_difference(
    net: Floats, other: Floats, mask: NDArray[np.bool_], horizon: int
) -> Estimate:
    """The mean of ``net`` less ``other`` on the same rows, per position.

    Args:
        net, other: (N,) net returns, NaN unknown; rows where either is unknown don't count.
        mask: (N,) the rows to compare, for example those of one regime.
        horizon: bars that a position is held.

    Returns:
        Value and error are NaN without a common row.
    """
    difference = (net - other)[mask & np.isfinite(net) & np.isfinite(other)]
    if difference.size == 0:
        return Estimate(np.nan, np.nan)
    draws = BlockBootstrap(difference.size, block_length(horizon)).means(difference[:, None])
    return Estimate(float(difference.mean()), _spread(draws[:, 0]))


def _evidence(
    prediction: Floats,
    target: Floats,
    net: Floats,
    episodes: int,
    *,
    trades_a_year: float,
    horizon: int,
) -> Evidence:
    draws = BlockBootstrap(net.size, block_length(horizon))
    return Evidence(
        bars=int(net.size),
        episodes=episodes,
        rank_ic=_rank_ic(prediction, target, draws),
        hit_rate=_hit_rate(prediction, target, draws),
        net_sharpe=_sharpe(net, trades_a_year, draws),
        max_drawdown=_drawdown(net / horizon, draws),
    )


def _episodes(mask: NDArray[np.bool_], valid: NDArray[np.bool_]) -> int:
    """Stretches of the mask with at least one valid row."""
    stretch = np.cumsum(mask & ~np.concatenate([[False], mask[:-1]]))
    return int(np.unique(stretch[mask & valid]).size)


def _spread(draws: Floats) -> float:
    finite = draws[np.isfinite(draws)]
    return float(finite.std(ddof=1)) if finite.size > 1 else float("nan")


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
    # Ranks centred on 0 with unit scale keep the moments well conditioned. They are computed once:
    # ranking every draw again changes the error by less than its own Monte Carlo noise.
    x, y = (rankdata(v) / v.size - 0.5 for v in (prediction, target))
    moments = np.column_stack([x, y, x * x, y * y, x * y])
    value = _correlation(moments.mean(axis=0)[None, :])[0]
    return Estimate(float(value), _spread(_correlation(draws.means(moments))))


def _hit_rate(prediction: Floats, target: Floats, draws: BlockBootstrap) -> Estimate:
    moved = target != 0
    hits = (moved & (np.sign(prediction) == np.sign(target))).astype(float)
    moments = np.column_stack([hits, moved.astype(float)])
    if not moved.any():
        return Estimate(np.nan, np.nan)
    right, total = draws.means(moments).T
    share = np.divide(right, total, out=np.full_like(total, np.nan), where=total > 0)
    return Estimate(float(hits.sum() / moved.sum()), _spread(share))


def _sharpe(net: Floats, trades_a_year: float, draws: BlockBootstrap) -> Estimate:
    if net.size < 3 or not net.std() > 0:
        return Estimate(np.nan, np.nan)
    scaled = net / net.std()
    moments = np.column_stack([scaled, scaled * scaled])

    def ratio(means: Floats) -> Floats:
        mean, square = means.T
        return np.asarray(np.sqrt(trades_a_year) * mean / _root(square - mean**2))

    value = ratio(moments.mean(axis=0)[None, :])[0]
    return Estimate(float(value), _spread(ratio(draws.means(moments))))


def _drawdown(net: Floats, draws: BlockBootstrap) -> Estimate:
    if net.size == 0:
        return Estimate(np.nan, np.nan)

    def deepest(paths: Floats) -> Floats:
        wealth = np.cumsum(paths, axis=1)
        peak = np.maximum(np.maximum.accumulate(wealth, axis=1), 0)
        return np.asarray((peak - wealth).max(axis=1))

    return Estimate(float(deepest(net[None, :])[0]), _spread(deepest(draws.paths(net))))
