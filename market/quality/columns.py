"""The columns of a series as the quality rules take them: arrays, sorted, one row a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain.errors import InputError, did_you_mean
from brain.series.quality.arrays import Flags, Floats
from brain.series.store.schema import KINDS
from market.quality.rules import VALUES

__all__ = ["Rows", "rows_of"]

# By kind, the columns of which a row must have one to hold a value.
_SUBSTANCE = {
    "candles": ("open", "high", "low", "close"),
    "funding": ("rate",),
    "open_interest": ("base",),
    "snapshots": ("mark_price", "funding_rate", "open_interest"),
}


@dataclass(frozen=True)
class Rows:
    """Rows of one series.

    Attributes:
        times: (N,) UTC, sorted, no time twice.
        values: by name, (N,) float64, NaN is unknown.
        valid: (N,) rows that hold a value.
        duplicates: rows that were left out because another has their time.
        conflicts: duplicates with other values than that row.
    """

    times: pd.DatetimeIndex
    values: dict[str, Floats]
    valid: Flags
    duplicates: int
    conflicts: int


def rows_of(frame: pd.DataFrame, kind: str) -> Rows:
    """The rows of a frame.

    Of rows with one time the one with the least values stays, whatever their order was.

    Raises:
        InputError: a column is missing or of the wrong type.
    """
    times = _times(frame, kind)
    values = {name: _floats(frame, kind, name) for name in VALUES[kind]}
    order, duplicates, conflicts = _order(times, values)
    unique = order[~duplicates]
    values = {name: column[unique] for name, column in values.items()}
    valid = np.logical_or.reduce([~np.isnan(values[name]) for name in _SUBSTANCE[kind]])
    return Rows(times[unique], values, valid, int(duplicates.sum()), conflicts)


def _times(frame: pd.DataFrame, kind: str) -> pd.DatetimeIndex:
    if "time" not in frame:
        raise InputError(f"{kind} have no column 'time'; give the times of the rows")
    column = frame["time"]
    if len(frame) == 0:
        return pd.DatetimeIndex([], dtype="datetime64[us, UTC]")
    if not isinstance(column.dtype, pd.DatetimeTZDtype) or column.isna().any():
        raise InputError(
            f"the times of {kind} are of type {column.dtype}, {int(column.isna().sum())} unknown; "
            "give every row a time with a zone, as pandas' datetime64[us, UTC]"
        )
    return pd.DatetimeIndex(column).tz_convert("UTC").as_unit("us")


def _floats(frame: pd.DataFrame, kind: str, name: str) -> Floats:
    if name not in frame:
        if name in KINDS[kind].nullable or name == "interval_hours":
            return np.full(len(frame), np.nan)
        raise InputError(f"{kind} have no column {name!r}; {did_you_mean(name, frame.columns)}")
    column = frame[name]
    if column.isna().all():
        return np.full(len(frame), np.nan)
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        raise InputError(f"the column {name!r} of {kind} is of type {column.dtype}; give numbers")
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _order(
    times: pd.DatetimeIndex, values: dict[str, Floats]
) -> tuple[NDArray[np.intp], Flags, int]:
    """The rows sorted by time, then value; which of them repeat a time; how many with other values.

    By value, too, so that the order of rows with one time doesn't matter.
    """
    if not len(times):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=bool), 0
    order = np.lexsort((*reversed(list(values.values())), times.asi8))
    stamps = times.asi8[order]
    duplicates = np.concatenate(([False], stamps[1:] == stamps[:-1]))
    differs = np.zeros(len(order), dtype=bool)
    for column in values.values():
        ordered = column[order]
        both_missing = np.isnan(ordered[1:]) & np.isnan(ordered[:-1])
        differs[1:] |= ~((ordered[1:] == ordered[:-1]) | both_missing)
    return order, duplicates, int((duplicates & differs).sum())
