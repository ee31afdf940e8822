"""Rows of market series that can't be true: what is wrong with each.

A row that can't be true is a missing row: it is never stored, read as a bar or learnt from. One
rule for candles at an exchange, in the store and in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["bar_faults", "row_faults"]

_Floats = npt.NDArray[np.float64]
_Mask = npt.NDArray[np.bool_]

# Adjusted or converted prices may leave the close a rounding error above the high.
_ROUNDING = 1e-9
_CANDLE = ["open", "high", "low", "close", "volume"]
# Paid in one interval, of a position's value: exchanges cap it at some percent.
_MOST_RATE = 1.0


def bar_faults(values: _Floats) -> dict[str, _Mask]:
    """Which bars have which fault.

    Args:
        values: (N, 5) open, high, low, close, volume; a volume may be NaN.

    Returns:
        (N,) masks by fault, in words.
    """
    first, high, low, last, volume = (values[:, k] for k in range(5))
    prices = values[:, :4]
    return {
        "a price is NaN or infinite": np.logical_or.reduce(~np.isfinite(prices), axis=1),
        "a price is not positive": np.logical_or.reduce(prices <= 0, axis=1),
        "high is below low": high < low * (1 - _ROUNDING),
        "high is below open or close": high < np.maximum(first, last) * (1 - _ROUNDING),
        "low is above open or close": low > np.minimum(first, last) * (1 + _ROUNDING),
        "volume is negative": volume < 0,
    }


def row_faults(kind: str, rows: pd.DataFrame) -> npt.NDArray[np.object_]:
    """What is wrong with each row, as text with its values; empty where nothing is.

    Args:
        kind: of the series; there is no rule for other kinds than candles, funding and
            open_interest.
        rows: (N,) with the kind's number columns. Those that may be unknown may be NaN; of candles
            an infinite volume counts as a fault, and ``quote_volume`` may be left out.

    Returns:
        (N,) texts, ``volume is negative (open 3.0, high 3.0, low 3.0, close 3.0, volume -3.0)``.
    """
    texts = np.full(len(rows), "", dtype=object)
    if kind not in _RULES or not len(rows):
        return texts
    columns, rule = _RULES[kind]
    names = [name for name in columns if name in rows]
    values = {name: rows[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in names}
    for fault, mask in rule(values).items():
        for row in np.flatnonzero(mask & (texts == "")):
            shown = ", ".join(f"{name} {float(values[name][row])!r}" for name in names)
            texts[row] = f"{fault} ({shown})"
    return texts


def _candle_faults(values: Mapping[str, _Floats]) -> dict[str, _Mask]:
    faults = bar_faults(np.column_stack([values[name] for name in _CANDLE]))
    faults["volume is infinite"] = np.isinf(values["volume"])
    if "quote_volume" in values:
        quote = values["quote_volume"]
        faults["quote_volume is negative or infinite"] = (quote < 0) | np.isinf(quote)
    return faults


def _funding_faults(values: Mapping[str, _Floats]) -> dict[str, _Mask]:
    rate, mark = values["rate"], values["mark_price"]
    return {
        "the rate is NaN or infinite": ~np.isfinite(rate),
        "the rate is all of a position's value, or more": np.abs(rate) >= _MOST_RATE,
        "the mark price is not positive, or infinite": (mark <= 0) | np.isinf(mark),
    }


def _interest_faults(values: Mapping[str, _Floats]) -> dict[str, _Mask]:
    base, usd = values["base"], values["usd"]
    return {
        "open interest is NaN or infinite": ~np.isfinite(base),
        "open interest is negative": base < 0,
        "its value is negative or infinite": (usd < 0) | np.isinf(usd),
    }


_RULES: dict[str, tuple[list[str], Callable[[Mapping[str, _Floats]], dict[str, _Mask]]]] = {
    "candles": ([*_CANDLE, "quote_volume"], _candle_faults),
    "funding": (["rate", "mark_price"], _funding_faults),
    "open_interest": (["base", "usd"], _interest_faults),
}
