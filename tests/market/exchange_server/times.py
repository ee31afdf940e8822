"""Times in milliseconds, as the exchanges count, and as frames hold them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["HOUR", "ceiling", "grid", "milliseconds", "step_of", "times_index", "utc"]

Times = NDArray[np.int64]

HOUR = 3_600_000
_UNITS = {"m": 60_000, "h": HOUR, "d": 24 * HOUR}


def milliseconds(time: pd.Timestamp) -> int:
    return int(time.value // 1_000_000)


def step_of(timeframe: str) -> int:
    """Milliseconds of a timeframe as ``1h``."""
    return int(timeframe[:-1]) * _UNITS[timeframe[-1]]


def times_index(times: Times) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(times, unit="ms", utc=True)).as_unit("us")


def utc(time: pd.Timestamp | str) -> pd.Timestamp:
    time = pd.Timestamp(time)
    return time.tz_localize("UTC") if time.tz is None else time.tz_convert("UTC")


def ceiling(time: pd.Timestamp) -> int:
    return -(-time.value // 1_000_000)


def grid(low: int, high: int, step: int, shift: int = 0) -> Times:
    first = -(-(low - shift) // step) * step + shift
    return np.arange(first, max(high, first), step, dtype=np.int64)
