"""Numbers as text for people and as values for JSON; unknown ones included."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["break_even", "count", "duration", "entries", "finite", "moment", "plus_minus"]

_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


def break_even(points: float) -> str:
    """A break-even cost in basis points, ``20.1 bp``; ``none`` where every cost is too much."""
    if finite(points) is None:
        return "?"
    return f"{points:.1f} bp" if points > 0 else "none"


def count(number: int | None, noun: str) -> str:
    """``1 bar``, ``2 bars``, ``an unknown number of bars``."""
    if number is None:
        return f"an unknown number of {noun}s"
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(nanoseconds: int) -> str:
    """A length of time as timeframes are written, in its largest whole unit: ``4h``, ``90m``."""
    for unit, seconds in _SECONDS.items():
        number, rest = divmod(nanoseconds, seconds * 10**9)
        if number and not rest:
            return f"{number}{unit}"
    return f"{nanoseconds} ns"


def moment(nanoseconds: int) -> str:
    """A time, nanoseconds since 1970, to the second: ``2026-11-01 04:00:00 UTC``."""
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=nanoseconds // 10**9)
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def entries(value: Mapping[Any, Any] | str) -> list[tuple[str, Any]]:
    """Keys and values of a mapping, or of a text: ``"4, okx=5"`` gives ``("", "4")`` and okx's."""
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()]
    pairs = [entry.rpartition("=") for entry in value.split(",") if entry.strip()]
    return [(key.strip(), part.strip()) for key, _, part in pairs]


def finite(value: Any) -> Any:
    """The value, or None if it is a float that is not finite: JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plus_minus(value: float | None, error: float | None, sign: str = "") -> str:
    """A metric and its standard error, ``1.23 ± 0.45``, each of which may be unknown.

    Args:
        value, error: None, NaN and infinity are unknown.
        sign: ``+`` shows the sign of a positive value too.
    """
    if finite(value) is None:
        return "unknown"
    return f"{value:{sign}.2f} ± {'?' if finite(error) is None else f'{error:.2f}'}"
