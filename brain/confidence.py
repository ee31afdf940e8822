"""The probability that a model earns money, and the position size that it justifies.

Needs the standard library alone, for the executor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from brain.errors import InputError
from brain.text import count, finite

__all__ = ["MIN_EPISODES", "PRIOR_SPREAD", "Confidence", "confidence", "position_size"]

#: Standard deviation of the prior on the annual Sharpe ratio, whose mean is 0: before any evidence,
#: two strategies in three lie between -1 and 1, and half of them lose.
PRIOR_SPREAD = 1.0

#: The least number of episodes for a probability: a block bootstrap within two or three episodes
#: can't estimate how the next one differs.
MIN_EPISODES = 5


@dataclass(frozen=True)
class Confidence:
    """The probability that a model's net Sharpe ratio is above 0, and its evidence.

    Attributes:
        probability: in [0, 1]; None is unknown, which is neither 0 nor 0.5.
        net_sharpe, error: annualised, out of sample, after costs, and its standard error; None is
            unknown.
        bars, episodes: of the measurement; None is unknown.
        reason: the evidence in a sentence, or why the probability is unknown.
    """

    probability: float | None
    net_sharpe: float | None
    error: float | None
    bars: int | None
    episodes: int | None
    reason: str


def confidence(
    net_sharpe: float | None,
    error: float | None,
    bars: int | None,
    episodes: int | None,
    *,
    min_episodes: int = MIN_EPISODES,
) -> Confidence:
    """The probability that the net Sharpe ratio behind an estimate is above 0.

    The estimate ``s`` with standard error ``e`` is taken as normal around the true ratio, whose
    prior is N(0, t²) with ``t`` = :data:`brain.confidence.PRIOR_SPREAD`. The posterior is then
    normal with mean ``s t² / (t² + e²)`` and variance ``t² e² / (t² + e²)`` (Gelman et al. 2013,
    "Bayesian Data Analysis", 3rd ed., section 2.5), so that::

        P(ratio > 0) = Phi(s t / (e sqrt(t² + e²)))

    Against ``Phi(s / e)``, which has no prior, a large and uncertain estimate counts for little.

    Args:
        net_sharpe, error: annualised; None, NaN and infinity are unknown. An error of 0 or less
            measures nothing and counts as unknown.
        bars: of the measurement; None is unknown.
        episodes: unbroken stretches of the regime among these bars; None is unknown.
        min_episodes: fewer leave the probability unknown. 1 for bars of all regimes, which are one
            stretch.
    """
    value, spread = finite(net_sharpe), finite(error)

    def answer(probability: float | None, reason: str) -> Confidence:
        return Confidence(probability, value, spread, bars, episodes, reason)

    of_bars = f"from {count(bars, 'bar')}"
    if value is None:
        return answer(None, f"unknown: no net Sharpe {of_bars}")
    if spread is None or spread <= 0.0:
        return answer(None, f"unknown: net Sharpe {value:.2f} {of_bars} has no error")
    measured = f"net Sharpe {value:.2f} ± {spread:.2f} {of_bars} in {count(episodes, 'episode')}"
    if episodes is None or episodes < min_episodes:
        return answer(None, f"unknown: {measured}; {min_episodes} are needed")
    score = value * PRIOR_SPREAD / (spread * math.hypot(PRIOR_SPREAD, spread))
    return answer(0.5 * math.erfc(-score / math.sqrt(2.0)), measured)


def position_size(confidence: Confidence | float | None, limit: float) -> float:
    """The position for a confidence, as a share of a limit: ``max(0, 2p - 1) * limit``.

    That is Kelly's stake on an even bet which is won with probability ``p`` (Kelly 1956, "A New
    Interpretation of Information Rate"), as a fraction of the limit instead of the whole capital.
    ``p`` is the probability that the model earns money at all, not that one bet is won: a cautious
    placeholder until sizes are calibrated.

    Args:
        confidence: from the selector, or the probability in a cell's record; None is unknown.
        limit: the largest position, in any unit; at least 0.

    Returns:
        From 0 to the limit; 0 if the probability is unknown or at most a half.

    Raises:
        InputError: the probability lies outside [0, 1], or the limit is negative or not finite.
    """
    probability = confidence.probability if isinstance(confidence, Confidence) else confidence
    if not (math.isfinite(limit) and limit >= 0.0):
        raise InputError(f"limit {limit} is no largest position; give a number of at least 0")
    if probability is None:
        return 0.0
    if not 0.0 <= probability <= 1.0:
        raise InputError(
            f"probability {probability} lies outside 0 to 1; give None where it is unknown"
        )
    return max(0.0, 2.0 * probability - 1.0) * limit
