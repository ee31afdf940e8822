"""Timeframes: their names, and what other names mean, so that a refusal has a cure that works."""

from __future__ import annotations

import re
from datetime import timedelta

from brain.errors import InputError
from brain.text import duration

__all__ = ["LENGTHS", "check_timeframe", "parse_span", "resampled", "span_text"]

#: Lengths by exchanges' names, each a part of a day, a day or a week. Weeks open on Mondays, or on
#: Sundays. A calendar month has no fixed length and so no grid.
LENGTHS: dict[str, timedelta] = {
    **{f"{n}m": timedelta(minutes=n) for n in (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 45, 90)},
    **{f"{n}h": timedelta(hours=n) for n in (1, 2, 3, 4, 6, 8, 12)},
    "1d": timedelta(days=1),
    "1w": timedelta(weeks=1),
}

_SPELLINGS = {
    timedelta(seconds=1): "s sec secs second seconds",
    timedelta(minutes=1): "m min mins minute minutes minutely t",
    timedelta(hours=1): "h hr hrs hour hours hourly",
    timedelta(days=1): "d day days daily",
    timedelta(weeks=1): "w wk week weeks weekly",
}
_UNITS = {word: unit for unit, words in _SPELLINGS.items() for word in words.split()}
_NO_LENGTH = {
    **dict.fromkeys(("mo", "mon", "mth", "month", "months", "monthly", "ms", "me"), "month"),
    **dict.fromkeys(("q", "quarter", "quarters", "quarterly"), "quarter"),
    **dict.fromkeys(("y", "yr", "year", "years", "yearly"), "year"),
}
_NUMBER_FIRST = re.compile(r"(?P<number>\d{0,6})[\s_-]*(?P<unit>[a-z]+)", re.IGNORECASE)
_UNIT_FIRST = re.compile(r"(?P<unit>[a-z]+)[\s_-]*(?P<number>\d{1,6})", re.IGNORECASE)


def check_timeframe(value: object) -> str:
    """The value, if it is the name of a timeframe.

    Raises:
        InputError: it is none of :data:`brain.timeframes.LENGTHS`.
    """
    if isinstance(value, str) and value in LENGTHS:
        return value
    raise InputError(_fault(value))


def parse_span(value: object) -> timedelta:
    """A length of time, ``7d``, ``12h`` or ``1w``.

    Raises:
        InputError: it is none, or not longer than nothing.
    """
    length = _length(str(value).strip())
    if not length:
        raise InputError(f"{value!r} is no length of time; write it as 7d, 12h or 1w")
    return length


def span_text(length: timedelta) -> str:
    """A length of time as :func:`parse_span` reads it, in days where they are whole."""
    days, rest = divmod(length, timedelta(days=1))
    return f"{days}d" if days and not rest else _name(length)


def _fault(value: object) -> str:
    """Why a text is no timeframe, and the cure; ``1M`` is a month, as at exchanges."""
    text, fault = str(value).strip(), f"{value!r} is not a timeframe"
    length, unit = _length(text), _parts(text)[1]
    no_length = "month" if unit == "M" else _NO_LENGTH.get(unit.lower())
    if no_length:
        return f"{fault}, as a {no_length} has no fixed length; resample the bars to 1d or 1w"
    if length is None:
        return f"{fault}; known: {', '.join(_by_length())}"
    for name, other in LENGTHS.items():
        if other == length:
            return f"{fault}; write {name!r}"
    unusable = f"that is known: bars of {_name(length)} can't be used"
    return f"{fault} {unusable}; {resampled(length)}"


def resampled(length: timedelta) -> str:
    """The cure for bars of a length that is none of the known: the lengths that they add up to."""
    longer = [name for name in _by_length() if LENGTHS[name] % length == timedelta(0)]
    if not longer:
        return f"get them as one of {', '.join(_by_length())}"
    return f"resample them to {_enumeration(longer)}"


def _name(length: timedelta) -> str:
    return duration(length // timedelta(microseconds=1) * 1000)


def _parts(text: str) -> tuple[int, str]:
    match = _NUMBER_FIRST.fullmatch(text) or _UNIT_FIRST.fullmatch(text)
    return (int(match["number"] or 1), match["unit"]) if match else (0, "")


def _length(text: str) -> timedelta | None:
    """The length of a timeframe in any spelling; None if it has none."""
    number, unit = _parts(text)
    if unit == "M" or not number:  # a month; a minute is "m"
        return None
    size = _UNITS.get(unit.lower())
    return None if size is None else number * size


def _by_length() -> list[str]:
    return sorted(LENGTHS, key=lambda name: LENGTHS[name])


def _enumeration(names: list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
