"""Rows of a file: in the order of time, each time once, on the grid; what is odd is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.errors import BrainError, SeriesFileError
from brain.series.faults import row_faults
from brain.series.times import when
from brain.text import count
from market.collection.grid import Times, as_stamp

__all__ = ["Floats", "Rows", "check_grid", "check_period", "over", "sound_rows"]

Floats = npt.NDArray[np.float64]

_MOST = 9_000_000_000_000_000  # microseconds, in 2255
_MONDAY = 4 * 86_400_000_000  # 5 January 1970, in microseconds: weekly bars open on Mondays


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one file.

    Attributes:
        times: (N,) microseconds since 1970, sorted, each once.
        values: (N,) the kind's number columns in the series store, NaN where unknown.
        available: (N,) when each row was public, microseconds since 1970.
        impossible: of rows that can't be true, what is wrong with each, by time; they are not
            among the times.
        notes: what was repaired, a sentence each.
        error: of rows that contradict each other or can't be placed, and are left out; None: there
            are none.
        hours: between settlements, of funding, as the file says last; None: it doesn't.
    """

    times: Times
    values: Mapping[str, Floats]
    available: Times
    impossible: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: BrainError | None = None
    hours: float | None = None

    def part(self, rows: npt.NDArray[np.bool_]) -> Rows:
        """Some of the rows."""
        return replace(
            self,
            times=self.times[rows],
            values=_of(self.values, rows),
            available=self.available[rows],
        )

    def with_hours(self) -> Rows:
        """The rows of funding, with the last interval that they have."""
        hours = self.values["interval_hours"]
        known = hours[~np.isnan(hours)]
        return replace(self, hours=float(known[-1]) if len(known) else None)


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
        SeriesFileError: more than the one that runs are not, or a time is none of ours.
    """
    if len(times) and not 0 <= int(times.min()) <= int(times.max()) <= _MOST:
        raise SeriesFileError(
            "it has rows before 1970 or after 2255; its times are of another unit: write the file "
            "again"
        )
    late = times > now.value // 1000 - step
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
    kind: str,
    times: Times,
    values: Mapping[str, Floats],
    *,
    available: int | Times,
    notes: Sequence[str] = (),
) -> Rows:
    """The rows that can be stored.

    Args:
        kind: of the series.
        times: (N,) microseconds since 1970, in any order.
        values: (N,) the kind's number columns.
        available: from a row's time to when it was public, in microseconds; or (N,) when that was.
        notes: what was repaired before.

    Returns:
        The rows in the order of time. Repetitions are dropped; of rows of one time with other
        values none is taken, and neither are those that can't be true.
    """
    told = list(notes)
    public = times + available if isinstance(available, int) else available
    if (np.diff(times) < 0).any():
        order = np.argsort(times, kind="stable")
        times, public, values = times[order], public[order], _of(values, order)
        told.append("rows out of the order of time, sorted")
    error: BrainError | None = None
    impossible: dict[int, str] = {}
    if len(times) and not (np.diff(times) > 0).all():
        keep, contradicting = _once(times, values, told)
        if len(contradicting):
            impossible |= dict.fromkeys(contradicting.tolist(), "rows of one time differ")
            error = SeriesFileError(
                f"rows of one time differ, at {count(len(contradicting), 'time')}, first "
                f"{when(as_stamp(contradicting[0]))}; none of these is stored: fetch the file again"
            )
        times, public, values = times[keep], public[keep], _of(values, keep)
    faults = row_faults(kind, pd.DataFrame(dict(values), copy=False))
    bad = faults != ""
    if bad.any():
        impossible |= dict(zip(times[bad].tolist(), faults[bad], strict=True))
        told.append(
            f"{count(bad.sum(), 'impossible row')} left out, first "
            f"{when(as_stamp(times[int(bad.argmax())]))}: {faults[bad][0]}"
        )
        times, public, values = times[~bad], public[~bad], _of(values, ~bad)
    return Rows(times, values, public, impossible, tuple(told), error)


def _of(values: Mapping[str, Floats], rows: npt.NDArray[Any]) -> dict[str, Floats]:
    return {name: column[rows] for name, column in values.items()}


def _once(
    times: Times, values: Mapping[str, Floats], told: list[str]
) -> tuple[npt.NDArray[np.bool_], Times]:
    """Which rows stay, each time once; and the times at which rows differ, none of which stays."""
    repeated = np.append(False, np.diff(times) == 0)
    distinct = ~pd.DataFrame({**values, "time": times}).duplicated().to_numpy()
    contradicting = np.unique(times[repeated & distinct])
    if dropped := int((~distinct).sum()):
        told.append(f"{count(dropped, 'repeated row')} left out")
    return distinct & ~np.isin(times, contradicting), contradicting
