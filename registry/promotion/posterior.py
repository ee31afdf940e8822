"""What all cells together say of each: posteriors of annual net Sharpe ratios, by empirical Bayes.

A cell's estimate ``s`` with standard error ``e`` is taken as ::

    s = θ + e·(√ρ·f + √(1 - ρ)·η),   θ ~ N(m, τ²),   m ~ N(0, .5²),   τ ~ half-normal(1)

with f and η standard normal. f is one draw for all cells, since their nights are the same ones, and
ρ the mean correlation of two cells' errors: without it what all cells had in common in these nights
would count as many independent observations of m. Given τ all of it is normal, so m and f are
integrated exactly, and τ on a grid: every posterior is a mixture of normal distributions.

C. Morris, "Parametric Empirical Bayes Inference", JASA 1983; A. Gelman, "Prior distributions for
variance parameters in hierarchical models", Bayesian Analysis 2006, for τ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from brain.brief import Brief
from registry.promotion.groups import Floats

__all__ = ["Mixtures", "Pool"]

#: Standard deviation of the mean m, and the scale of the spread τ, in annual Sharpe ratio.
MEAN_SPREAD, SPREAD_SCALE = 0.5, 1.0

_SPREADS = np.linspace(0.0, 4.0, 65)
_STEPS = 60  # of a bisection


@dataclass(frozen=True, repr=False)
class Mixtures(Brief):
    """Posteriors of C cells' annual Sharpe ratios, G normal components each.

    Attributes:
        weights: (G,), which add up to 1.
        means, variances: (G, C).
    """

    weights: Floats
    means: Floats
    variances: Floats

    @property
    def mean(self) -> Floats:
        """(C,)."""
        return np.asarray(self.weights @ self.means)

    @property
    def deviation(self) -> Floats:
        """(C,)."""
        square = self.weights @ (self.variances + self.means**2)
        return np.sqrt(np.maximum(square - self.mean**2, 0.0))

    def positive(self) -> Floats:
        """The probability that the ratio is above 0, (C,)."""
        return np.asarray(self.weights @ ndtr(self.means / np.sqrt(self.variances)))

    def gain(self, years: Floats | float) -> Floats:
        """The probability that the profit of some time to come is above 0, (C,).

        That profit over its standard deviation is N(θ·√T, 1), so with θ unknown N(μ·√T, 1 + v·T).

        Args:
            years: T, of the cell's own time, (C,).
        """
        z = self.means * np.sqrt(years) / np.sqrt(1.0 + self.variances * years)
        return np.asarray(self.weights @ ndtr(z))

    def quantile(self, share: float) -> Floats:
        """(C,) by bisection."""
        deviations = np.sqrt(self.variances)
        low = (self.means - 9.0 * deviations).min(axis=0)
        high = (self.means + 9.0 * deviations).max(axis=0)
        for _ in range(_STEPS):
            middle = 0.5 * (low + high)
            below = self.weights @ ndtr((middle - self.means) / deviations) < share
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray(0.5 * (low + high))


class Pool:
    """The estimates of all cells, none included.

    Args:
        sharpe, error: (C,) annual Sharpe ratios and their standard errors, above 0; known, all.
        correlation: ρ of two cells' errors, from 0 to below 1.

    Attributes:
        cells: C.
    """

    def __init__(self, sharpe: Floats, error: Floats, correlation: float = 0.0) -> None:
        self.cells = len(sharpe)
        self._own = (1.0 - correlation) * error**2
        self._sharpe, self._load = sharpe, math.sqrt(correlation) * error
        square = _SPREADS[:, None] ** 2 + self._own
        s, load = sharpe / square, self._load / square
        precision = np.empty((len(_SPREADS), 2, 2))
        precision[:, 0, 0] = (1.0 / square).sum(axis=1) + MEAN_SPREAD**-2
        precision[:, 0, 1] = precision[:, 1, 0] = load.sum(axis=1)
        precision[:, 1, 1] = load @ self._load + 1.0
        score = np.stack([s.sum(axis=1), load @ sharpe], axis=1)
        self._covariance = np.linalg.inv(precision)
        self._common = (self._covariance @ score[..., None])[..., 0]  # of m and f
        fit = (score * self._common).sum(axis=1) - s @ sharpe - np.log(square).sum(axis=1)
        log = 0.5 * (fit - np.linalg.slogdet(precision)[1] - (_SPREADS / SPREAD_SCALE) ** 2)
        weights = np.exp(log - log.max())
        weights[0] *= 0.5  # the trapezoid's end
        self._weights: Floats = weights / weights.sum()

    def posteriors(self) -> Mixtures:
        """Of the cells."""
        square = _SPREADS[:, None] ** 2 + self._own
        w = _SPREADS[:, None] ** 2 / square
        m, f = self._common[:, :1], self._common[:, 1:]
        means = w * (self._sharpe - self._load * f) + (1.0 - w) * m
        of_m, of_f = 1.0 - w, -w * self._load
        (mm, mf), (_, ff) = np.moveaxis(self._covariance, 0, -1)[..., None]
        variances = w * self._own + of_m**2 * mm + 2.0 * of_m * of_f * mf + of_f**2 * ff
        return Mixtures(self._weights, means, variances)

    def prior(self) -> tuple[float, float]:
        """Mean and standard deviation of the ratio of a cell that is not among them."""
        variances = _SPREADS**2 + self._covariance[:, 0, 0]
        new = Mixtures(self._weights, self._common[:, :1], variances[:, None])
        return float(new.mean[0]), float(new.deviation[0])
