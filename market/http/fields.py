"""Reading answers: fields by name or place, and the error that names the one that differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.errors import ExchangeShapeError

__all__ = ["Reader", "millis", "stamp"]

#: A field's name in a row that is an object, or its place in a row that is a list.
Field = str | int


class Reader:
    """Reads the answers of one endpoint.

    Every method raises ExchangeShapeError, naming exchange, endpoint and field, where an answer is not
    of the shape that we know.

    Args:
        exchange: for messages.
        endpoint: for messages.
    """

    def __init__(self, exchange: str, endpoint: str) -> None:
        self.exchange, self.endpoint = exchange, endpoint

    def differs(self, field: str, how: str) -> ExchangeShapeError:
        """The error that a field is not as we know it."""
        return ExchangeShapeError(
            f"{self.exchange} {self.endpoint}: {field} {how}; the exchange has changed its answers, or "
            "something else answers in its place: compare with its documentation, and update the "
            "client"
        )

    def dig(self, answer: Any, *path: str) -> Any:
        """What stands below these names."""
        for depth, name in enumerate(path):
            if not isinstance(answer, dict) or name not in answer:
                where = ".".join(path[: depth + 1])
                raise self.differs(f"field {where!r}", f"is missing, {_shape(answer)} came")
            answer = answer[name]
        return answer

    def rows(self, answer: Any, *path: str) -> list[Any]:
        """The list below these names; ``null`` is an empty one, as some exchanges write it."""
        found = self.dig(answer, *path)
        if found is None:
            return []
        if not isinstance(found, list):
            raise self.differs(f"{'.'.join(path) or 'the answer'}", f"is no list, {_shape(found)}")
        return found

    def column(self, rows: Sequence[Any], field: Field, *, optional: bool = False) -> list[Any]:
        """A field of every row; None where an optional one is missing."""
        found = []
        for place, row in enumerate(rows):
            try:
                found.append(row[field])
            except (LookupError, TypeError) as error:
                if not optional:
                    how = f"is missing in row {place}, {_shape(row)} came"
                    raise self.differs(f"field {field!r}", how) from error
                found.append(None)
        return found

    def numbers(
        self, rows: Sequence[Any], field: Field, *, optional: bool = False
    ) -> npt.NDArray[np.float64]:
        """A field as float64; ``null`` and empty text are NaN."""
        values = self.column(rows, field, optional=optional)
        try:
            return np.array([_number(value) for value in values], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise self.differs(f"field {field!r}", f"is no number ({error})") from error

    def times(self, rows: Sequence[Any], field: Field) -> pd.DatetimeIndex:
        """A field of milliseconds since 1970, as UTC in microseconds."""
        try:
            return millis([int(value) for value in self.column(rows, field)])
        except (TypeError, ValueError, OverflowError) as error:
            how = f"holds no milliseconds since 1970 ({error})"
            raise self.differs(f"field {field!r}", how) from error

    def text(self, row: Any, field: Field) -> str:
        """A field of one row, which must be text."""
        (value,) = self.column([row], field)
        if not isinstance(value, str):
            raise self.differs(f"field {field!r}", f"is no text, {_shape(value)} came")
        return value

    def number(self, row: Any, field: Field, *, optional: bool = False) -> float:
        """A field of one row as a number, NaN if empty."""
        return float(self.numbers([row], field, optional=optional)[0])

    def time(self, row: Any, field: Field, *, never: tuple[int, ...] = (0,)) -> pd.Timestamp | None:
        """A field of one row as a time; None if it is missing, empty or one of ``never``."""
        (value,) = self.column([row], field, optional=True)
        if value is None or value == "":
            return None
        (found,) = self.times([row], field)
        return None if int(value) in never else found


def millis(values: Sequence[int]) -> pd.DatetimeIndex:
    """Milliseconds since 1970 as times in UTC, in microseconds."""
    known = np.array(values, dtype="int64").astype("datetime64[ms]").astype("datetime64[us]")
    return pd.DatetimeIndex(known).tz_localize("UTC")


def stamp(time: pd.Timestamp) -> int:
    """A time in milliseconds since 1970, rounded up: the first millisecond at or after it."""
    return -(-int(time.value) // 1_000_000)


def _number(value: Any) -> float:
    if value is None or value == "":
        return float("nan")
    if isinstance(value, bool):
        raise TypeError(f"{value} is no number")
    return float(value)


def _shape(value: Any) -> str:
    """What came instead, in a few words."""
    if isinstance(value, Mapping):
        return f"an object with {', '.join(map(repr, list(value)[:12])) or 'nothing'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"{type(value).__name__} {str(value)[:40]!r}"
