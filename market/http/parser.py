"""Parsing of answers: fields by name or place, and the error that names the field that differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.errors import ExchangeShapeError

__all__ = ["Parser", "milliseconds", "timestamps"]

#: A field's name in a row that is an object, or its place in a row that is a list.
Field = str | int


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
                raise self.shape_error(f"field {place!r}", f"is missing, {_shape(answer)} came")
            answer = answer[name]
        return answer

    def rows(self, answer: Any, *path: str) -> list[Any]:
        """The list below a path of names; ``null`` is empty, as some exchanges write it."""
        rows = self.value(answer, *path)
        if rows is None:
            return []
        if not isinstance(rows, list):
            name = ".".join(path) or "the answer"
            raise self.shape_error(name, f"is no list, {_shape(rows)}")
        return rows

    def column(self, rows: Sequence[Any], field: Field, *, optional: bool = False) -> list[Any]:
        """A field of every row; None where an optional one is missing."""
        column = []
        for place, row in enumerate(rows):
            try:
                column.append(row[field])
            except (LookupError, TypeError) as error:
                if not optional:
                    difference = f"is missing in row {place}, {_shape(row)} came"
                    raise self.shape_error(f"field {field!r}", difference) from error
                column.append(None)
        return column

    def numbers(
        self, rows: Sequence[Any], field: Field, *, optional: bool = False
    ) -> npt.NDArray[np.float64]:
        """A field as float64; ``null`` and empty text are NaN."""
        values = self.column(rows, field, optional=optional)
        try:
            return np.array([_number(value) for value in values], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise self.shape_error(f"field {field!r}", f"is no number ({error})") from error

    def times(self, rows: Sequence[Any], field: Field) -> pd.DatetimeIndex:
        """A field of milliseconds since 1970, as UTC in microseconds."""
        try:
            return timestamps([int(value) for value in self.column(rows, field)])
        except (TypeError, ValueError, OverflowError) as error:
            difference = f"holds no milliseconds since 1970 ({error})"
            raise self.shape_error(f"field {field!r}", difference) from error

    def text(self, row: Any, field: Field) -> str:
        """A field of one row, which must be text."""
        (value,) = self.column([row], field)
        if not isinstance(value, str):
            raise self.shape_error(f"field {field!r}", f"is no text, {_shape(value)} came")
        return value

    def number(self, row: Any, field: Field, *, optional: bool = False) -> float:
        """A field of one row as a number, NaN if empty."""
        return float(self.numbers([row], field, optional=optional)[0])

    def time(self, row: Any, field: Field, *, never: tuple[int, ...] = (0,)) -> pd.Timestamp | None:
        """A field of one row as a time; None if it is missing, empty or one of ``never``."""
        (value,) = self.column([row], field, optional=True)
        if value is None or value == "":
            return None
        (time,) = self.times([row], field)
        return None if int(value) in never else time


def timestamps(values: Sequence[int]) -> pd.DatetimeIndex:
    """Milliseconds since 1970 as times in UTC, in microseconds."""
    times = np.array(values, dtype="int64").astype("datetime64[ms]").astype("datetime64[us]")
    return pd.DatetimeIndex(times).tz_localize("UTC")


def milliseconds(time: pd.Timestamp) -> int:
    """A time in milliseconds since 1970, rounded up: the first millisecond at or after it."""
    return -(-int(time.value) // 1_000_000)


def _number(value: Any) -> float:
    if value is None or value == "":
        return float("nan")
    if isinstance(value, bool):
        raise TypeError(f"{value} is no number")
    return float(value)


def _shape(value: Any) -> str:
    """The shape of a value in a few words."""
    if isinstance(value, Mapping):
        return f"an object with {', '.join(map(repr, list(value)[:12])) or 'nothing'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"{type(value).__name__} {str(value)[:40]!r}"
