"""The coin of a symbol, which symbols in any currency and of any exchange may share."""

from __future__ import annotations

import re

from brain.errors import InputError
from brain.naming import parse_symbol

__all__ = ["coin_of"]

# Exchanges quote coins of tiny prices by the thousand, and say so in the name: 1000SHIB.
_UNITS = re.compile(r"^1(?:000)+(?=[A-Z])|(?<=[A-Z])1(?:000)+$")


def coin_of(symbol: str) -> str:
    """The coin of a symbol: its base currency, without an exchange's thousands.

    Raises:
        InputError: the symbol is none.
    """
    base = parse_symbol(symbol).partition("/")[0]
    coin = _UNITS.sub("", base)
    if not coin:
        raise InputError(f"{symbol!r} names no coin; write BASE/QUOTE, for example BTC/USDT")
    return coin
