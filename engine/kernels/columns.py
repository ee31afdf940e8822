"""Columns of a kernel's bars and rows: their types, their lengths, and which prices are usable."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brain.errors import InputError

__all__ = ["Floats", "Times", "check_shapes", "valid_prices"]

Floats = NDArray[np.float64]
#: Nanoseconds since 1970 UTC.
Times = NDArray[np.int64]


def check_shapes(times: Times, **columns: NDArray[np.generic]) -> None:
    """Check that every column has one value for each time.

    Args:
        times: (N,).
        columns: by name.

    Raises:
        InputError: a column is not (N,).
    """
    for name, column in columns.items():
        if column.shape != times.shape or column.ndim != 1:
            raise InputError(
                f"{name} has shape {column.shape}, the times have {times.shape}; "
                "give one value for each time"
            )


def valid_prices(*prices: Floats) -> NDArray[np.bool_]:
    """Which bars have a positive, finite number in every column, (N,)."""
    valid = np.ones(prices[0].shape, dtype=np.bool_)
    for column in prices:
        valid &= (column > 0.0) & (column < np.inf)
    return valid
