"""The rows of one answer as columns; a row that can't be read or be true spoils no other.

Three kinds of faults are told apart. A *time* that is none, is of another unit, off the grid or
beyond what was asked is the whole answer's: whatever shifted it may have shifted the others, so
none of the rows is taken. A value of another *shape*, such as text, spoils its row, and is an error
once the other rows are stored. A value that is *impossible*, such as NaN or a negative volume, is
the exchange's word on that row: the row is missing, and on record with what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.errors import ExchangeShapeError
from market.http.parser import Field, Parser, as_number, milliseconds, shape_of

__all__ = ["FAULT", "Table"]

#: The column of frames with what is wrong with a row: empty, text of the impossible value, or the
#: error of a value of another shape.
FAULT = "fault"

_Mask = npt.NDArray[np.bool_]

# Between two rows of a history, in milliseconds.
_LONGEST = 7 * 24 * 3_600_000
_MONDAY = milliseconds(pd.Timestamp("1970-01-05", tz="UTC"))


class Table:
    """The rows of one answer.

    Args:
        parser: of the endpoint.
        rows: of the answer.
        fields: of a row that is a list, at least: where one is left out, the others have moved.
    """

    def __init__(self, parser: Parser, rows: Sequence[Any], fields: int = 0) -> None:
        self._parser = parser
        self._rows = rows
        self._faults = np.full(len(rows), "", dtype=object)
        for place, row in enumerate(rows):
            if fields and isinstance(row, list) and len(row) < fields:
                difference = f"has {len(row)} fields of {fields}, {str(row)[:120]}"
                self._spoil(place, parser.shape_error(f"row {place}", difference))

    def times(
        self, field: Field, first: int, last: int, *, step: int, precision: int = 1
    ) -> pd.DatetimeIndex:
        """A field of times on a grid, of which ``[first, last)`` was asked for.

        Rows beyond that are left to the caller to drop where all that was asked for came too; else
        they may be the missing ones, with their times shifted.

        Args:
            field: of milliseconds since 1970.
            first, last: what was asked for, in milliseconds.
            step: of the grid, in milliseconds.
            precision: milliseconds by which a time may be late on its grid.

        Raises:
            ExchangeShapeError: a time is none, off the grid, or far from what was asked for.
        """
        times = self._parser.times(self._rows, field)
        values = times.as_unit("ms").asi8
        off = (values - _MONDAY) % step >= precision
        # The bar in which a window begins is part of it.
        far = _beyond(values, first - (first - _MONDAY) % step, last, step)
        for bad, difference in ((far, "is not among what was asked for"), (off, "is off the grid")):
            if bad.any():
                place = int(bad.argmax())
                span = f"{_time(first)} to {_time(last)}, in steps of {step / 60_000:g} minutes"
                raise self._parser.shape_error(
                    f"field {field!r}",
                    f"holds {values[place]} in row {place}, {_time(int(values[place]))}, which "
                    f"{difference}: {span}",
                )
        return times

    def numbers(self, field: Field, *, optional: bool = False) -> npt.NDArray[np.float64]:
        """A field as float64; ``null``, empty text and what spoils its row are NaN."""
        numbers = np.full(len(self._rows), np.nan)
        for place, row in enumerate(self._rows):
            if self._faults[place] != "":
                continue
            try:
                value = self._parser.field(row, field, place, optional=optional)
            except ExchangeShapeError as error:
                self._spoil(place, error)
                continue
            if value is None or value == "":
                continue
            number = as_number(value)
            if number is None:
                difference = f"is no number in row {place}, {shape_of(value)} came"
                self._spoil(place, self._parser.shape_error(f"field {field!r}", difference))
            elif math.isfinite(number):
                numbers[place] = number
            else:
                self._faults[place] = f"field {field!r} is {value}"
        return numbers

    def choices(self, field: Field, among: Sequence[str]) -> npt.NDArray[np.object_]:
        """A field of text that is one of a few; empty where it spoils its row."""
        values = np.full(len(self._rows), "", dtype=object)
        for place, row in enumerate(self._rows):
            if self._faults[place] != "":
                continue
            try:
                value = self._parser.field(row, field, place)
            except ExchangeShapeError as error:
                self._spoil(place, error)
                continue
            if str(value) in among and not isinstance(value, bool):
                values[place] = str(value)
            else:
                difference = f"is none of {', '.join(among)} in row {place}, {shape_of(value)} came"
                self._spoil(place, self._parser.shape_error(f"field {field!r}", difference))
        return values

    def frame(self, times: pd.DatetimeIndex, **columns: Any) -> pd.DataFrame:
        """The columns with their times and faults."""
        frame = pd.DataFrame({"time": times, **columns})
        return frame.assign(fault=pd.Series(self._faults, dtype=object))

    def _spoil(self, place: int, error: ExchangeShapeError) -> None:
        self._faults[place] = error


def _beyond(values: npt.NDArray[np.int64], first: int, last: int, step: int) -> _Mask:
    """Which times are outside ``[first, last)``; none if what is inside is whole without them."""
    outside: _Mask = (values < first) | (values >= last)
    if not outside.any():
        return outside
    inside = np.unique(values[~outside] // step)
    spacing = int(np.diff(inside).min(initial=_LONGEST // step)) * step if len(inside) > 1 else step
    edges = np.concatenate([[first - spacing], inside * step, [last]])
    gaps = np.diff(edges)
    whole = len(inside) > 0 and bool((gaps[1:-1] == spacing).all())
    whole = whole and gaps[0] < 2 * spacing and gaps[-1] <= spacing
    return np.zeros(len(values), dtype=bool) if whole else outside


def _time(value: int) -> str:
    return f"{pd.Timestamp(value, unit='ms', tz='UTC'):%Y-%m-%d %H:%M}"
