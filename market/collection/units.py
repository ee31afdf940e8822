"""Units of coins: the same coin is 1000SHIB on one exchange, SHIB1000 on another, SHIB on a third.

Exchanges quote coins of tiny prices by the thousand or million, and say so in the name of the base
alone: ``1000SHIB``, ``1000000MOG``, ``1MBABYDOGE``, ``SHIB1000``. A symbol's series are in its own
units on every exchange, so that prices and amounts can be compared: where an exchange lists the
coin in other units only, its prices and amounts are converted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from market.exchanges.base import Instrument

__all__ = ["instrument_of", "units"]

_BEFORE = re.compile(r"(10{3,9}|1M)([A-Z][A-Z0-9]+)")
_AFTER = re.compile(r"([A-Z][A-Z0-9]*?[A-Z])(10{3,9})")


def units(base: str) -> tuple[str, int]:
    """A coin and how many of it a base currency is: ``("SHIB", 1000)`` of ``1000SHIB``."""
    if match := _BEFORE.fullmatch(base):
        return match[2], 1_000_000 if match[1] == "1M" else int(match[1])
    if match := _AFTER.fullmatch(base):
        return match[1], int(match[2])
    return base, 1


def instrument_of(symbol: str, instruments: Mapping[str, Instrument]) -> Instrument | None:
    """The instrument of a symbol: the one of that name, or else of the same coin in other units.

    Args:
        symbol: canonical.
        instruments: that an exchange lists, by symbol.

    Returns:
        The instrument, with the multiplier of the symbol's units; None if there is none. Of
        several in other units the one in the nearest.
    """
    if symbol in instruments:
        return instruments[symbol]
    base, _, rest = symbol.partition("/")
    coin, number = units(base)
    others: list[tuple[float, str]] = []
    for name in instruments:
        other, _, settle = name.partition("/")
        if settle == rest and coin in other:
            other_coin, other_number = units(other)
            if other_coin == coin:
                others.append((max(number / other_number, other_number / number), name))
    if not others:
        return None
    instrument = instruments[min(others)[1]]
    return replace(instrument, multiplier=number / units(instrument.symbol.partition("/")[0])[1])
