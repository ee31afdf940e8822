"""Names of the calendars of markets, and a user's choice by symbol. The standard library alone.

A series of bars is on its calendar's grid, see :mod:`brain.series.calendars`.
"""

from __future__ import annotations

from collections.abc import Mapping

from brain.errors import InputError, did_you_mean
from brain.naming import parse_symbol
from brain.text import entries

__all__ = ["BARS", "CONTINUOUS", "FX", "calendar_of", "parse_calendar", "parse_calendars"]

#: A market that never closes.
CONTINUOUS = "continuous"
#: The bars that there are: what is missing between two of them can't be told from a closed market.
BARS = "bars"
#: From Sunday to Friday, 17:00 in New York, but for Christmas and New Year's Day: the week of
#: foreign exchange.
FX = "FX"


def calendar_of(calendars: Mapping[str, str], symbol: str) -> str:
    """The symbol's calendar, else that of all (the key is empty), else :data:`CONTINUOUS`."""
    return calendars.get(symbol) or calendars.get("") or CONTINUOUS


def parse_calendar(value: str) -> str:
    """The name of a calendar, as it is spelt.

    Raises:
        InputError: there is no such calendar.
    """
    own = (CONTINUOUS, BARS, FX)
    for name in own:
        if value.lower() == name.lower():
            return name
    # The library takes a second to import.
    from exchange_calendars import get_calendar_names

    exchanges = get_calendar_names()
    if value.upper() in exchanges:
        return value.upper()
    raise InputError(
        f"no calendar is called {value!r}; {did_you_mean(value, [*own, *exchanges])} "
        f"(write {CONTINUOUS}, {BARS}, {FX}, or an exchange's code, as XNYS or XLON)"
    )


def parse_calendars(value: object) -> object:
    """Calendars by symbol: ``"XNYS, EUR/USD=FX"``; a name alone is for all other symbols.

    Raises:
        InputError: an entry is none of these, or comes twice.
    """
    if not isinstance(value, Mapping | str):
        return value
    calendars: dict[str, str] = {}
    for key, name in entries(value):
        symbol = parse_symbol(key) if key else ""
        if symbol in calendars:
            raise InputError(f"the calendar of {key or 'all symbols'} comes twice; write one")
        calendars[symbol] = parse_calendar(str(name))
    return calendars
