"""One column of what several sources tell, exchanges or publishers, some of which are unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.kernels.columns import Floats

__all__ = ["mean_across", "spread_across"]


def mean_across(columns: Sequence[Floats], shape: tuple[int, ...]) -> Floats:
    """The mean of every bar over the columns where it is known, (N,); NaN where none is."""
    total, count = _combine(columns, shape, np.add, 0.0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def spread_across(columns: Sequence[Floats], shape: tuple[int, ...]) -> Floats:
    """The largest less the smallest of every bar, (N,); NaN where fewer than two are known."""
    top, count = _combine(columns, shape, np.maximum, -np.inf)
    bottom, _ = _combine(columns, shape, np.minimum, np.inf)
    return np.where(count > 1, top - bottom, np.nan)


def _combine(
    columns: Sequence[Floats],
    shape: tuple[int, ...],
    operation: Callable[[Floats, Floats], Floats],
    neutral: float,
) -> tuple[Floats, NDArray[np.int64]]:
    """The values of every bar without the NaN combined, and how many they are, (N,) each.

    By hand: NumPy's order depends on the layout, and an unknown source must not change a bit.
    """
    total, count = np.full(shape, neutral), np.zeros(shape, dtype=np.int64)
    for column in columns:
        valid = ~np.isnan(column)
        total = operation(total, np.where(valid, column, neutral))
        count += valid
    return total, count
