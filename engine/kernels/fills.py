"""The price at which a decision is filled: after the close of the bar that made it.

A decision at bar t's close can be filled at the next bar's open, where opens are prices of their
own. Where most opens only repeat the close before, the open is the very price that the decision was
made on, and nobody can trade at it any more: there the decision is worked through the next bar and
filled at its typical price, the mean of high, low and close. Finer bars of the same symbol tell
the first price after the close better than either. A fill at the decision's own close is a
diagnostic of how much of a figure is gone a moment later.

A kernel on NumPy arrays. Row t's fill is known when bar t + 1 is.
"""

from __future__ import annotations

import numpy as np

from brain.naming import Fill
from engine.kernels.columns import Floats, Times, valid_prices

__all__ = [
    "MOST_REPEATED",
    "choose_fill",
    "fill_prices",
    "fill_time",
    "finer_prices",
    "repeated_opens",
]


#: The share of opens that repeat the close before, above which opens are no prices of their own.
MOST_REPEATED = 0.5


def repeated_opens(open_: Floats, close: Floats) -> float:
    """The share of bars whose open is the close of the bar before, 0 to 1; NaN without two bars."""
    known = valid_prices(open_[1:], close[:-1])
    if not known.any():
        return float("nan")
    return float((open_[1:][known] == close[:-1][known]).mean())


def choose_fill(open_: Floats, close: Floats) -> Fill:
    """The fill of a series: at opens if these are prices of their own, worked otherwise."""
    share = repeated_opens(open_, close)
    return Fill.OPEN if share <= MOST_REPEATED else Fill.WORKED


def fill_prices(open_: Floats, high: Floats, low: Floats, close: Floats, fill: Fill) -> Floats:
    """The price at which each bar's decision is filled, (N,).

    Args:
        open_, high, low, close: (N,) on the full time grid; NaN is a missing bar.
        fill: where.

    Returns:
        (N,); NaN where the bar of the fill is missing, as it is after the last row.
    """
    if fill is Fill.CLOSE:
        return np.where(valid_prices(close), close, np.nan)
    price = _price(open_, high, low, close, fill)
    later = np.full(close.shape, np.nan)
    later[:-1] = np.where(valid_prices(price), price, np.nan)[1:]
    return later


def fill_time(fill: Fill) -> float:
    """When a bar's fills are, as a share of the bar: 0 at its open, 0.5 worked through it."""
    return 0.5 if fill is Fill.WORKED else 0.0


def finer_prices(
    open_: Floats, high: Floats, low: Floats, close: Floats, open_time_ns: Times, at_ns: Times
) -> Floats:
    """The price of the finer bar that begins at each moment: its open, or worked through it.

    Args:
        open_, high, low, close: (M,) of the finer bars on their grid; NaN is a missing bar.
        open_time_ns: (M,) ascending.
        at_ns: (N,) the moments from which decisions can be filled.

    Returns:
        (N,); NaN where no such bar is known.
    """
    price = _price(open_, high, low, close, choose_fill(open_, close))
    row = np.searchsorted(open_time_ns, at_ns)
    inside = np.minimum(row, len(open_time_ns) - 1)
    begins = (open_time_ns[inside] == at_ns) & valid_prices(price)[inside]
    return np.where(begins, price[inside], np.nan)


def _price(open_: Floats, high: Floats, low: Floats, close: Floats, fill: Fill) -> Floats:
    """What an order that begins with each bar is filled at: the open, or the typical price."""
    return open_ if fill is Fill.OPEN else (high + low + close) / 3.0
