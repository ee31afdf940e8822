"""Standard errors of dependent data: the circular block bootstrap (Politis & Romano 1992).

Neighbouring bars share their targets and their volatility, so an i.i.d. bootstrap understates the
error by about half. Blocks of consecutive rows are drawn instead, wrapping at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit  # scipy.stats costs every process a second

__all__ = ["MIN_BLOCKS", "BlockBootstrap", "block_length", "quotient"]

#: With fewer whole blocks than this the error is unknown.
MIN_BLOCKS = 5

_REPETITIONS = 400
_NORMAL = float(ndtri(0.975))


def block_length(horizon: int) -> int:
    """Rows in a block: 20, and at least twice the bars that two targets may share."""
    return max(20, 2 * horizon)


def quotient(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first column over the second, (k, 2) → (k,); NaN where that is not positive."""
    above, below = means.T
    return np.divide(above, below, out=np.full_like(below, np.nan), where=below > 0.0)


@dataclass(frozen=True)
class BlockBootstrap:
    """Draws of row indices, the same for every statistic of the same rows.

    Attributes:
        rows: number of rows to draw from.
        block: rows in a block, see :func:`block_length`.
        seed: of the draws.
        repetitions: number of draws.
    """

    rows: int
    block: int
    seed: int = 0
    repetitions: int = _REPETITIONS

    @property
    def enough(self) -> bool:
        """Whether the rows make :data:`MIN_BLOCKS` blocks."""
        return self.rows >= MIN_BLOCKS * self.block

    def widening(self, blocks: int | None = None) -> float:
        """What makes ± 1.96 standard deviations of the draws cover with this few blocks.

        Draws of ``b`` blocks have (b − 1)/b of the variance, and the variance is itself an estimate
        from b blocks: the quantile is Student's with b − 1 degrees of freedom.

        Args:
            blocks: that tell anything, where others hold nothing; all if None.
        """
        blocks = min(self.rows // self.block, blocks if blocks is not None else self.rows)
        if blocks < 2:
            return float("nan")
        return float(np.sqrt(blocks / (blocks - 1)) * stdtrit(blocks - 1, 0.975) / _NORMAL)

    def error(self, draws: NDArray[np.float64], blocks: int | None = None) -> float:
        """The standard error from a statistic's draws; NaN without two that are finite.

        Args:
            draws: of the statistic.
            blocks: see :meth:`widening`.
        """
        finite = draws[np.isfinite(draws)]
        if finite.size < 2:
            return float("nan")
        return float(finite.std(ddof=1)) * self.widening(blocks)

    def _starts(self) -> NDArray[np.int64]:
        blocks = -(-self.rows // self.block)
        rng = np.random.default_rng(self.seed)
        return rng.integers(self.rows, size=(self.repetitions, blocks))

    def means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Column means of every draw: (rows, k) → (repetitions, k); NaN without enough rows."""
        if not self.enough:
            return np.full((self.repetitions, values.shape[1]), np.nan)
        starts = self._starts()
        wrapped = np.concatenate([values, values[: self.block]])
        total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(wrapped, axis=0)])
        sums = (total[starts + self.block] - total[starts]).sum(axis=1)
        return np.asarray(sums / (starts.shape[1] * self.block))

    def paths(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Every draw as a path: (rows,) → (repetitions, rows); NaN without enough rows."""
        if not self.enough:
            return np.full((self.repetitions, self.rows), np.nan)
        index = self._starts()[:, :, None] + np.arange(self.block)
        return values[index.reshape(self.repetitions, -1)[:, : self.rows] % self.rows]
