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

from engine.kernels.columns import Floats

__all__ = [
    "lag",
    "last_known",
    "positive_log",
    "ratio",
    "rolling_count",
    "rolling_max",
    "rolling_mean",
    "rolling_min",
]


def lag(x: Floats, bars: int, fill: float = np.nan) -> Floats:
    """``x`` of ``bars`` bars ago, (N,); the first ``bars`` rows are ``fill``."""
    if bars == 0:
        return x
    shifted = np.full(x.shape, fill)
    if bars < len(x):
        shifted[bars:] = x[:-bars]
    return shifted


def last_known(x: Floats) -> Floats:
    """The last value that is not NaN at each bar, (N,); NaN before there is one."""
    known = ~np.isnan(x)
    last = np.maximum.accumulate(np.where(known, np.arange(len(x)), -1))
    return np.where(last < 0, np.nan, x[last])


def rolling_count(x: Floats, window: int) -> NDArray[np.int64]:
    """How many of the last ``window`` values are not NaN, (N,)."""
    # Whole numbers don't drift, so a running total is allowed here.
    count = np.cumsum(~np.isnan(x), dtype=np.int64)
    count[window:] -= count[:-window].copy()
    return count


def rolling_mean(x: Floats, window: int) -> Floats:
    """Mean of the last ``window`` values without the NaN, (N,)."""
    count = rolling_count(x, window)
    total = _reduce(np.where(np.isnan(x), 0.0, x), window, np.add, 0.0)
    return np.where(2 * count >= window, total / np.maximum(count, 1), np.nan)


def rolling_max(x: Floats, window: int) -> Floats:
    """Largest of the last ``window`` values without the NaN, (N,)."""
    top = _reduce(np.where(np.isnan(x), -np.inf, x), window, np.maximum, -np.inf)
    return np.where(2 * rolling_count(x, window) >= window, top, np.nan)


def rolling_min(x: Floats, window: int) -> Floats:
    """Smallest of the last ``window`` values without the NaN, (N,)."""
    return -rolling_max(-x, window)


def _reduce(
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


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """``numerator / denominator``, (N,); NaN where the denominator isn't positive."""
    valid = denominator > 0.0
    quotient: Floats = np.where(valid, numerator, np.nan) / np.where(valid, denominator, 1.0)
    return quotient


def positive_log(x: Floats) -> Floats:
    """Natural logarithm, (N,); NaN where ``x`` isn't positive and finite."""
    valid = (x > 0.0) & (x < np.inf)
    logs: Floats = np.where(valid, np.log(np.where(valid, x, 1.0)), np.nan)
    return logs
