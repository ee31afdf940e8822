"""What callers give, checked: moments and prices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import isnan
from typing import Any

import numpy as np

from brain.errors import InputError, NotEnoughBarsError
from serving.bars import Bar

__all__ = ["bar_of", "bars_of", "nanoseconds", "values_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# From 1990 to 2200: other whole numbers are of another unit.
_LEAST, _MOST = 631_152_000 * 10**9, 7_258_118_400 * 10**9
_COLUMNS = ("open", "high", "low", "close", "volume")


def nanoseconds(value: object, name: str = "close_time") -> int:
    """A moment in nanoseconds since 1970 UTC.

    Args:
        value: such nanoseconds, or a datetime with a time zone.
        name: of the value, for the message.

    Raises:
        InputError: it is neither.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InputError(f"{name} {value} has no time zone; give it one")
        since = value - _EPOCH
        ns = getattr(since, "value", None)  # of pandas, which knows nanoseconds
        if ns is None or not isinstance(since, timedelta):
            ns = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
        if not _LEAST <= ns < _MOST:
            raise InputError(f"{name} is {value}; give a moment from 1990 to 2199")
        return int(ns)
    if isinstance(value, np.integer):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(
            f"{name} is {value!r}; give nanoseconds since 1970 UTC as a whole number, or a "
            "datetime with a time zone"
        )
    if not _LEAST <= value < _MOST:
        raise InputError(f"{name} is {value}; give nanoseconds since 1970 UTC")
    return value


def bar_of(
    open_: float, high: float, low: float, close: float, volume: float, close_time: object
) -> Bar:
    """A bar; four NaN prices are a missing one, and a volume that is NaN is unknown.

    Raises:
        InputError: a value is no number, the prices are none that a bar can have, or only some of
            them are there.
    """
    if type(close_time) is not int or not _LEAST <= close_time < _MOST:
        close_time = nanoseconds(close_time)
    values = (open_, high, low, close, volume)
    if not (type(open_) is type(high) is type(low) is type(close) is type(volume) is float):
        open_, high, low, close, volume = map(_float, values, _COLUMNS)
    if 0.0 < low <= open_ <= high and low <= close <= high < math.inf:
        if 0.0 <= volume < math.inf or isnan(volume):
            return Bar(close_time, open_, high, low, close, volume)
        raise InputError(f"the volume {volume} is impossible; give NaN where it is unknown")
    if isnan(open_) and isnan(high) and isnan(low) and isnan(close):
        return Bar(close_time, open_, high, low, close, volume)
    raise InputError(
        f"no bar has open {open_}, high {high}, low {low} and close {close}; give four positive "
        "prices of which low is the least and high the largest, or four NaN if the bar is missing"
    )


def bars_of(arrays: Mapping[str, Any]) -> list[Bar]:
    """The bars of columns ``open``, ``high``, ``low``, ``close``, ``volume``, ``close_time``.

    Raises:
        InputError: a column is missing or unknown, they differ in length, or are not in the order
            of time; or of :func:`bar_of`.
        NotEnoughBarsError: there are no bars.
    """
    names = (*_COLUMNS, "close_time")
    if set(arrays) != set(names):
        raise InputError(f"{', '.join(map(str, arrays))} are given; give {', '.join(names)}")
    columns = [_column(arrays[name], name) for name in names]
    if len({len(column) for column in columns}) > 1:
        lengths = ", ".join(f"{n} {len(c)}" for n, c in zip(names, columns, strict=True))
        raise InputError(f"the columns differ in length: {lengths}; give one value a bar")
    if not columns[0]:
        raise NotEnoughBarsError("there are no bars; give at least one")
    bars = [bar_of(*row) for row in zip(*columns, strict=True)]
    for bar, later in pairwise(bars):
        if later.close_time <= bar.close_time:
            raise InputError(
                f"the bars are not in the order of time at {later.close_time}; sort them"
            )
    return bars


def values_of(values: Mapping[str, object]) -> dict[str, float]:
    """Numbers by name.

    Raises:
        InputError: there are none, or a value is no number.
    """
    if not isinstance(values, Mapping) or not values:
        raise InputError(f"the row's values are {values!r}; give a mapping of names to numbers")
    return {str(name): _float(value, str(name)) for name, value in values.items()}


def _float(value: object, name: str) -> float:
    number = isinstance(value, int | float | np.integer | np.floating)
    if not number or isinstance(value, bool):
        raise InputError(f"{name} is {value!r}, no number; give NaN where it is unknown")
    return float(value)  # type: ignore[arg-type]


def _column(values: Sequence[Any], name: str) -> list[Any]:
    array = np.asarray(values)
    if array.ndim != 1:
        raise InputError(f"{name} has shape {array.shape}; give one value a bar")
    if array.dtype.kind == "M":
        return list(array.astype("datetime64[ns]").astype(np.int64).tolist())
    return list(array.tolist()) if array.dtype.kind in "iuf" else list(values)
