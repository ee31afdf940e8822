"""Numbers in place of times: since 1970 in some unit, or dates without separators."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from brain.errors import BarsError

__all__ = ["dates_of_digits", "digits", "is_epoch", "since_1970"]

# Units in nanoseconds. Each puts other numbers between the years 1973 and 2255: at most one does.
# Other numbers are no times since 1970, but for instance row numbers, or dates as 20190704.
_UNITS = {"seconds": 10**9, "milliseconds": 10**6, "microseconds": 10**3, "nanoseconds": 1}
_LEAST, _MOST = 10**8, 9 * 10**9  # seconds

_NUMBER = r"\d+(?:\.\d*)?(?:[eE]\+?\d+)?"
_POWER = re.compile(r"\d+(?:\.(?P<decimals>\d*))?[eE]\+?(?P<power>\d+)")
_DATES = (8, 12, 14)  # digits: of a day, its minute, its second
_DAYS = (20_000, 80_000)  # a spreadsheet's numbers of the days from 1954 to 2119


def is_epoch(raw: pd.Series) -> bool:
    """Whether a column of text is numbers, perhaps with a point or a power of ten."""
    if pd.api.types.infer_dtype(raw) != "string":
        return False
    return bool(raw.dropna().astype("str").str.strip().str.fullmatch(_NUMBER).all())


def digits(raw: pd.Series, name: str) -> pd.Series:
    """Text as numbers: whole ones as integers, which hold nanoseconds.

    Raises:
        BarsError: a spreadsheet rounded them.
    """
    cells = raw.astype("str").str.strip()
    _check_rounding(cells.dropna(), name)
    whole = bool(cells.str.fullmatch(r"\d{1,18}|[1-8]\d{18}").all())
    kind = pa.int64() if whole else pa.float64()
    numbers = pc.cast(pa.Array.from_pandas(cells, type=pa.string()), kind)
    return pd.Series(numbers.to_numpy(zero_copy_only=False), index=raw.index, name=raw.name)


def _check_rounding(cells: pd.Series, name: str) -> None:
    short = cells[cells.str.contains("[eE]", regex=True)]
    powers = [match for match in map(_POWER.fullmatch, short) if match]
    if not powers:
        return
    finest = min(int(m["power"]) - len(m["decimals"] or "") for m in powers)
    unit = _unit(np.array([float(powers[0][0])]))[0]
    if unit and 10.0**finest * unit > 1e9:
        raise BarsError(
            f"{name}: the times are rounded, as {powers[0][0]!r} (a spreadsheet shortened them "
            "when it saved the file), and can't be had back; take the original file, or format the "
            "column as a number without decimals before saving"
        )


def dates_of_digits(raw: pd.Series) -> pd.Series | None:
    """Numbers of 8, 12 or 14 digits as text: a date, perhaps with a time of day; None if not."""
    numbers = raw.to_numpy(dtype=np.float64, na_value=np.nan)
    if not len(numbers) or not np.isfinite(numbers).all() or (numbers % 1 != 0).any():
        return None
    lengths = {len(str(int(number))) for number in (numbers.min(), numbers.max())}
    if len(lengths) > 1 or lengths.pop() not in _DATES:
        return None
    return pd.Series(numbers.astype(np.int64), index=raw.index).astype(str).astype(object)


def since_1970(raw: pd.Series, name: str, cure: str) -> tuple[pd.DatetimeIndex, str]:
    """Numbers as times since 1970, each in the only unit that it can be of, and a repair.

    Args:
        raw: integers or floats; NaN is no time.
        name, cure: of the series and of its times, for messages.

    Returns:
        The times without a zone, NaT for NaN; and a sentence if the unit changes.

    Raises:
        BarsError: a number is of no unit.
    """
    numbers = raw.to_numpy(dtype=np.float64, na_value=np.nan)
    valid = np.isfinite(numbers)
    units = _unit(numbers[valid])
    if not units.all():
        raise BarsError(_no_unit(numbers[valid], units, name, cure))
    nanoseconds = np.full(len(raw), pd.NaT.value)
    if raw.dtype.kind in "iu":  # nanoseconds don't fit a float
        nanoseconds[valid] = raw[valid].to_numpy(dtype=np.int64) * units
    else:
        whole = np.floor(numbers[valid])
        parts = np.rint((numbers[valid] - whole) * units)
        nanoseconds[valid] = whole.astype(np.int64) * units + parts.astype(np.int64)
    times = pd.DatetimeIndex(nanoseconds.view("datetime64[ns]"))
    return times, _change(units, np.flatnonzero(valid), times)


def _unit(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The length of each number's unit in nanoseconds; 0 where there is none."""
    units = np.zeros(len(numbers), dtype=np.int64)
    for unit in _UNITS.values():
        seconds = numbers * (unit / 1e9)
        units[(seconds >= _LEAST) & (seconds <= _MOST)] = unit
    return units


def _no_unit(
    numbers: npt.NDArray[np.float64], units: npt.NDArray[np.int64], name: str, cure: str
) -> str:
    if units.any():
        row = int((units == 0).argmax())
        return f"{name}: {numbers[row]:.15g} in row {row} is no time since 1970; {cure}"
    span = f"the numbers from {numbers.min():.15g} to {numbers.max():.15g}"
    if numbers.min() > _DAYS[0] and numbers.max() < _DAYS[1]:
        return (
            f"{name}: {span} in place of times look like a spreadsheet's numbers of days; format "
            f"the column as a date before saving; {cure}"
        )
    return f"{name}: {span} in place of times are not times in one unit; {cure}"


def _change(
    units: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], times: pd.DatetimeIndex
) -> str:
    changes = np.flatnonzero(np.diff(units))
    if not len(changes):
        return ""
    names = {unit: word for word, unit in _UNITS.items()}
    place = int(changes[0]) + 1
    more = f", and {len(changes) - 1} times more" if len(changes) > 1 else ""
    return (
        f"the unit of the times changes from {names[int(units[place - 1])]} to "
        f"{names[int(units[place])]} in row {rows[place]} ({times[rows[place]]:%Y-%m-%d %H:%M} UTC)"
        f"{more}; each time read in its own"
    )
