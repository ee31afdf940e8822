"""The grid of a series, and which share of each day's rows there is."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain.series.bars import parse_timeframe
from brain.series.quality.arrays import Floats
from market.collection.grid import FixedGrid, FundingGrid, Grid, as_time, as_times
from market.quality.columns import Rows
from market.quality.record import Coverage

__all__ = ["coverage_by_day", "coverage_of", "grid_of", "lateness_of", "period_of"]

_DAY = pd.Timedelta(days=1)
_MICROSECOND = pd.Timedelta(microseconds=1)


def grid_of(kind: str, timeframe: str, rows: Rows, hours: float | None = None) -> Grid | None:
    """The times that a series must have; None where rows have no grid.

    Args:
        kind: of the series.
        timeframe: of the series.
        rows: of the series; funding's own intervals are used if ``hours`` is unknown.
        hours: the instrument's present funding interval.
    """
    if kind == "funding":
        return FundingGrid(hours or _last_hours(rows))
    return FixedGrid.of(timeframe) if timeframe else None


def coverage_of(
    times: pd.DatetimeIndex, grid: Grid | None, start: pd.Timestamp, end: pd.Timestamp
) -> Coverage:
    """The coverage of each UTC day of ``[start, end)``.

    Args:
        times: (N,) sorted, unique: the rows there are.
        grid: the times that must be there; without it, a day with any row is whole.
        start, end: of the days.
    """
    spans = grid.holes(as_times(times), start, end) if grid is not None else []
    points = [
        np.linspace(as_time(span.start), as_time(span.end), span.count, endpoint=False)
        for span in spans
    ]
    missing = np.concatenate([*points, []]).astype(np.int64)
    return _coverage(as_times(times), missing, start, end, regular=grid is not None)


def coverage_by_day(present: pd.DatetimeIndex, missing: pd.DatetimeIndex) -> Coverage:
    """The coverage of each UTC day, of the times of a grid that have a row and of those without.

    Days without either belong to the row before.

    Args:
        present: with a row; the first and the last time of the grid are among them.
        missing: without one.
    """
    end = present[-1] + pd.Timedelta(1, unit="us")
    return _coverage(as_times(present), as_times(missing), present[0], end, regular=True)


def _coverage(
    present: NDArray[np.int64],
    missing: NDArray[np.int64],
    start: pd.Timestamp,
    end: pd.Timestamp,
    *,
    regular: bool,
) -> Coverage:
    first = start.floor("D")
    days = max(int((end.ceil("D") - first) / _DAY), 1)
    there, absent = (_by_day(stamps, first, days) for stamps in (present, missing))
    with np.errstate(invalid="ignore"):
        shares = pd.Series(there / (there + absent))
    if regular:  # days without a grid point belong to the row before: weekly series
        shares = shares.ffill().bfill()
    return Coverage(first, tuple(shares.fillna(0.0).tolist()), "grid" if regular else "rows")


def period_of(kind: str, timeframe: str, rows: Rows) -> pd.Timedelta | None:
    """The time from one row to the next; None if unknown."""
    if timeframe:
        return parse_timeframe(timeframe)
    hours = _last_hours(rows) if kind == "funding" else None
    if hours is not None:
        return pd.Timedelta(hours=hours)
    if len(rows.times) < 2:
        return None
    return pd.Timedelta(int(np.median(np.diff(as_times(rows.times)))), unit="us")


def lateness_of(
    kind: str, times: pd.DatetimeIndex, step: pd.Timedelta | None, now: pd.Timestamp
) -> float | None:
    """Periods since the last row was published; candles and open interest are a period later."""
    if step is None or not len(times) or step <= pd.Timedelta(0):
        return None
    published = times[-1] + (step if kind in ("candles", "open_interest") else pd.Timedelta(0))
    return max((now - published) / step, 0.0)


def _last_hours(rows: Rows) -> float | None:
    hours = rows.values["interval_hours"]
    hours = hours[np.isfinite(hours) & (hours > 0)]
    return float(hours[-1]) if len(hours) else None


def _by_day(stamps: NDArray[np.int64], first: pd.Timestamp, days: int) -> Floats:
    place = (stamps - as_time(first)) // (_DAY // _MICROSECOND)
    return np.bincount(place[(place >= 0) & (place < days)], minlength=days).astype(np.float64)
