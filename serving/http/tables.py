"""From a body in one of MLflow's scoring formats to rows in the order of a model's inputs."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from io import StringIO
from operator import itemgetter
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from brain.errors import InputError, did_you_mean
from serving.http.schemas import Number, ScoringBody, Split

__all__ = ["read_body", "read_csv", "read_json"]

Floats = NDArray[np.float64]

_Type = TypeVar("_Type")

_FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_scoring = msgspec.json.Decoder(ScoringBody)
_NAMED = 3
_LONGEST = 300


def read_body(decoder: msgspec.json.Decoder[_Type], body: bytes) -> _Type:
    """A body of JSON as its type.

    ``NaN``, which is no JSON, counts as null: MLflow's clients write it.

    Raises:
        InputError: it is malformed, or of another type; the message says where.
    """
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        fault: Exception = error
    if b"NaN" in body and not isinstance(fault, msgspec.ValidationError):
        try:
            value = json.loads(body, parse_constant=_constant)
            return msgspec.convert(value, decoder.type)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            fault = error
    raise InputError(f"the body can't be read: {_clip(str(fault))}; see /openapi.json for its form")


def _constant(word: str) -> float | None:
    if word == "NaN":
        return None
    raise ValueError(f"{word} is no number of JSON")


def read_json(body: bytes, names: Sequence[str]) -> Floats:
    """The rows of a body of JSON.

    Args:
        body: an object with one of MLflow's four formats.
        names: (F,) of the model's inputs, in its order.

    Returns:
        (N, F), NaN where a value is null.

    Raises:
        InputError: it is malformed, an input is missing, unknown or comes twice, a value is no
            number, or rows differ in length.
    """
    scoring = read_body(_scoring, body)
    given = [name for name in _FORMATS if getattr(scoring, name) is not msgspec.UNSET]
    if len(given) != 1:
        what = " and ".join(given) or "no rows"
        raise InputError(f"{what} are given; give one of {', '.join(_FORMATS)}")
    rows = getattr(scoring, given[0])
    if isinstance(rows, Split):
        return _of_lists(rows.data, rows.columns, names)
    return _of_columns(rows, names) if isinstance(rows, dict) else _of_records(rows, names)


def read_csv(body: bytes, names: Sequence[str]) -> Floats:
    """The rows of a body of CSV with a head, as pandas' ``to_csv`` writes it, index or none.

    An empty value, ``nan``, ``NaN``, ``NA`` and ``null`` are missing.

    Raises:
        InputError: as of :func:`read_json`.
    """
    try:
        lines = [line for line in csv.reader(StringIO(body.decode(), newline="")) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the body can't be read: {error}; write CSV in UTF-8") from error
    if not lines:
        raise InputError("the body is empty; write a line of names, and a line a row")
    head, *rows = lines
    index = 1 if head[0] == "" else 0
    columns = [_clip(name.strip()) for name in head[index:]]
    return _of_lists([_numbers(row[index:]) for row in rows], columns, names)


def _numbers(words: Sequence[str]) -> list[Number]:
    return [None if word.strip() in _MISSING else _number(word) for word in words]


_MISSING = {"", "nan", "NaN", "NA", "null"}


def _number(word: str) -> float:
    try:
        if "_" not in word:
            return float(word)
    except ValueError:
        pass
    raise InputError(f"{_clip(word)!r} is no number; leave it empty where it is unknown")


def _of_lists(rows: Sequence[Sequence[Number]], columns: list[str], names: Sequence[str]) -> Floats:
    width = len(columns)
    if rows and set(map(len, rows)) != {width}:
        number, row = next((n, row) for n, row in enumerate(rows) if len(row) != width)
        raise InputError(f"row {number} has {len(row)} values for {width} columns; give each one")
    order = None
    if columns != list(names):
        _check_names(columns, names)
        place = {name: at for at, name in enumerate(columns)}
        order = [place[name] for name in names]
    table = _floats(rows, width)
    return table if order is None else np.ascontiguousarray(table[:, order])


def _of_records(records: Sequence[Mapping[str, Number]], names: Sequence[str]) -> Floats:
    if not records:
        return np.empty((0, len(names)))
    values: Any = itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)
    width = len(names)
    try:
        rows = [values(record) for record in records if len(record) == width]
    except KeyError:
        rows = []
    if len(rows) != len(records):
        for record in records:
            _check_names(list(record), names)
    return _floats(rows, width)


def _of_columns(columns: Mapping[str, Any], names: Sequence[str]) -> Floats:
    """Columns of values, or a value of each: one row."""
    _check_names(list(columns), names)
    values = [columns[name] for name in names]
    lists = [value for value in values if isinstance(value, list)]
    if not lists:
        return _floats([values], len(names))
    lengths = set(map(len, lists))
    if len(lists) != len(values) or len(lengths) != 1:
        raise InputError("the columns differ in length; give each a value a row")
    return np.ascontiguousarray(_floats(lists, lengths.pop()).T)


def _floats(rows: Sequence[Sequence[Number]], width: int) -> Floats:
    """Rows of numbers, NaN where they are None, (N, ``width``)."""
    if not rows:
        return np.empty((0, width))
    return np.array(rows, dtype=np.float64).reshape(len(rows), width)


def _check_names(given: Sequence[str], names: Sequence[str]) -> None:
    """Refuse what is no complete set of the model's inputs."""
    known, have = set(names), set(given)
    if missing := [name for name in names if name not in have]:
        raise InputError(f"{_some(missing)} missing; give all {len(names)} inputs, null if unknown")
    if unknown := [name for name in given if name not in known]:
        cure = did_you_mean(unknown[0], names)
        raise InputError(f"{_some(unknown)} no input of the model; {cure}")
    if len(have) != len(given):
        twice = next(name for name, number in Counter(given).items() if number > 1)
        raise InputError(f"{twice!r} comes twice; give each input once")


def _some(names: Sequence[str]) -> str:
    text = ", ".join(repr(name) for name in names[:_NAMED])
    if len(names) > _NAMED:
        text += f" and {len(names) - _NAMED} others"
    return f"{text} {'is' if len(names) == 1 else 'are'}"


def _clip(text: str) -> str:
    """A text of others for a message, which is not as long as they like."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
