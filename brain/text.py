"""Numbers as text for people and as values for JSON; unknown ones included."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["break_even", "count", "finite", "plus_minus"]


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
