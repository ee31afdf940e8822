"""Times of bars in any usual form as one UTC index; and times for people."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from brain.errors import BarsError, did_you_mean

__all__ = ["parse_times", "when"]

# Numbers are taken as seconds, milliseconds, microseconds or nanoseconds since 1970 (here by their
# length in nanoseconds), whichever puts them between 1973 and 2255: at most one does. Other numbers
# are no times, but for instance row numbers, or dates in the form 20190704.
_UNITS = (1_000_000_000, 1_000_000, 1_000, 1)
_LEAST, _MOST = 1e8, 9e9  # seconds

# A zone at the end of a time of day: Z, +01, +0100, +01:00. A date alone ends in "-04", too.
_ZONE = re.compile(r"\d[T ]\d{2}.*(?:[Zz]|[+-]\d{2}(?::?\d{2})?)\s*$")

_CURE = "write times as 2019-07-04T13:00:00Z or in seconds or milliseconds since 1970"


def parse_times(frame: pd.DataFrame, name: str) -> pd.DatetimeIndex:
    """The times of a frame's rows.

    Args:
        frame: its column ``time``, or else its DatetimeIndex, holds datetimes, ISO 8601 text or
            numbers since 1970 in one unit. Times without a zone are taken as UTC.
        name: of the series, for messages.

    Returns:
        One time a row, in the order of the rows: UTC, nanoseconds, named ``time``, no NaT.

    Raises:
        BarsError: there are no times, column and index differ, a time is unreadable, or only some
            times have a zone.
    """
    raw = _raw_times(frame, name).infer_objects()
    types = pd.api.types
    if types.is_datetime64_any_dtype(raw):
        times = pd.DatetimeIndex(raw)
    elif types.is_numeric_dtype(raw) and not types.is_bool_dtype(raw):
        times = _since_1970(raw, name)
    else:
        times = _from_objects(raw.astype(object), name)
    unreadable = np.asarray(times.isna())
    if unreadable.any():
        first = int(unreadable.argmax())
        raise BarsError(
            f"{name}: {unreadable.sum()} of {len(raw)} times can't be read, first "
            f"{_quoted(raw.iloc[first])} in row {first}; {_CURE}"
        )
    times = times.tz_localize("UTC") if times.tz is None else times.tz_convert("UTC")
    try:
        return times.as_unit("ns").rename("time")
    except pd.errors.OutOfBoundsDatetime:
        raise BarsError(
            f"{name}: the times run from {times.min()} to {times.max()}, beyond the years 1678 "
            f"to 2262; {_CURE}"
        ) from None


def _raw_times(frame: pd.DataFrame, name: str) -> pd.Series:
    """The times of the frame, unparsed, with a range as index."""
    columns = [str(column) for column in frame.columns]
    indexed = isinstance(frame.index, pd.DatetimeIndex)
    if columns.count("time") > 1:
        raise BarsError(f"{name}: {columns.count('time')} columns are called 'time'; keep one")
    if "time" not in columns and not indexed:
        raise BarsError(
            f"{name}: there is no column 'time' and no DatetimeIndex; give the bars' open times as "
            f"'time'; {did_you_mean('time', columns)}"
        )
    index = pd.Series(frame.index)
    if "time" not in columns:
        return index
    column = frame["time"].reset_index(drop=True)
    if indexed and not column.equals(index.rename("time")):
        raise BarsError(
            f"{name}: the column 'time' and the DatetimeIndex differ; drop the one that is not "
            "the bars' open time"
        )
    return column


def _since_1970(raw: pd.Series, name: str) -> pd.DatetimeIndex:
    numbers = raw.to_numpy(dtype=np.float64, na_value=np.nan)
    valid = np.isfinite(numbers)
    for unit in _UNITS:
        seconds = numbers[valid] * (unit / 1e9)
        if ((seconds >= _LEAST) & (seconds <= _MOST)).all():
            break
    else:
        raise BarsError(
            f"{name}: the numbers from {numbers[valid].min():.15g} to {numbers[valid].max():.15g} "
            f"in place of times are not times in one unit; {_CURE}"
        )
    nanoseconds = np.full(len(raw), pd.NaT.value)
    if raw.dtype.kind in "iu":  # nanoseconds don't fit a float
        nanoseconds[valid] = raw[valid].to_numpy(dtype=np.int64) * unit
    else:
        whole = np.floor(numbers[valid])
        parts = np.rint((numbers[valid] - whole) * unit)
        nanoseconds[valid] = whole.astype(np.int64) * unit + parts.astype(np.int64)
    return pd.DatetimeIndex(nanoseconds.view("datetime64[ns]"))


def _from_objects(raw: pd.Series, name: str) -> pd.DatetimeIndex:
    """Times of text and datetime objects; NaT for unreadable ones."""
    zoned = raw[raw.notna()].map(_has_zone).astype(bool)
    if zoned.nunique() > 1:
        with_zone, without = raw[zoned.index[zoned]], raw[zoned.index[~zoned]]
        raise BarsError(
            f"{name}: {len(with_zone)} times carry a zone (as {_quoted(with_zone.iloc[0])}) and "
            f"{len(without)} don't (as {_quoted(without.iloc[0])}); write all of them in UTC"
        )
    # pandas would take "now" and "today" as times.
    words = raw.map(lambda time: isinstance(time, str) and not time[:4].isdecimal()).astype(bool)
    times = pd.to_datetime(raw.mask(words), format="ISO8601", utc=True, errors="coerce")
    return pd.DatetimeIndex(times)


def _has_zone(time: Any) -> bool:
    if isinstance(time, str):
        return _ZONE.search(time) is not None
    return getattr(time, "tzinfo", None) is not None


def _quoted(time: Any) -> str:
    return repr(time) if isinstance(time, str) else str(time)


def when(time: pd.Timestamp) -> str:
    """A time (UTC) for people, to the minute where it falls on one."""
    finer = "" if time == time.floor("min") else f":{time:%S.%f}"
    return f"{time:%Y-%m-%d %H:%M}{finer} UTC"
