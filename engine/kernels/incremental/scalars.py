"""One number at a time by the rules of :mod:`engine.kernels.windows`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["INF", "NAN", "garman_klass", "logs", "mean_known", "ratio", "root"]

NAN, INF = math.nan, math.inf

_CLOSE_WEIGHT = 2.0 * math.log(2.0) - 1.0


def ratio(numerator: float, denominator: float) -> float:
    """``numerator / denominator``; NaN where the denominator isn't positive."""
    return numerator / denominator if denominator > 0.0 else NAN


def root(x: float) -> float:
    """The square root; NaN where ``x`` is negative or NaN."""
    return math.sqrt(x) if x >= 0.0 else NAN


def logs(*values: float) -> list[float]:
    """Natural logarithms; NaN where a value isn't positive and finite.

    By NumPy, whose last bits are not those of :func:`math.log`.
    """
    usable = np.array([x if 0.0 < x < INF else NAN for x in values])
    result: list[float] = np.log(usable).tolist()
    return result


def mean_known(values: Sequence[float]) -> float:
    """The mean of the values that are known, in the order of the batch; NaN where none is."""
    total, count = 0.0, 0
    for value in values:
        if not math.isnan(value):
            total, count = total + value, count + 1
    return total / count if count else NAN


def garman_klass(log_open: float, log_high: float, log_low: float, log_close: float) -> float:
    """The variance within a bar, as in :func:`engine.kernels.regimes.volatility`."""
    span, body = log_high - log_low, log_close - log_open
    return 0.5 * (span * span) - _CLOSE_WEIGHT * (body * body)
