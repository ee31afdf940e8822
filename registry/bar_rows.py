"""Rows of bars: read, sorted, and refused where no market can have printed them.

The first half of :func:`registry.bars.check_bars`, before the rows are put on their grid.
"""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd

from registry.bar_times import parse_times
from registry.errors import BarsError, NotEnoughBarsError, did_you_mean

__all__ = ["COLUMNS", "count", "parse_rows", "refuse", "when"]

#: The columns of a series of bars, in this order.
COLUMNS: tuple[str, ...] = ("open", "high", "low", "close", "volume")

# Adjusted or converted prices may leave the close a rounding error above the high.
_ROUNDING = 1e-9


def parse_rows(frame: pd.DataFrame, name: str, repairs: list[str]) -> pd.DataFrame:
    """The bars of a frame: float64 columns :data:`COLUMNS`, in order of time, no time twice.

    Args:
        frame: Bars as :func:`registry.bars.check_bars` takes them, at least one row.
        name: What the series is called in messages.
        repairs: What had to be repaired is appended here, a sentence each.

    Raises:
        NotEnoughBarsError: no row holds a value.
        BarsError: the frame is broken in a way that no repair covers.
    """
    _check_columns(frame, name)
    rows = _read(frame, parse_times(frame, name), name)
    rows = _in_order(_without_blank_rows(rows, name, repairs), repairs)
    _check_prices(rows, name)
    rows = _with_wide_ranges(_with_known_volumes(rows, repairs), repairs)
    return _without_repetitions(rows, name, repairs)


def _check_columns(frame: pd.DataFrame, name: str) -> None:
    columns = [str(column) for column in frame.columns]
    for wanted in COLUMNS:
        if columns.count(wanted) > 1:
            raise BarsError(
                f"{name}: {columns.count(wanted)} columns are called {wanted!r}; keep one"
            )
        if wanted not in columns:
            raise BarsError(
                f"{name}: there is no column {wanted!r}; the columns are to be named time, "
                f"{', '.join(COLUMNS)}; {did_you_mean(wanted, columns)}"
            )


def _read(frame: pd.DataFrame, times: pd.DatetimeIndex, name: str) -> pd.DataFrame:
    """The five columns as float64 in one block, by time."""
    values = np.column_stack([_floats(frame[column], times, name) for column in COLUMNS])
    return pd.DataFrame(values, index=times, columns=list(COLUMNS))


def _floats(column: pd.Series, times: pd.DatetimeIndex, name: str) -> npt.NDArray[np.float64]:
    kind = pd.api.types
    if kind.is_numeric_dtype(column) and not (
        kind.is_bool_dtype(column) or kind.is_complex_dtype(column)
    ):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    # Databases hand out decimals and None as objects. Text is refused even where it reads as a
    # number, because "1,234" and "1.234" don't mean the same everywhere.
    cells = column.astype(object).reset_index(drop=True)
    bad = (cells.notna() & ~cells.map(_is_number).astype(bool)).to_numpy(dtype=bool)
    if bad.any():
        first = int(bad.argmax())
        raise BarsError(
            f"{name}: {count(bad.sum(), 'value')} in column {column.name!r} can't be taken as "
            f"numbers, first {cells.iloc[first]!r} at {when(times[first])}; correct them and cast "
            "the column to float"
        )
    return cells.where(cells.notna(), np.nan).to_numpy(dtype=np.float64)


def _is_number(cell: Any) -> bool:
    return isinstance(cell, Real | Decimal) and not isinstance(cell, bool)


def _without_blank_rows(rows: pd.DataFrame, name: str, repairs: list[str]) -> pd.DataFrame:
    blank = rows.isna().all(axis=1).to_numpy()
    if blank.all():
        raise NotEnoughBarsError(f"{name}: no row holds a value; give at least one bar")
    if blank.any():
        repairs.append(f"{count(blank.sum(), 'row')} without any value taken as missing bars")
    return rows[~blank]


def _in_order(rows: pd.DataFrame, repairs: list[str]) -> pd.DataFrame:
    if rows.index.is_monotonic_increasing:
        return rows
    repairs.append("rows out of the order of time, sorted")
    return rows.sort_index(kind="stable")


def _check_prices(rows: pd.DataFrame, name: str) -> None:
    """Refuse bars that no market can have printed; the rows are in the order of time."""
    values = rows.to_numpy()
    first, high, low, last, volume = (values[:, k] for k in range(len(COLUMNS)))
    faults = {
        "a price is NaN or infinite": ~np.isfinite(values[:, :4]).all(axis=1),
        "a price is not positive": (values[:, :4] <= 0).any(axis=1),
        "high is below low": high < low * (1 - _ROUNDING),
        "high is below open or close": high < np.maximum(first, last) * (1 - _ROUNDING),
        "low is above open or close": low > np.minimum(first, last) * (1 + _ROUNDING),
        "volume is negative": volume < 0,
    }
    cure = "correct these bars at the source, or leave them out: a bar may be missing"
    for fault, bad in faults.items():
        if np.any(bad):
            refuse(rows, bad, fault, cure, name)


def refuse(
    rows: pd.DataFrame, bad: npt.NDArray[np.bool_], fault: str, cure: str, name: str
) -> NoReturn:
    """Raise a :class:`BarsError` for the marked rows (N,), showing the first of them."""
    first = int(bad.argmax())
    shown = ", ".join(f"{c} {float(v)!r}" for c, v in zip(COLUMNS, rows.iloc[first], strict=True))
    raise BarsError(
        f"{name}: {fault} in {bad.sum()} of {count(len(rows), 'bar')}, "
        f"first at {when(rows.index[first])} ({shown}); {cure}"
    )


def _with_known_volumes(rows: pd.DataFrame, repairs: list[str]) -> pd.DataFrame:
    unknown = ~np.isfinite(rows["volume"].to_numpy())
    if not unknown.any():
        return rows
    bars, first = count(unknown.sum(), "bar"), when(rows.index[int(unknown.argmax())])
    repairs.append(f"volume NaN or infinite in {bars}, taken as missing, first at {first}")
    return rows.assign(volume=rows["volume"].mask(unknown))


def _with_wide_ranges(rows: pd.DataFrame, repairs: list[str]) -> pd.DataFrame:
    """High and low that enclose open and close exactly, so that kernels may rely on it."""
    high = rows[["open", "high", "close"]].max(axis=1)
    low = rows[["open", "low", "close"]].min(axis=1)
    narrow = ((high != rows["high"]) | (low != rows["low"])).sum()
    if not narrow:
        return rows
    repairs.append(f"high or low of {count(narrow, 'bar')} widened by a rounding error")
    return rows.assign(high=high, low=low)


def _without_repetitions(rows: pd.DataFrame, name: str, repairs: list[str]) -> pd.DataFrame:
    if rows.index.is_unique:
        return rows
    repeated = rows.reset_index().duplicated().to_numpy()
    rows = rows[~repeated]
    clash = rows.index.duplicated()
    if clash.any():
        cure = "keep one bar for each time (local times repeat when summer time ends: write UTC)"
        refuse(rows, clash, "a second, different bar has the same time", cure, name)
    repairs.append(f"{count(repeated.sum(), 'exact repetition')} of a bar dropped")
    return rows


def when(time: pd.Timestamp) -> str:
    """A time (UTC) for people, to the minute where it falls on one."""
    finer = "" if time == time.floor("min") else f":{time:%S.%f}"
    return f"{time:%Y-%m-%d %H:%M}{finer} UTC"


def count(number: int, noun: str) -> str:
    """``1 bar``, ``2 bars``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
