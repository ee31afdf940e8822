"""Own columns: columns of the bars beyond the five, which become features where they are named.

A column is known under its name in letters, digits, ``_``, ``-`` and ``.``, which every library
takes for a feature: other signs become ``_`` (``Adj Close`` is ``Adj_Close``). Its value in a bar's
row is taken as known at that bar's close; nobody but the column's maker can check that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from brain.errors import InputError

__all__ = ["OF_BARS", "own_name", "parse_columns"]

#: The columns that every series of bars has: none of them can be an own one.
OF_BARS = frozenset({"time", "open", "high", "low", "close", "volume"})

_NAME = re.compile(r"\w[\w.-]*", re.ASCII)
_OTHER_SIGNS = re.compile(r"[\x00-,/:-@\[-^`{-\x7f\s]+")


def own_name(column: object) -> str:
    """The name under which a column is known; letters beyond ASCII stay as they are."""
    return _OTHER_SIGNS.sub("_", str(column).strip()).strip("_.-")


def parse_columns(columns: Iterable[str]) -> tuple[str, ...]:
    """The names under which columns are known, sorted.

    Args:
        columns: as people write them.

    Raises:
        InputError: a single text, a name that can't be a feature's or is a bar's own, or two names
            that are the same or differ by case alone.
    """
    if isinstance(columns, str):
        raise InputError(f"columns is the text {columns!r}; give a list, as [{columns!r}]")
    names: dict[str, str] = {}
    for column in columns:
        name = own_name(column)
        if not _NAME.fullmatch(name):
            raise InputError(
                f"the column {column!r} can't be a feature's name; rename it in the file, in the "
                "letters a to z, digits, '_', '-' and '.'"
            )
        if name.lower() in OF_BARS:
            raise InputError(
                f"the column {column!r} is one that all bars have, and no own one; leave it out of "
                "columns, or rename it in the file if it is something else"
            )
        if name.lower() in names:
            raise InputError(
                f"the columns {names[name.lower()]!r} and {column!r} are the same or differ by "
                "case alone; name one of them"
            )
        names[name.lower()] = name
    return tuple(sorted(names.values()))
