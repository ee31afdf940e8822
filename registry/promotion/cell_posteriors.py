"""The posteriors of all cells of a contest, from the nights of evidence that are closed.

A night is the unit, as everywhere in the contest. A backtest's nights count half, as likelihoods do
under a power prior (Ibrahim & Chen 2000, Statistical Science).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from brain.brief import Brief
from brain.confidence import BLOCK_DAYS, COVERAGE, Posterior, Prior
from brain.naming import REGIMES
from registry.promotion.boundary import Rule
from registry.promotion.groups import Booleans, Floats, Indices
from registry.promotion.history import History
from registry.promotion.posterior import Pool

__all__ = ["MIN_NIGHTS", "CellEstimates", "CellPosteriors", "cell_estimates", "cell_posteriors"]

#: The least number of nights with a profit or a loss in a cell's evidence: the error of fewer is
#: itself unknown, however many nights nothing was held beside.
MIN_NIGHTS = 10

_DAYS_A_YEAR = 365.25
_MOST_ALIKE = 0.95


@dataclass(frozen=True, repr=False)
class Correlations(Brief):
    """Mean correlations of the errors of two estimates, from 0 to .95.

    Attributes:
        anywhere: of other regimes and symbols.
        regimes: (R,) of one regime and different symbols, at least ``anywhere``.
        lines: of lines of one cell.
    """

    anywhere: float
    regimes: Floats
    lines: float

    def structure(self, known: Booleans) -> tuple[Floats, Floats]:
        """Loads and weights of a :class:`registry.promotion.posterior.Pool`.

        One factor is common to all cells, and one to each regime's. Lines of one cell count
        together as many as they would be if they were independent.

        Args:
            known: (symbols, regimes, lines).
        """
        regime = np.argwhere(known)[:, 1]
        own = np.sqrt(self.regimes - self.anywhere)[regime]
        loads = np.zeros((len(regime), 1 + known.shape[1]))
        loads[:, 0] = np.sqrt(self.anywhere)
        loads[np.arange(len(regime)), 1 + regime] = own
        lines = known.sum(axis=2, keepdims=True)
        weights = np.broadcast_to(1.0 / (1.0 + (lines - 1) * self.lines), known.shape)
        return loads, weights[known]


@dataclass(frozen=True, repr=False)
class CellEstimates(Brief):
    """Estimates by cell and line, each (symbols, regimes, lines); NaN is unknown.

    Attributes:
        sharpe, error: annual net Sharpe ratio over the regime's nights, and its standard error.
        nights: of the evidence, those included in which nothing was held.
        share: of the line's nights that the regime has.
        correlations: of their errors.
    """

    sharpe: Floats
    error: Floats
    nights: Floats
    share: Floats
    correlations: Correlations

    @property
    def known(self) -> Booleans:
        """Cells with an estimate."""
        return np.isfinite(self.sharpe)

    def pool(self) -> Pool:
        """The known ones, in the order of the axes."""
        known = self.known
        return Pool(self.sharpe[known], self.error[known], *self.correlations.structure(known))


@dataclass(frozen=True, repr=False)
class CellPosteriors(Brief):
    """The posteriors of a contest.

    Attributes:
        prior: of a cell that is not among them.
        cells: by symbol, regime and line; cells without an estimate are left out.
        missing: share of the newest night's bars without a prediction, by symbol and line.
    """

    prior: Prior = field(default_factory=Prior)
    cells: Mapping[tuple[str, str, str], Posterior] = field(default_factory=dict)
    missing: Mapping[tuple[str, str], float] = field(default_factory=dict)


def cell_posteriors(history: History) -> CellPosteriors:
    """The posteriors of all cells and lines.

    All lines of a cell are in the pool and not the champion's alone: a pool of winners would
    believe that all cells are like them.

    Args:
        history: of all lines and symbols, as it was closed (:meth:`History.at`).
    """
    estimates = cell_estimates(history)
    known = estimates.known
    pool = estimates.pool()
    prior = Prior(*pool.prior(), pool.cells)
    mixtures, share = pool.posteriors(), estimates.share[known]
    columns = {
        "measured": estimates.sharpe[known],
        "error": estimates.error[known],
        "share": share,
        "mean": mixtures.mean,
        "low": mixtures.quantile(0.5 - COVERAGE / 2.0),
        "high": mixtures.quantile(0.5 + COVERAGE / 2.0),
        "positive": mixtures.positive(),
        "next_block": mixtures.gain(BLOCK_DAYS / _DAYS_A_YEAR * share),
        "next_year": mixtures.gain(1.0),
    }
    cells = {}
    for n, (i, j, k) in enumerate(np.argwhere(known).tolist()):
        cells[history.symbols[i], str(REGIMES[j]), history.lines[k]] = Posterior(
            nights=int(estimates.nights[i, j, k]),
            prior=prior,
            **{name: float(column[n]) for name, column in columns.items()},  # type: ignore[arg-type]
        )
    return CellPosteriors(prior, cells, _missing(history))


def cell_estimates(history: History) -> CellEstimates:
    """The annual net Sharpe ratio of each cell and line over its own nights.

    With weights w of the nights, 1 live and half of a backtest, ``s = mean / deviation · √A`` and
    ``e² = A / n · (n - 1) / (n - 3)``, n the sum of weights and A the nights of a year; the last
    factor is the variance of Student's t. Profits are not cut: a rare loss counts in full.

    Args:
        history: as it was closed.
    """
    known = np.isfinite(history.profit)
    weights = np.where(history.live, 1.0, Rule().discount) * known
    profit = np.where(known, history.profit, 0.0)
    n, count = weights.sum(axis=0), known.sum(axis=0)
    enough = (known & (history.profit != 0.0)).sum(axis=0) >= MIN_NIGHTS
    safe = np.where(enough, n, 4.0)
    mean = (weights * profit).sum(axis=0) / safe
    centred = np.where(known, profit - mean, 0.0)
    variance = (weights * centred**2).sum(axis=0) / safe * count / np.maximum(count - 1, 1)
    enough &= variance > 0.0
    deviation = np.sqrt(np.where(enough, variance, 1.0))
    annual = _nights_a_year(history)[:, None, None]
    of_line = np.maximum(np.isfinite(history.bars).any(axis=2).sum(axis=0), 1)[:, None, :]

    def where_enough(values: Floats) -> Floats:
        return np.where(enough, values, np.nan)

    return CellEstimates(
        sharpe=where_enough(mean / deviation * np.sqrt(annual)),
        error=where_enough(np.sqrt(annual / safe * (safe - 1.0) / (safe - 3.0))),
        nights=count.astype(np.float64),
        share=count / of_line,
        correlations=_correlations(weights * centred, weights, enough),
    )


def _nights_a_year(history: History) -> Floats:
    """(symbols,) nights with bars in a year, by the share of the days that have any."""
    present: Booleans = np.asarray(np.isfinite(history.bars).any(axis=(2, 3)))
    if not len(present):
        return np.full(len(history.symbols), _DAYS_A_YEAR)
    first, last = present.argmax(axis=0), len(present) - present[::-1].argmax(axis=0)
    return np.asarray(_DAYS_A_YEAR * np.maximum(present.sum(axis=0), 1) / (last - first))


def _correlations(weighted: Floats, weights: Floats, known: Booleans) -> Correlations:
    """The mean correlations of errors, by the nights that estimates have in common.

    Args:
        weighted: (nights, symbols, regimes, lines) profits less their means, times their weights.
        weights: of the same, 0 where unknown.
        known: (symbols, regimes, lines) with an estimate.
    """
    # Of columns of unit length the sums' squares are the sums of all pairs' correlations.
    length = np.sqrt((weighted**2).sum(axis=0))
    units = np.where(known, weighted / np.where(length > 0.0, length, 1.0), 0.0)
    cells = _pairs(units.sum(axis=3), known.sum(axis=2))
    regimes = _pairs(units.sum(axis=(1, 3)), known.sum(axis=(0, 2)))
    symbols = _pairs(units.sum(axis=(2, 3)), known.sum(axis=(1, 2)))
    every = _pairs(units.sum(axis=(1, 2, 3)), known.sum())
    of_cells = cells.sum(axis=(1, 2))
    anywhere = _mean(every - regimes.sum(axis=1) - symbols.sum(axis=1) + of_cells)
    regimes = np.maximum(_mean(regimes - cells.sum(axis=1)), anywhere)
    return Correlations(float(anywhere), regimes, float(_mean(of_cells)))


def _pairs(sums: Floats, count: Indices) -> Floats:
    """Sum and number of the correlations of all pairs of different columns of unit length, (2, …).

    Args:
        sums: (nights, …) of the columns.
        count: (…) of the columns.
    """
    return np.stack([(sums**2).sum(axis=0) - count, count * (count - 1.0)])


def _mean(pairs: Floats) -> Floats:
    total, number = pairs
    return np.clip(np.where(number > 0, total / np.maximum(number, 1.0), 0.0), 0.0, _MOST_ALIKE)


def _missing(history: History) -> dict[tuple[str, str], float]:
    """Of the newest night of each symbol and line; where it is unknown there is none."""
    shares = {}
    for i, symbol in enumerate(history.symbols):
        for k, line in enumerate(history.lines):
            of_line = history.missing[:, i, :, k]
            if (known := np.isfinite(of_line)).any():
                last = int(np.flatnonzero(known.any(axis=1))[-1])
                shares[symbol, line] = float(np.nanmax(of_line[last]))
    return shares
