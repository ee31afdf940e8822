"""What an executor is given: bars, and rows of other kinds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from brain.errors import InputError, did_you_mean

__all__ = ["KINDS", "Bar", "Row", "check_row", "missing_bar"]

_VALUES = {
    "funding": ("rate", "interval_hours"),
    "open_interest": ("base", "usd"),
    "liquidations": ("long_usd", "short_usd"),
    "post": ("score",),
    "index": ("value",),
    "fill": ("price",),
}
#: What rows may be of; ``columns`` are the model's own, ``fill`` what the book's decision was
#: filled at.
KINDS = (*_VALUES, "columns")
_MAY_MISS = frozenset({"usd"})


class Bar(NamedTuple):
    """A bar; NaN prices are a missing one."""

    close_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Row(NamedTuple):
    """A row of another kind than bars; of a post the exchange is its publisher.

    Of liquidations it is a minute, and its time the minute's end.
    """

    kind: str
    exchange: str
    time: int
    available: int
    values: Mapping[str, float]


def check_row(row: Row) -> None:
    """Check the kind and the names of a row's values.

    Raises:
        InputError: there is no such kind, or it has other values.
    """
    if row.kind not in KINDS:
        raise InputError(f"no rows are of kind {row.kind!r}; {did_you_mean(row.kind, KINDS)}")
    for name, number in row.values.items():
        if math.isinf(number):
            raise InputError(f"{name!r} is {number}; give NaN where it is unknown")
    if row.kind == "columns":
        return
    names = _VALUES[row.kind]
    if unknown := sorted(set(row.values) - set(names)):
        raise InputError(f"{row.kind} has no {unknown[0]!r}; {did_you_mean(unknown[0], names)}")
    if missing := [n for n in names if n not in row.values and n not in _MAY_MISS]:
        raise InputError(f"{row.kind} needs {missing[0]!r}; give {', '.join(names)}")
    if row.kind == "fill":
        if row.values["price"] <= 0.0:
            raise InputError(
                f"the fill's price is {row.values['price']}; give NaN if there is none"
            )
    elif not row.exchange and row.kind != "index":
        where = "a publisher" if row.kind == "post" else "an exchange"
        raise InputError(f"{row.kind} is of {where}; name it")


def missing_bar(close_time: int) -> Bar:
    """A bar that the calendar expects and that is not there."""
    return Bar(close_time, *[math.nan] * 5)
