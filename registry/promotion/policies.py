"""Simple policies that can be selected instead of the trial; their error rates are not controlled.

They name a champion line each night from nights of profit, each (…, lines) or (…, lines, nights):
leading axes are of independent histories. :mod:`registry.promotion.rule` has the provisional rule
over families of one night's walk-forward.
"""

from __future__ import annotations

import numpy as np

from registry.promotion.groups import Floats, Indices

__all__ = [
    "DEGRADATION",
    "composite_champion",
    "composite_score",
    "provisional_champion",
]

#: Of its score at its promotion, what a champion may lose before it is rolled back.
DEGRADATION = 0.05

_NIGHTS_A_YEAR = 365.0
_SHARPE, _HITS, _DRAWDOWN = 0.5, 0.3, 0.2
_ERRORS = 2.0


def composite_score(profits: Floats) -> Floats:
    """Half the annual Sharpe ratio, .3 of the hit rate, less .2 of the drawdown.

    Args:
        profits: (…, nights); NaN is unknown.

    Returns:
        (…). The drawdown is in units of a year's volatility. NaN of fewer than two nights, or
        without any variance.
    """
    valid = np.isfinite(profits)
    filled = np.where(valid, profits, 0.0)
    count = valid.sum(axis=-1)
    enough = count >= 2
    number = np.where(enough, count, 2)
    mean = filled.sum(axis=-1) / number
    square = (np.where(valid, profits - mean[..., None], 0.0) ** 2).sum(axis=-1) / (number - 1)
    enough &= square > 0.0
    deviation = np.sqrt(np.where(enough, square, 1.0))
    wealth = np.cumsum(filled, axis=-1)
    peak = np.maximum(np.maximum.accumulate(wealth, axis=-1), 0.0)
    fall = (peak - wealth).max(axis=-1) / (deviation * np.sqrt(_NIGHTS_A_YEAR))
    hits = (filled > 0.0).sum(axis=-1) / number
    sharpe = np.sqrt(_NIGHTS_A_YEAR) * mean / deviation
    return np.where(enough, _SHARPE * sharpe + _HITS * hits - _DRAWDOWN * fall, np.nan)


def composite_champion(
    scores: Floats, champion: Indices, previous: Indices, promised: Floats
) -> Indices:
    """The line of the best score; the previous champion if this one degraded by 5 %.

    Args:
        scores: (…, lines); NaN never wins.
        champion, previous: (…) indices of lines; a ``previous`` of −1 is none.
        promised: (…) the champion's score at its promotion; NaN is unknown.
    """
    now = np.take_along_axis(scores, champion[..., None], axis=-1)[..., 0]
    best = np.where(np.isfinite(scores), scores, -np.inf).argmax(axis=-1)
    top = np.take_along_axis(scores, best[..., None], axis=-1)[..., 0]
    degraded = (now < promised - DEGRADATION * np.abs(promised)) & (previous >= 0)
    return np.where(degraded, previous, np.where(top > now, best, champion))


def provisional_champion(profits: Floats, prior: int) -> Indices:
    """The prior line, unless another earned more by two errors of the paired difference.

    Args:
        profits: (…, lines, nights); nights where either line is unknown don't count.
        prior: index of a line.

    Returns:
        (…) indices: of those that are better, the one of the largest difference.
    """
    paired = profits - profits[..., prior : prior + 1, :]
    count = np.isfinite(paired).sum(axis=-1)
    number = np.where(count >= 2, count, 2)
    mean = np.where(np.isfinite(paired), paired, 0.0).sum(axis=-1) / number
    spread = (np.where(np.isfinite(paired), paired - mean[..., None], 0.0) ** 2).sum(axis=-1)
    error = np.sqrt(spread / (number - 1) / number)
    better = (count >= 2) & (mean > _ERRORS * error) & (error > 0.0)
    best = np.where(better, mean, -np.inf).argmax(axis=-1)
    return np.where(better.any(axis=-1), best, prior)
