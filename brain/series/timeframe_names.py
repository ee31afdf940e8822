"""Other names of timeframes: what they mean, so that a refusal has a cure that works."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

__all__ = ["length_name", "resampled", "timeframe_fault"]

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
_NUMBER_FIRST = re.compile(r"(?P<number>\d*)[\s_-]*(?P<unit>[a-z]+)", re.IGNORECASE)
_UNIT_FIRST = re.compile(r"(?P<unit>[a-z]+)[\s_-]*(?P<number>\d+)", re.IGNORECASE)


def timeframe_fault(value: object, known: Mapping[str, timedelta]) -> str:
    """Why a text is none of the known timeframes, and the cure.

    Args:
        value: ``1H``, ``60min``, ``7h``, ``1M`` for a month as at exchanges.
        known: lengths by name.
    """
    text, fault = str(value).strip(), f"{value!r} is not a timeframe"
    length, unit = _length(text), _parts(text)[1]
    no_length = "month" if unit == "M" else _NO_LENGTH.get(unit.lower())
    if no_length:
        return f"{fault}, as a {no_length} has no fixed length; resample the bars to 1d or 1w"
    if length is None:
        return f"{fault}; known: {', '.join(_by_length(known))}"
    for name, other in known.items():
        if other == length:
            return f"{fault}; write {name!r}"
    return f"{fault} that is known: bars of {length_name(length, known)} can't be used; " + (
        resampled(length, known)
    )


def resampled(length: timedelta, known: Mapping[str, timedelta]) -> str:
    """The cure for bars of a length that is none of the known: the lengths that they add up to."""
    longer = [name for name in _by_length(known) if known[name] % length == timedelta(0)]
    return (
        f"resample them to {_enumeration(longer)}"
        if longer
        else (f"get them as one of {', '.join(_by_length(known))}")
    )


def length_name(length: timedelta, known: Mapping[str, timedelta]) -> str:
    """A length as timeframes are named: ``1h``, ``7h``, ``90s``."""
    for name, other in known.items():
        if other == length:
            return name
    for unit in sorted(_SPELLINGS, reverse=True):
        if length % unit == timedelta(0):
            return f"{length // unit}{_SPELLINGS[unit].split()[0]}"
    return str(length)


def _parts(text: str) -> tuple[int, str]:
    match = _NUMBER_FIRST.fullmatch(text) or _UNIT_FIRST.fullmatch(text)
    return (int(match["number"] or 1), match["unit"]) if match else (0, "")


def _length(text: str) -> timedelta | None:
    """The length of a timeframe in any spelling; None if it has none."""
    number, unit = _parts(text)
    if unit == "M" or not number:  # a month; a minute is "m"
        return None
    size = _UNITS.get(unit.lower())
    return None if size is None or number > 10_000 else number * size


def _by_length(known: Mapping[str, timedelta]) -> list[str]:
    return sorted(known, key=lambda name: known[name])


def _enumeration(names: list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
