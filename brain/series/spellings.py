"""Spellings of the columns of bars, and of cells: numbers, words for nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["MISSING", "SPELLINGS", "bar_names", "is_level", "is_number", "normalised"]

#: The usual spellings of each column, :func:`normalised`; ``volume`` as far as it is no currency's.
SPELLINGS: dict[str, frozenset[str]] = {
    "time": frozenset(
        {"time", "t", "ts", "timestamp", "unix", "unix_timestamp", "date", "datetime", "date_time"}
        | {"open_time", "opentime", "gmt_time", "utc_time", "time_utc", "date_utc", "datetime_utc"}
        | {"timestamp_utc", "epoch", "dt"}
    ),
    "open": frozenset({"open", "o", "open_price", "1._open"}),
    "high": frozenset({"high", "h", "high_price", "2._high"}),
    "low": frozenset({"low", "l", "low_price", "3._low"}),
    "close": frozenset({"close", "c", "close_price", "4._close", "last", "close/last", "price"}),
    "volume": frozenset({"volume", "vol", "v", "vol.", "5._volume", "base_volume", "volume_from"}),
}

#: Words, in small letters, for a value that is missing.
MISSING = frozenset(
    {"", "nan", "null", "none", "na", "n/a", "#n/a", "<na>", "-", "--", "nil", "-nan", "nat"}
)

_NUMBER = re.compile(r"[$€£]?[+-]?[$€£]?\.?\d[\d.,'   ]*(?:[eE][+-]?\d+)?\s?[KMBkmb%]?")
_LEVELS = ("ticker", "tickers", "symbol", "symbols", "")
_PRICES = ("open", "high", "low", "close")


def normalised(column: object) -> str:
    """A column's name in small letters, with ``_`` between words and without brackets."""
    name = re.sub(r"[<>()\[\]\"']", "", str(column)).strip().lower()
    return re.sub(r"[\s\-_]+", "_", name)


def bar_names(cells: Sequence[str]) -> int:
    """How many of the four prices the cells name."""
    names = {normalised(cell) for cell in cells}
    return sum(bool(names & SPELLINGS[price]) for price in _PRICES)


def is_level(cells: Sequence[str]) -> bool:
    """Whether cells are tickers that belong to names of columns, or name the index alone."""
    first, rest = normalised(cells[0]) if cells else "", cells[1:]
    if not any(cells) or bar_names(cells) >= len(_PRICES):
        return False
    if not any(rest):
        return first in SPELLINGS["time"]
    return first in _LEVELS and all(rest) and not all(map(is_number, rest))


def is_number(cell: str) -> bool:
    """Whether a cell is a number in any usual form."""
    return _NUMBER.fullmatch(cell) is not None
