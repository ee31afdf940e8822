"""The probability that a model earns money, and the position size that it justifies.

Needs the standard library alone, for the executor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from brain.errors import InputError
from brain.sizing import Factor, lowered
from brain.text import count, finite

__all__ = [
    "BLOCK_DAYS",
    "COVERAGE",
    "MIN_EPISODES",
    "PRIOR_SPREAD",
    "Confidence",
    "Posterior",
    "Prior",
    "confidence",
    "normal_posterior",
    "position_size",
]

#: Standard deviation of the prior on the annual Sharpe ratio, whose mean is 0, while no cell is
#: known: that of :mod:`registry.promotion.posterior`, √(.5² + 1).
PRIOR_SPREAD = math.sqrt(1.25)

#: The least number of episodes for a probability: a block bootstrap within two or three episodes
#: can't estimate how the next one differs.
MIN_EPISODES = 5

#: Days of the block whose profit is forecast, of all regimes.
BLOCK_DAYS = 60

#: The probability that an interval holds the ratio.
COVERAGE = 0.9

_DAYS_A_YEAR = 365.25


@dataclass(frozen=True)
class Prior:
    """What is to be expected of a cell before its own evidence: a normal distribution.

    Attributes:
        mean, spread: of the annual net Sharpe ratio.
        cells: whose evidence it follows from; 0 before there is any.
    """

    mean: float = 0.0
    spread: float = PRIOR_SPREAD
    cells: int = 0


@dataclass(frozen=True)
class Posterior:
    """What is to be expected of a model's annual net Sharpe ratio.

    Attributes:
        measured, error: the estimate, and its standard error.
        nights: of evidence behind it; None where it is of the bars of a walk-forward.
        share: of the time that the regime has, in (0, 1]; None is unknown.
        prior: of the ratio, from the evidence of all cells.
        mean, low, high: of the posterior, and its central interval of 90 %.
        positive: probability that the ratio is above 0.
        next_block: probability that the net profit of the next :data:`BLOCK_DAYS` days is; None
            where ``share`` is unknown.
        next_year: probability that the net profit of a year of the regime's own time is.
        block_days: of ``next_block``.
    """

    measured: float
    error: float
    nights: int | None
    share: float | None
    prior: Prior
    mean: float
    low: float
    high: float
    positive: float
    next_block: float | None
    next_year: float
    block_days: int = BLOCK_DAYS

    @property
    def size(self) -> float:
        """The size that follows, 0 to 1, before anything lowers it: that of ``next_year``."""
        return position_size(self.next_year, 1.0)

    def __str__(self) -> str:
        block = ""
        if self.next_block is not None:
            block = f", P(gain in {self.block_days} days) {self.next_block:.2f}"
        return (
            f"net Sharpe {self.mean:.2f} ({self.low:.2f} to {self.high:.2f}), "
            f"P(> 0) {self.positive:.2f}{block}, by {self.measured:.2f} ± {self.error:.2f} "
            f"{self.source}"
        )

    @property
    def source(self) -> str:
        """The evidence behind it, in words."""
        nights = "of bars" if self.nights is None else f"of {count(self.nights, 'night')}"
        return f"{nights} among {count(self.prior.cells, 'cell')}" if self.prior.cells else nights


@dataclass(frozen=True)
class Confidence:
    """The probability that a model's net Sharpe ratio is above 0, and its evidence.

    Attributes:
        probability: in [0, 1]; None is unknown, which is neither 0 nor 0.5.
        net_sharpe, error: annualised, out of sample, after costs, and its standard error; None is
            unknown.
        bars, episodes: of the measurement; None is unknown, and where it is of nights.
        reason: the evidence in a sentence, or why the probability is unknown.
        posterior: all that follows from the evidence; None where the probability is unknown, and
            of a record from before there were posteriors.
        size: 0 to 1, of the largest position; 0 without evidence.
        size_reason: why it is less than the evidence justifies; empty if it isn't.
        factors: that lowered it.
    """

    probability: float | None
    net_sharpe: float | None
    error: float | None
    bars: int | None
    episodes: int | None
    reason: str
    posterior: Posterior | None = None
    size: float = 0.0
    size_reason: str = ""
    factors: tuple[Factor, ...] = ()

    @property
    def next_block(self) -> float | None:
        """Probability that the net profit of the next ``block_days`` days is above 0; or None."""
        return self.posterior.next_block if self.posterior else None

    @property
    def block_days(self) -> int:
        """Days of the next block."""
        return self.posterior.block_days if self.posterior else BLOCK_DAYS

    @property
    def interval(self) -> tuple[float, float] | None:
        """Holds the annual net Sharpe ratio with a probability of 90 %; None is unknown."""
        return (self.posterior.low, self.posterior.high) if self.posterior else None

    def with_factors(self, *factors: Factor) -> Confidence:
        """The same with its size lowered."""
        return replace(self, size=lowered(self.size, factors), factors=(*self.factors, *factors))


def confidence(
    net_sharpe: float | None,
    error: float | None,
    bars: int | None,
    episodes: int | None,
    *,
    min_episodes: int = MIN_EPISODES,
    prior: Prior | None = None,
    share: float | None = None,
) -> Confidence:
    """The probability that the net Sharpe ratio behind an estimate of bars is above 0.

    See :func:`normal_posterior`. Against ``Phi(s / e)``, which has no prior, a large and uncertain
    estimate counts for little.

    Args:
        net_sharpe, error: annualised; None, NaN and infinity are unknown. An error of 0 or less
            measures nothing and counts as unknown.
        bars: of the measurement; None is unknown.
        episodes: unbroken stretches of the regime among these bars; None is unknown.
        min_episodes: fewer leave the probability unknown. 1 for bars of all regimes, which are one
            stretch.
        prior: of the ratio; that without any cell if None.
        share: of the time that the regime has; None is unknown.
    """
    value, spread = finite(net_sharpe), finite(error)

    def unknown(reason: str) -> Confidence:
        return Confidence(None, value, spread, bars, episodes, reason)

    of_bars = f"from {count(bars, 'bar')}"
    if value is None:
        return unknown(f"unknown: no net Sharpe {of_bars}")
    if spread is None or spread <= 0.0:
        return unknown(f"unknown: net Sharpe {value:.2f} {of_bars} has no error")
    measured = f"net Sharpe {value:.2f} ± {spread:.2f} {of_bars} in {count(episodes, 'episode')}"
    if episodes is None or episodes < min_episodes:
        return unknown(f"unknown: {measured}; {min_episodes} are needed")
    posterior = normal_posterior(value, spread, prior or Prior(), share)
    return Confidence(
        posterior.positive,
        value,
        spread,
        bars,
        episodes,
        measured,
        posterior,
        posterior.size,
    )


def normal_posterior(sharpe: float, error: float, prior: Prior, share: float | None) -> Posterior:
    """The posterior of an estimate by a normal prior.

    The estimate ``s`` with standard error ``e`` is taken as normal around the true ratio, whose
    prior is N(m, t²). The posterior is then normal with mean ``(s t² + m e²) / (t² + e²)`` and
    variance ``v = t² e² / (t² + e²)`` (Gelman et al. 2013, "Bayesian Data Analysis", 3rd ed.,
    section 2.5). The profit of T years over its standard deviation is N(ratio √T, 1), so the
    probability that it is above 0 is ``Phi(mean √T / √(1 + v T))``.

    Args:
        sharpe, error: annualised; the error is above 0.
        prior: of the ratio.
        share: of the time that the regime has; None is unknown.
    """
    from statistics import NormalDist  # which takes long to import, and no executor needs it

    scale = math.hypot(prior.spread, error)
    # As quotients, neither a huge nor a tiny error overflows.
    near, far = prior.spread / scale, error / scale
    mean, deviation = sharpe * near * near + prior.mean * far * far, prior.spread * far

    def gain(years: float) -> float:
        return _phi(mean * math.sqrt(years) / math.sqrt(1.0 + deviation * deviation * years))

    half = NormalDist().inv_cdf(0.5 + COVERAGE / 2.0) * deviation
    return Posterior(
        measured=sharpe,
        error=error,
        nights=None,
        share=share,
        prior=prior,
        mean=mean,
        low=mean - half,
        high=mean + half,
        positive=_phi(mean / deviation) if deviation > 0.0 else float(mean > 0.0),
        next_block=None if share is None else gain(BLOCK_DAYS / _DAYS_A_YEAR * share),
        next_year=gain(1.0),
    )


def position_size(confidence: Confidence | float | None, limit: float) -> float:
    """The position for a confidence, as a share of a limit: ``max(0, 2p - 1) * limit``.

    That is Kelly's stake on an even bet which is won with probability ``p`` (Kelly 1956, "A New
    Interpretation of Information Rate"), as a fraction of the limit instead of the whole capital. A
    :class:`brain.confidence.Confidence` has its size already, of a bet on the sign of a year.

    Args:
        confidence: from the selector, or a probability; None is unknown.
        limit: the largest position, in any unit; at least 0.

    Returns:
        From 0 to the limit; 0 if the probability is unknown or at most a half.

    Raises:
        InputError: the probability lies outside [0, 1], or the limit is negative or not finite.
    """
    if not (math.isfinite(limit) and limit >= 0.0):
        raise InputError(f"limit {limit} is no largest position; give a number of at least 0")
    if isinstance(confidence, Confidence):
        return confidence.size * limit
    if confidence is None:
        return 0.0
    if not 0.0 <= confidence <= 1.0:
        raise InputError(
            f"probability {confidence} lies outside 0 to 1; give None where it is unknown"
        )
    return max(0.0, 2.0 * confidence - 1.0) * limit


def _phi(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2.0))
