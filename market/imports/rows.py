"""Rows of a file: in the order of time, each time once, on the grid; what is odd is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.errors import BrainError, SeriesFileError
from brain.series.faults import row_faults
from brain.series.times import when
from brain.text import count
from market.collection.gaps import SeriesKey
from market.collection.grid import Times, as_stamp

__all__ = ["Rows", "check_grid", "check_period", "over", "sound_rows"]

_MONDAY = 4 * 86_400_000_000  # 5 January 1970, in microseconds: weekly bars open on Mondays


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one file.

    Attributes:
        frame: the kind's columns in the series store, except ``collected``; sorted by time, each
            time once.
        impossible: of rows that can't be true, what is wrong with each, by microseconds since
            1970; they are not in the frame.
        notes: what was repaired, a sentence each.
        error: of rows that contradict each other or can't be placed, and are left out; None: there
            are none.
        hours: between settlements, of funding, as the file says last; None: it doesn't.
    """

    frame: pd.DataFrame
    impossible: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: BrainError | None = None
    hours: float | None = None

    def with_hours(self) -> Rows:
        """The rows of funding, with the last interval that they have."""
        known = self.frame["interval_hours"].dropna()
        return replace(self, hours=float(known.iloc[-1]) if len(known) else None)


def check_grid(times: Times, step: int, origin: int = _MONDAY) -> None:
    """Check that times are at whole steps.

    Args:
        times: microseconds since 1970, in any order.
        step: in microseconds.
        origin: of the grid.

    Raises:
        SeriesFileError: one is not.
    """
    off = (times - origin) % step != 0
    if off.any():
        first = as_stamp(times[int(off.argmax())])
        raise SeriesFileError(
            f"{count(off.sum(), 'row')} off the grid of {step / 6e7:g} minutes, first {first}; "
            "fetch the file again, or leave it out"
        )


def check_period(
    times: Times, start: pd.Timestamp, end: pd.Timestamp, now: pd.Timestamp, step: int
) -> None:
    """Check that times are within the period that the file's name tells, and over.

    Args:
        times: microseconds since 1970, in any order.
        start, end: of the period, the end exclusive.
        now: by which the rows must be over.
        step: from a row's time to its end, in microseconds.

    Raises:
        SeriesFileError: one is not.
    """
    low, high = start.value // 1000, end.value // 1000
    outside = (times < low) | (times >= high)
    if outside.any():
        first = as_stamp(times[int(outside.argmax())])
        raise SeriesFileError(
            f"{count(outside.sum(), 'row')} outside of {start:%Y-%m-%d} to {end:%Y-%m-%d}, which "
            f"its name says, first {first}; fetch the file again"
        )
    if len(times) and int(times.max()) + step > now.value // 1000:
        raise SeriesFileError(
            f"its last row, {when(as_stamp(times.max()))}, is not over by the clock "
            f"({when(now.floor('s'))}); fetch the file again once it is"
        )


def over(
    times: Times, step: int, now: pd.Timestamp
) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """Which rows are over by now, of a file that may have been written at any moment.

    Args:
        times: microseconds since 1970, in any order.
        step: from a row's time to its end, in microseconds.
        now: the moment.

    Returns:
        A mask, and a note where one is not.

    Raises:
        SeriesFileError: more than the one that runs are not.
    """
    late = times + step > now.value // 1000
    if not late.any():
        return ~late, ()
    first = when(as_stamp(times[late].min()))
    if len(np.unique(times[late])) > 1:
        raise SeriesFileError(
            f"{count(late.sum(), 'row')} after now ({when(now.floor('s'))}), first {first}; the "
            "times are of another zone or unit: write them in UTC"
        )
    return ~late, (f"the row of {first}, which is not over, left out",)


def sound_rows(
    key: SeriesKey, times: Times, values: pd.DataFrame, *, notes: tuple[str, ...] = ()
) -> Rows:
    """The rows that can be stored.

    Args:
        key: of the series.
        times: (N,) microseconds since 1970, in any order.
        values: (N,) the kind's number columns, and ``available`` in microseconds since 1970.
        notes: what was repaired before.

    Returns:
        The rows in the order of time. Repetitions are dropped; of rows of one time with other
        values none is taken, and neither are those that can't be true.
    """
    exchange, symbol, kind, timeframe = key
    told = list(notes)
    if (np.diff(times) < 0).any():
        order = np.argsort(times, kind="stable")
        times, values = times[order], values.iloc[order].reset_index(drop=True)
        told.append("rows out of the order of time, sorted")
    repeated = np.zeros(len(times), dtype=bool)
    repeated[1:] = np.diff(times) == 0
    error: BrainError | None = None
    impossible: dict[int, str] = {}
    if repeated.any():
        distinct = ~values.assign(time=times).duplicated().to_numpy()
        contradicting = np.unique(times[repeated & distinct])
        impossible |= dict.fromkeys(contradicting.tolist(), "rows of one time differ")
        keep = distinct & ~np.isin(times, contradicting)
        if len(contradicting):
            error = SeriesFileError(
                f"rows of one time differ, at {count(len(contradicting), 'time')}, first "
                f"{when(as_stamp(contradicting[0]))}; none of these is stored: fetch the file again"
            )
        if dropped := int((~distinct).sum()):
            told.append(f"{count(dropped, 'repeated row')} left out")
        times, values = times[keep], values[keep].reset_index(drop=True)
    faults = row_faults(kind, values)
    bad = faults != ""
    if bad.any():
        impossible |= dict(zip(times[bad].tolist(), faults[bad], strict=True))
        told.append(
            f"{count(bad.sum(), 'impossible row')} left out, first "
            f"{when(as_stamp(times[int(bad.argmax())]))}: {faults[bad][0]}"
        )
        times, values = times[~bad], values[~bad].reset_index(drop=True)
    keys = {"exchange": exchange, "symbol": symbol}
    if timeframe:
        keys["timeframe"] = timeframe
    frame = pd.DataFrame(
        {name: pd.Series([text], dtype="str").repeat(len(times)) for name, text in keys.items()}
    ).reset_index(drop=True)
    frame["time"] = _stamps(times)
    for name in values.columns:
        column = values[name]
        frame[name] = _stamps(column.to_numpy()) if name == "available" else column.to_numpy()
    return Rows(frame, impossible, tuple(told), error)


def _stamps(times: npt.NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(times.astype("datetime64[us]")).tz_localize("UTC")
