"""Parsing of answers: fields by name or place, and the error that names the field that differs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.errors import ExchangeShapeError

__all__ = ["Parser", "as_number", "milliseconds", "shape_of", "timestamps"]

#: A field's name in a row that is an object, or its place in a row that is a list.
Field = str | int

# No exchange is older, and no contract is so far ahead: other numbers are of another unit.
_FIRST, _LAST = pd.Timestamp("2000-01-01", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC")
_UNITS = {"seconds": 1e3, "microseconds": 1e-3, "nanoseconds": 1e-6}
_WHOLE = re.compile(r"-?[0-9]{1,30}(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf(?:inity)?)", re.IGNORECASE)


class Parser:
    """Parses the answers of one endpoint.

    Every method raises ExchangeShapeError, naming service, endpoint and field, where an answer is
    not of the documented shape.

    Args:
        service: for messages.
        endpoint: for messages.
    """

    def __init__(self, service: str, endpoint: str) -> None:
        self.service, self.endpoint = service, endpoint

    def shape_error(self, field: str, difference: str) -> ExchangeShapeError:
        """The error that a field is not of the documented shape."""
        return ExchangeShapeError(
            f"{self.service} {self.endpoint}: {field} {difference}; the exchange has changed its "
            "answers, or something else answers in its place: compare with its documentation, and "
            "update the client"
        )

    def value(self, answer: Any, *path: str) -> Any:
        """The value below a path of names."""
        for depth, name in enumerate(path):
            if not isinstance(answer, dict) or name not in answer:
                place = ".".join(path[: depth + 1])
                raise self.shape_error(f"field {place!r}", f"is missing, {shape_of(answer)} came")
            answer = answer[name]
        return answer

    def rows(self, answer: Any, *path: str) -> list[Any]:
        """The list below a path of names; only an empty list means that there are no rows."""
        rows = self.value(answer, *path)
        if not isinstance(rows, list):
            name = f"field {'.'.join(path)!r}" if path else "the answer"
            raise self.shape_error(name, f"is no list, {shape_of(rows)} came")
        return rows

    def column(self, rows: Sequence[Any], field: Field, *, optional: bool = False) -> list[Any]:
        """A field of every row; None where an optional one is missing."""
        return [self.field(row, field, place, optional=optional) for place, row in enumerate(rows)]

    def field(self, row: Any, field: Field, place: int = 0, *, optional: bool = False) -> Any:
        """A field of one row; None where an optional one is missing.

        Args:
            row: an object for a name, a list for a place.
            field: of the row.
            place: of the row in the answer, for messages.
            optional: whether it may be missing.
        """
        container: type = list if isinstance(field, int) else dict
        if isinstance(row, container):
            try:
                return row[field]  # type: ignore[index]  # a list by place, an object by name
            except LookupError:
                if optional:
                    return None
        difference = f"is missing in row {place}, {shape_of(row)} came"
        raise self.shape_error(f"field {field!r}", difference)

    def numbers(
        self, rows: Sequence[Any], field: Field, *, optional: bool = False
    ) -> npt.NDArray[np.float64]:
        """A field as float64; ``null`` and empty text are NaN, and no other value is."""
        values = self.column(rows, field, optional=optional)
        numbers = np.full(len(values), np.nan)
        for place, value in enumerate(values):
            if value is None or value == "":
                continue
            number = as_number(value)
            if number is None or not math.isfinite(number):
                difference = f"is no number in row {place}, {shape_of(value)} came"
                raise self.shape_error(f"field {field!r}", difference)
            numbers[place] = number
        return numbers

    def only_row(self, rows: Sequence[Any], name: str, *, field: str = "", value: str = "") -> Any:
        """The row of an answer that has one; the same row more than once is one.

        Args:
            rows: of the answer.
            name: of the field that holds them.
            field, value: by which the row is named; rows of another name are left out. All rows
                count if there is no field.
        """
        if field and rows:
            rows = [row for row in rows if isinstance(row, dict) and row.get(field) == value]
            if not rows:
                raise self.shape_error(f"field {name!r}", f"holds no row whose {field} is {value}")
        if not rows:
            raise self.shape_error(f"field {name!r}", "is empty")
        if any(row != rows[0] for row in rows[1:]):
            raise self.shape_error(
                f"field {name!r}", f"holds {len(rows)} rows that differ, not one"
            )
        return rows[0]

    def times(self, rows: Sequence[Any], field: Field) -> pd.DatetimeIndex:
        """A field of milliseconds since 1970, as UTC in microseconds."""
        values = self.column(rows, field)
        return timestamps([self._time(value, field, row) for row, value in enumerate(values)])

    def _time(self, value: Any, field: Field, place: int) -> int:
        """Milliseconds between the years 2000 and 2200."""
        number = _whole(value)
        if number is None:
            difference = f"holds no milliseconds since 1970 in row {place}, {shape_of(value)} came"
            raise self.shape_error(f"field {field!r}", difference)
        low, high = milliseconds(_FIRST), milliseconds(_LAST)
        if low <= number < high:
            return number
        units = [unit for unit, factor in _UNITS.items() if low <= number * factor < high]
        guess = f" (they may be {units[0]})" if units else ""
        difference = f"holds {number} in row {place}, no milliseconds of our time{guess}"
        raise self.shape_error(f"field {field!r}", difference)

    def text(self, row: Any, field: Field) -> str:
        """A field of one row, which must be text."""
        (value,) = self.column([row], field)
        if not isinstance(value, str):
            raise self.shape_error(f"field {field!r}", f"is no text, {shape_of(value)} came")
        return value

    def number(self, row: Any, field: Field, *, optional: bool = False) -> float:
        """A field of one row as a number, NaN if empty."""
        return float(self.numbers([row], field, optional=optional)[0])

    def time(self, row: Any, field: Field, *, never: tuple[int, ...] = (0,)) -> pd.Timestamp | None:
        """A field of one row as a time; None if it is missing, empty or one of ``never``."""
        (value,) = self.column([row], field, optional=True)
        if value is None or value == "" or _whole(value) in never:
            return None
        return self.times([row], field)[0]


def timestamps(values: Sequence[int]) -> pd.DatetimeIndex:
    """Milliseconds since 1970 as times in UTC, in microseconds."""
    times = np.array(values, dtype="int64").astype("datetime64[ms]").astype("datetime64[us]")
    return pd.DatetimeIndex(times).tz_localize("UTC")


def milliseconds(time: pd.Timestamp) -> int:
    """A time in milliseconds since 1970, rounded up: the first millisecond at or after it."""
    return -(-int(time.value) // 1_000_000)


def as_number(value: Any) -> float | None:
    """A number, or text that is one; NaN and infinity included. None: it is neither."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if isinstance(value, str) and (_NUMBER.fullmatch(value) or _NOT_FINITE.fullmatch(value)):
        return float(value)
    return None


def _whole(value: Any) -> int | None:
    """A whole number, or text that is one."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value.partition(".")[0])
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def shape_of(value: Any) -> str:
    """The shape of a value in a few words."""
    if isinstance(value, Mapping):
        return f"an object with {', '.join(map(repr, list(value)[:12])) or 'nothing'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"{type(value).__name__} {str(value)[:40]!r}"
