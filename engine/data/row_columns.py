"""The columns of stored rows as the kernels take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from engine.kernels.columns import Floats, Times

__all__ = ["TIMES", "times_of", "values_of"]

#: A row's stamp, and the moment of its publication.
TIMES = ("time", "available")


def times_of(rows: pd.DataFrame) -> tuple[Times, Times]:
    """Stamps and moments of publication (N,), in nanoseconds since 1970 UTC."""
    time, available = (pd.DatetimeIndex(rows[name]).as_unit("ns").asi8 for name in TIMES)
    return time, available


def values_of(rows: pd.DataFrame, name: str) -> Floats:
    """A column's numbers (N,), NaN where one is missing: equal ones are of equal bits."""
    values = rows[name].to_numpy(dtype=np.float64, na_value=np.nan) + 0.0  # -0.0 is 0.0
    values[np.isnan(values)] = np.nan  # one bit pattern for all NaN
    return values
