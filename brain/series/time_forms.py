"""The forms in which files write times, as formats of :func:`pandas.to_datetime`."""

from __future__ import annotations

import re

__all__ = ["date_order", "time_formats"]

_DAY = r"(?:\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{2,4}|\d{8}|"
_NAMED = r"[A-Za-z]{3,9}\.? \d{1,2},? \d{4}|\d{1,2}[- ][A-Za-z]{3,9}\.?[- ](?:\d{4}|\d{2}))"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?|\d{6}|\d{4}|\d{1,2}(?=[- ]?[AaPp][Mm])"
_FORM = re.compile(
    rf"(?P<date>{_DAY}{_NAMED})"
    rf"(?:(?P<apart>T|, ?|\s+)(?P<clock>{_CLOCK})(?P<half>[- ]?[AaPp][Mm])?)?"
    r"(?P<zone>\s?(?:UTC|GMT)?(?:Z|[+-]\d{2}:?\d{2})|\s?(?:UTC|GMT))?"
)

_ISO = re.compile(r"\d{4}-\d{2}(-\d{2})?([T ].*)?")
_DIGITS = {12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


def time_formats(cell: str) -> list[str]:
    """The formats in which one cell may be read; several where day and month may change places.

    A column of cells has the format that reads all of them.
    """
    if cell.isdecimal() and len(cell) in _DIGITS:
        return [_DIGITS[len(cell)]]
    form = _FORM.fullmatch(cell)
    formats = ["ISO8601"] if _ISO.fullmatch(cell) else []
    if form is None:
        return formats
    tail = _clock_format(form["apart"], form["clock"], form["half"]) + _zone_format(form["zone"])
    return formats + [date + tail for date in _date_formats(form["date"])]


def date_order(form: str) -> str:
    """A format's order of day, month and year, for people: ``day/month/year``."""
    names = {"d": "day", "m": "month", "b": "month", "B": "month", "Y": "year", "y": "year"}
    return "/".join(names[letter] for letter in re.findall("%([dmbBYy])", form))


def _date_formats(date: str) -> list[str]:
    if date.isdecimal():
        return ["%Y%m%d"]
    parts = re.split(r"(\W+)", date)  # numbers and what stands between them, by turns
    if any(part.isalpha() for part in parts):
        return _named_month_formats(parts)
    first, _, _, _, last = parts
    if len(first) == 4:
        orders = ["Ymd"]
    else:
        orders = ["dmY", "mdY"] if len(last) == 4 else ["dmy", "mdy", "ymd"]
    return ["".join(_interleaved(order, parts[1::2])) for order in orders]


def _named_month_formats(parts: list[str]) -> list[str]:
    orders = []
    for month in "bB":  # "May" is both
        if parts[0].isalpha():
            orders.append(f"{month}dY")
        else:
            orders.append(f"d{month}{'Y' if len(parts[-1]) == 4 else 'y'}")
    return ["".join(_interleaved(order, parts[1::2])) for order in orders]


def _interleaved(letters: str, separators: list[str]) -> list[str]:
    pieces = [f"%{letters[0]}"]
    for separator, letter in zip(separators, letters[1:], strict=True):
        pieces += [separator, f"%{letter}"]
    return pieces


def _clock_format(apart: str | None, clock: str | None, half: str | None) -> str:
    if clock is None:
        return ""
    hour = "%I" if half else "%H"
    if ":" in clock:
        pieces = [hour, "%M", "%S"][: clock.count(":") + 1]
        form = ":".join(pieces)
        fraction = re.search("[.,]", clock)
        form += f"{fraction[0]}%f" if fraction else ""
    else:
        form = hour + {4: "%M", 6: "%M%S"}.get(len(clock), "")
    return f"{apart}{form}" + (f"{half[:-2]}%p" if half else "")


def _zone_format(zone: str | None) -> str:
    return "" if zone is None else re.sub(r"Z$|[+-]\d{2}:?\d{2}$", "%z", zone)
