"""Whether a dataclass that was read from JSON holds what its annotations say.

A dataclass takes anything, and what is of another kind would be noticed where it is used: in the
middle of a decision. Needs the standard library alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import NoneType
from typing import Any

__all__ = ["check_kinds"]

# By the annotation's text. Other fields are checked by whoever makes their values.
_KINDS: Mapping[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "int | None": (int, NoneType),
    "float": (float, int),
    "float | None": (float, int, NoneType),
    "str": (str,),
    "str | None": (str, NoneType),
    "Mapping[str, float]": (dict,),
    "Mapping[str, Any]": (dict,),
}


def check_kinds(value: Any) -> None:
    """Check the fields of a dataclass, whose annotations are texts.

    Raises:
        TypeError: a field holds a value of another kind.
    """
    for field in fields(value):
        kinds, held = _KINDS.get(str(field.type)), getattr(value, field.name)
        if kinds is not None and not _is_of(held, kinds):
            raise TypeError(f"{field.name} is {held!r:.40}, expected {field.type}")
        if field.type == "Mapping[str, float]":
            for name, number in held.items():
                if not _is_of(number, (float, int)):
                    raise TypeError(f"{field.name} has {number!r:.40} as {name:.40}")


def _is_of(value: Any, kinds: tuple[type, ...]) -> bool:
    # Python's bool is an int.
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
