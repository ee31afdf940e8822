"""What all cells together say of each: posteriors of annual net Sharpe ratios, by empirical Bayes.

An estimate ``s`` with standard error ``e`` is taken as ::

    s = θ + e·(λ'f + √(1 - λ'λ)·η),   θ ~ N(m, τ²),   m ~ N(0, .5²),   τ ~ half-normal(1)

with f and η standard normal. The factors f are draws for many cells at once, since their nights are
the same ones: without them what cells had in common in these nights would count as many independent
observations. Given τ all of it is normal, so m and f are integrated exactly, and τ on a grid: every
posterior is a mixture of normal distributions.

C. Morris, "Parametric Empirical Bayes Inference", JASA 1983; A. Gelman, "Prior distributions for
variance parameters in hierarchical models", Bayesian Analysis 2006, for τ.
"""

from __future__ import annotations

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
        loads: (C, F) what each error has of the F factors, λ; without any if None.
        weights: (C,) of each in what is common to all, less than 1 for estimates that repeat
            another; 1 if None.

    Attributes:
        cells: C.
    """

    def __init__(
        self,
        sharpe: Floats,
        error: Floats,
        loads: Floats | None = None,
        weights: Floats | None = None,
    ) -> None:
        self.cells = len(sharpe)
        loads = np.empty((self.cells, 0)) if loads is None else loads
        weights = np.ones(self.cells) if weights is None else weights
        self._sharpe, self._own = sharpe, (1.0 - (loads**2).sum(axis=1)) * error**2
        self._loads = loads * error[:, None]
        # The columns of m and f, and the precision that they have before any evidence.
        columns = np.column_stack([np.ones(self.cells), self._loads])
        square = _SPREADS[:, None] ** 2 + self._own
        precision = np.einsum("gc,ci,cj->gij", weights / square, columns, columns, optimize=True)
        precision += np.diag([MEAN_SPREAD**-2] + [1.0] * loads.shape[1])
        score = (weights * sharpe / square) @ columns
        self._covariance = np.linalg.inv(precision)
        self._common = (self._covariance @ score[..., None])[..., 0]
        misfit = (weights * (sharpe**2 / square + np.log(square))).sum(axis=1)
        fit = (score * self._common).sum(axis=1) - misfit - np.linalg.slogdet(precision)[1]
        log = 0.5 * (fit - (_SPREADS / SPREAD_SCALE) ** 2)
        shares = np.exp(log - log.max())
        shares[0] *= 0.5  # the trapezoid's end
        self._weights: Floats = shares / shares.sum()

    def posteriors(self) -> Mixtures:
        """Of the cells."""
        w = _SPREADS[:, None] ** 2 / (_SPREADS[:, None] ** 2 + self._own)
        m, f = self._common[:, :1], self._common[:, 1:]
        means = w * (self._sharpe - f @ self._loads.T) + (1.0 - w) * m
        # θ is w·s + (1 - w)·m - w·λ'f and a rest, of m and f as they are known.
        of_common = np.concatenate(
            [(1.0 - w)[..., None], -w[..., None] * self._loads[None]], axis=2
        )
        uncertain = ((of_common @ self._covariance) * of_common).sum(axis=2)
        return Mixtures(self._weights, means, w * self._own + uncertain)

    def prior(self) -> tuple[float, float]:
        """Mean and standard deviation of the ratio of a cell that is not among them."""
        variances = _SPREADS**2 + self._covariance[:, 0, 0]
        new = Mixtures(self._weights, self._common[:, :1], variances[:, None])
        return float(new.mean[0]), float(new.deviation[0])
