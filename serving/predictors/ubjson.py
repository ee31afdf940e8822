"""Universal Binary JSON (https://ubjson.org), of which XGBoost writes its models, as values.

Numbers are big-endian; an array of numbers of one type is a NumPy array.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

__all__ = ["parse"]

_FORMATS = {b"i": "b", b"U": "B", b"I": "h", b"l": "i", b"L": "q", b"d": "f", b"D": "d"}
_NUMBERS = {mark: struct.Struct(f">{letter}") for mark, letter in _FORMATS.items()}
_DTYPES = {mark: np.dtype(f">{letter}") for mark, letter in _FORMATS.items()}
_CONSTANTS = {b"T": True, b"F": False, b"Z": None}


def parse(content: bytes) -> Any:
    """The value of a document.

    Raises:
        ValueError: it is none, breaks off, or goes on after its end.
    """
    try:
        value, end = _value(content, 0)
    except (struct.error, KeyError, RecursionError) as error:
        raise ValueError(f"it is no binary JSON ({error!r})") from error
    if end != len(content):
        raise ValueError(f"it ends at byte {end} of {len(content)}")
    return value


def _value(content: bytes, place: int) -> tuple[Any, int]:
    """The value whose mark is at a place, and the place after it."""
    mark, place = content[place : place + 1], place + 1
    if mark == b"{":
        return _object(content, place)
    if mark == b"[":
        return _array(content, place)
    if mark == b"S":
        return _text(content, place)
    if mark in _CONSTANTS:
        return _CONSTANTS[mark], place
    return _number(content, place - 1)


def _object(content: bytes, place: int) -> tuple[dict[str, Any], int]:
    values = {}
    while content[place : place + 1] != b"}":
        name, place = _text(content, place)
        values[name], place = _value(content, place)
    return values, place + 1


def _array(content: bytes, place: int) -> tuple[Any, int]:
    if content[place : place + 1] == b"$":
        dtype = _DTYPES[content[place + 1 : place + 2]]
        count, place = _count(content, place + 2)
        end = place + count * dtype.itemsize
        if end > len(content):
            raise ValueError(f"it has an array up to byte {end} of {len(content)}")
        return np.frombuffer(content[place:end], dtype), end
    values = []
    if content[place : place + 1] == b"#":
        count, place = _count(content, place)
        for _ in range(count):
            value, place = _value(content, place)
            values.append(value)
        return values, place
    while content[place : place + 1] != b"]":
        value, place = _value(content, place)
        values.append(value)
    return values, place + 1


def _count(content: bytes, place: int) -> tuple[int, int]:
    if content[place : place + 1] != b"#":
        raise ValueError(f"it has an array without a length, at byte {place}")
    return _length(content, place + 1)


def _length(content: bytes, place: int) -> tuple[int, int]:
    length, end = _number(content, place)
    if not 0 <= length <= len(content):
        raise ValueError(f"it has a length of {length}, at byte {place}")
    return length, end


def _number(content: bytes, place: int) -> tuple[Any, int]:
    number = _NUMBERS[content[place : place + 1]]
    return number.unpack_from(content, place + 1)[0], place + 1 + number.size


def _text(content: bytes, place: int) -> tuple[str, int]:
    length, place = _length(content, place)
    return content[place : place + length].decode(), place + length
