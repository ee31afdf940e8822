"""Mutations of exchanges' answers, the same ones for the same seed."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["CLOCKS", "Mutation", "rows_of"]

_HOUR = 3_600_000
_DAY = 24 * _HOUR
#: By which times are shifted, in milliseconds.
SHIFTS = (_HOUR, -_HOUR, _HOUR // 2, 7, 8 * _HOUR, -8 * _HOUR, _DAY, -_DAY, 365 * _DAY, -365 * _DAY)
_SCALES = (1e-3, 1e3, 1e6, 1e-6, -1.0, 0.0)
_TYPES: tuple[Any, ...] = (
    "abc", "", "NaN", "Infinity", "-Infinity", "1_000", "\uff11", " ", True, False, [], {}, [1],
    {"a": 1}, 1e400, float("nan"), -3, "-3", 10**400, "0x10", None,
)  # fmt: skip

#: Bodies in place of a clock's: nothing of them may be taken as the time.
CLOCKS: tuple[Any, ...] = (
    -62_135_596_800_000, 9_466_884_000_000_000, float("nan"), "NaN", "now", None, True, [], {}, 0,
    1_700_000_000, 1_700_000_000_000_000, 10**30, -1, "1e13",
)  # fmt: skip


def rows_of(exchange: str, body: Any) -> list[Any] | None:
    """The rows of a good answer; None if it has none."""
    if exchange == "binance":
        return body.get("symbols") if isinstance(body, dict) else body
    if exchange == "bybit":
        result = body.get("result")
        return result.get("list") if isinstance(result, dict) else None
    data = body.get("data")
    return data if isinstance(data, list) else None


@dataclass(frozen=True)
class Mutation:
    """One change of an answer's rows, or of what holds them.

    Attributes:
        seed: of every choice.
        times: the fields of times, by name or place.
        kinds: of changes among which the seed chooses; None: all.
    """

    seed: int
    times: tuple[str | int, ...] = ()
    kinds: tuple[str, ...] | None = None

    @property
    def kind(self) -> str:
        """The change that the seed chooses."""
        names = self.kinds or tuple(_CHANGES)
        return random.Random(f"{self.seed} kind").choice(names)

    def __call__(self, exchange: str, body: Any, place: Callable[[list[Any]], int]) -> Any:
        """The changed body.

        Args:
            exchange: of the answer.
            body: its JSON.
            place: chooses the row that is changed, where not all of them are.
        """
        draw = random.Random(self.seed)
        body = copy.deepcopy(body)
        rows = rows_of(exchange, body)
        kind = self.kind
        if kind == "body":
            return draw.choice([None, {}, 0, "", "abc", True, {"code": "0"}, {"retCode": 0}])
        if kind == "container":
            return _container(exchange, body, draw)
        if rows:
            _CHANGES[kind](rows, place(rows), self.times, draw)
        return body


def _container(exchange: str, body: Any, draw: random.Random) -> Any:
    value: Any = draw.choice([None, {}, "abc", 0, True, "drop"])
    name = {"binance": "symbols", "bybit": "list", "okx": "data"}[exchange]
    holder = body.get("result") if exchange == "bybit" else body
    if not isinstance(holder, dict):
        return value if value != "drop" else {}
    if value == "drop":
        holder.pop(name, None)
    else:
        holder[name] = value
    return body


def _chosen(rows: list[Any], place: int, draw: random.Random) -> list[Any]:
    """The row at a place, or all of them."""
    return rows if draw.random() < 0.4 else [rows[place]]


def _fields(row: Any) -> list[Any]:
    return list(row) if isinstance(row, dict) else list(range(len(row)))


def _drop(rows: list[Any], place: int, times: Any, draw: random.Random) -> None:
    field = draw.choice(_fields(rows[place]))
    for row in _chosen(rows, place, draw):
        if isinstance(row, list) or field in row:
            del row[field]


def _null(rows: list[Any], place: int, times: Any, draw: random.Random) -> None:
    field = draw.choice(_fields(rows[place]))
    for row in _chosen(rows, place, draw):
        row[field] = None


def _retype(rows: list[Any], place: int, times: Any, draw: random.Random) -> None:
    field, value = draw.choice(_fields(rows[place])), draw.choice(_TYPES)
    for row in _chosen(rows, place, draw):
        row[field] = copy.deepcopy(value)


def _whole_row(rows: list[Any], place: int, times: Any, draw: random.Random) -> None:
    rows[place] = draw.choice([None, [], {}, "abc", 7, True, [[]], {"a": []}])


def _change_times(
    rows: list[Any], place: int, times: Any, draw: random.Random, change: Any
) -> None:
    if not times:
        return
    field = draw.choice(times)
    for row in _chosen(rows, place, draw):
        try:
            value = int(row[field])
        except (LookupError, TypeError, ValueError):
            continue
        row[field] = str(change(value)) if isinstance(row[field], str) else change(value)


def _shift(rows: list[Any], place: int, times: Any, draw: random.Random) -> None:
    by = draw.choice(SHIFTS)
    _change_times(rows, place, times, draw, lambda value: value + by)


def _rescale(rows: list[Any], place: int, times: Any, draw: random.Random) -> None:
    by = draw.choice(_SCALES)
    _change_times(rows, place, times, draw, lambda value: int(value * by))


def _double(rows: list[Any], place: int, times: Any, draw: random.Random) -> None:
    copied = copy.deepcopy(rows[place])
    numbers = [f for f in _fields(copied) if f not in times and _is_number(copied[f])]
    if numbers and draw.random() < 0.5:
        field = draw.choice(numbers)
        copied[field] = str(float(copied[field]) * 1.5 + 1)
    rows.insert(draw.randrange(len(rows) + 1), copied)


def _swap(rows: list[Any], place: int, times: Any, draw: random.Random) -> None:
    other = draw.randrange(len(rows))
    rows[place], rows[other] = rows[other], rows[place]
    if draw.random() < 0.5:
        draw.shuffle(rows)


def _negate(rows: list[Any], place: int, times: Any, draw: random.Random) -> None:
    row = rows[place]
    numbers = [f for f in _fields(row) if f not in times and _is_number(row[f])]
    if numbers and isinstance(row, list):
        field = draw.choice(numbers)
        row[field] = f"-{row[field]}"


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


_CHANGES: Mapping[str, Any] = {
    "drop": _drop,
    "null": _null,
    "retype": _retype,
    "row": _whole_row,
    "shift": _shift,
    "rescale": _rescale,
    "double": _double,
    "swap": _swap,
    "negate": _negate,
    "container": None,
    "body": None,
}
