"""Sums, means and extremes over trailing windows, blind to everything outside the window.

The kernels must give the same bits on the last few bars as on the whole history. So nothing here
is a running total: a window of any length is put together from blocks of 1, 2, 4, … bars in an
order that depends on the window's length only, never on the bar's position or the history's
length. That costs O(log window) vectorised passes, and the rounding error stays that of a
pairwise sum over one window.

NaN policy: NaN is a missing bar and is skipped. Bars before the first one are missing too. A mean
is NaN unless at least half of the window is there; the extremes likewise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Floats",
    "lag",
    "positive_log",
    "ratio",
    "rolling_count",
    "rolling_max",
    "rolling_mean",
    "rolling_min",
    "usable_prices",
]

Floats = NDArray[np.float64]


def lag(x: Floats, bars: int, fill: float = np.nan) -> Floats:
    """``x`` of ``bars`` bars ago, (N,); the first ``bars`` rows are ``fill``."""
    if bars == 0:
        return x
    shifted = np.full(x.shape, fill)
    if bars < len(x):
        shifted[bars:] = x[:-bars]
    return shifted


def _fold(
    x: Floats, window: int, combine: Callable[[Floats, Floats], Floats], neutral: float
) -> Floats:
    """Combine the last ``window`` values of ``x`` (which holds no NaN) at every bar, (N,)."""
    block, size, offset = x, 1, 0
    total: Floats | None = None
    while True:
        if window & size:
            part = lag(block, offset, neutral)
            total = part if total is None else combine(total, part)
            offset += size
        if offset == window and total is not None:
            return total
        block = combine(block, lag(block, size, neutral))
        size *= 2


def _half_known(x: Floats, window: int) -> NDArray[np.bool_]:
    return 2 * rolling_count(x, window) >= window


def rolling_count(x: Floats, window: int) -> NDArray[np.int64]:
    """How many of the last ``window`` values are known, (N,)."""
    # Whole numbers don't drift, so a running total is allowed here.
    known = np.cumsum(~np.isnan(x), dtype=np.int64)
    known[window:] -= known[:-window].copy()
    return known


def rolling_mean(x: Floats, window: int) -> Floats:
    """Mean of the known ones among the last ``window`` values, (N,)."""
    count = rolling_count(x, window)
    total = _fold(np.where(np.isnan(x), 0.0, x), window, np.add, 0.0)
    return np.where(2 * count >= window, total / np.maximum(count, 1), np.nan)


def rolling_max(x: Floats, window: int) -> Floats:
    """Largest of the known ones among the last ``window`` values, (N,)."""
    top = _fold(np.where(np.isnan(x), -np.inf, x), window, np.maximum, -np.inf)
    return np.where(_half_known(x, window), top, np.nan)


def rolling_min(x: Floats, window: int) -> Floats:
    """Smallest of the known ones among the last ``window`` values, (N,)."""
    return -rolling_max(-x, window)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """``numerator / denominator``, (N,); NaN where the denominator isn't positive."""
    sound = denominator > 0.0
    quotient: Floats = np.where(sound, numerator, np.nan) / np.where(sound, denominator, 1.0)
    return quotient


def positive_log(x: Floats) -> Floats:
    """Natural logarithm, (N,); NaN where ``x`` isn't positive and finite."""
    sound = (x > 0.0) & (x < np.inf)
    logs: Floats = np.where(sound, np.log(np.where(sound, x, 1.0)), np.nan)
    return logs


def usable_prices(*columns: Floats) -> NDArray[np.bool_]:
    """Which bars have a positive, finite number in every column, (N,)."""
    usable = np.ones(columns[0].shape, dtype=np.bool_)
    for column in columns:
        usable &= (column > 0.0) & (column < np.inf)
    return usable
