"""Tools of the quality rules: stretches that stand still, values that jump and come back, units.

Arrays are (N,), sorted by time, one row a time. NaN is unknown: it never counts as a fault and
never excuses one beside it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "Flags",
    "Floats",
    "adjacent",
    "bounce",
    "near",
    "repeated",
    "spread",
    "standing",
    "units",
]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Of a series without fault, this many stretches are expected to be taken for standing still.
_FALSE_STRETCHES = 1e-3
#: Four equal rows on end are the shortest stretch that is looked at.
_SHORTEST = 3
#: Rows around a row by which its usual move is judged, itself in the middle: two days of hours.
_AROUND = 49
#: A standard deviation in median absolute deviations, of a normal distribution.
_MAD = 1.4826


def adjacent(times: pd.DatetimeIndex, step: pd.Timedelta | None) -> Flags:
    """Whether the row before is the one a step before (any row before, without a step)."""
    after = np.zeros(len(times), dtype=bool)
    after[1:] = True if step is None else np.asarray(times[1:] - times[:-1]) == step.to_numpy()
    return after


def repeated(*columns: Floats) -> Flags:
    """Rows that equal the row before exactly: all known values, and at least one known."""
    same = np.zeros(len(columns[0]), dtype=bool)
    if len(same) < 2:
        return same
    same[1:] = True
    known = np.zeros(len(same), dtype=bool)
    for values in columns:
        blank = np.isnan(values)
        known |= ~blank
        same[1:] &= (values[1:] == values[:-1]) | (blank[1:] & blank[:-1])
    return same & known


def standing(repeats: Flags) -> Flags:
    """Of the rows that repeat the row before, those in stretches too long to be chance.

    A quiet market repeats itself, too. With ``p`` the share of repeating rows outside the longest
    stretch, ``n p**L`` stretches of ``L`` are expected by chance in ``n`` rows; a stretch stands
    still if that is below 0.001, and never with fewer than three repeating rows.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([0], repeats.astype(np.int8), [0]))))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    found = np.zeros(len(repeats), dtype=bool)
    if not len(lengths):
        return found
    others, rest = lengths.sum() - lengths.max(), len(repeats) - lengths.max()
    p = others / rest
    bound = float(_SHORTEST)
    if p > 0:
        bound = max(bound, np.log(len(repeats) / _FALSE_STRETCHES) / -np.log(p))
    for start, length in zip(starts, lengths, strict=True):
        found[start : start + length] = length >= bound
    return found


def spread(moves: Floats, floor: float = 0.0) -> Floats:
    """The usual size of a move around each row: 1.4826 × the rolling median of ``|move|``.

    Medians, for a fault must not raise the bar by which it is judged. Never below half of the
    whole series' usual move (illiquid hours have a median of 0) nor below ``floor``; NaN if nothing
    ever moves.
    """
    size = np.abs(moves)
    moving = size[size > 0]
    if not len(moving):
        return np.full(len(moves), floor or np.nan)
    least = max(floor, 0.5 * _MAD * float(np.median(moving)))
    around = pd.Series(size).rolling(_AROUND, center=True, min_periods=_AROUND // 4).median()
    return np.fmax(_MAD * around.to_numpy(dtype=np.float64), least)


def bounce(values: Floats, beside: Flags) -> Floats:
    """How far each row is from both its neighbours, on the same side; 0 if it lies between them.

    The lesser of the two distances. NaN where the row or a neighbour is unknown or not adjacent.

    Args:
        values: (N,).
        beside: as of :func:`adjacent`.
    """
    found = np.full(len(values), np.nan)
    if len(values) < 3:
        return found
    come, go = values[1:-1] - values[:-2], values[1:-1] - values[2:]
    least = np.minimum(np.abs(come), np.abs(go))
    found[1:-1] = np.where(come * go > 0, least, np.where(np.isnan(come * go), np.nan, 0.0))
    found[1:-1][~(beside[1:-1] & beside[2:])] = np.nan
    return found


def near(known: pd.Series | None, times: pd.DatetimeIndex, within: pd.Timedelta) -> Floats:
    """The value of another series nearest in time to each row, NaN if none is within reach."""
    if known is None or known.dropna().empty:
        return np.full(len(times), np.nan)
    rows = known.dropna().sort_index(kind="stable")
    rows = rows[~rows.index.duplicated(keep="last")]
    place = rows.index.get_indexer(times, method="nearest", tolerance=within)
    values = rows.to_numpy(dtype=np.float64)
    return np.where(place >= 0, values[place], np.nan)


def units(
    base: Floats, quote: Floats, low: Floats, high: Floats, slack: float
) -> tuple[Flags | None, Flags]:
    """Rows whose base and quote amounts are swapped, and rows in which they are neither.

    ``quote / base`` is a price. It must lie between ``low`` and ``high``, give or take the factor
    ``1 + slack``. A row is swapped if it does not and ``base / quote`` does. It is neither if both
    are off by more than a factor of two: amounts in contracts, thousands, or another currency.

    Returns:
        The swapped rows, None if no row can tell (an amount is unknown or 0 everywhere, or prices
        are too near 1 to tell a price from its inverse); and the rows that are neither.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where((base > 0) & (quote > 0), np.log(quote) - np.log(base), np.nan)
        ratio[~np.isfinite(ratio)] = np.nan
        bottom, top = np.log(low), np.log(high)
    margin = np.log1p(slack)
    straight = _outside(ratio, bottom, top)
    inverse = _outside(-ratio, bottom, top)
    # With both readings inside, the row says nothing: 1.02 and 0.98 are each other's inverse.
    telling = np.isfinite(straight) & (np.maximum(straight, inverse) > margin)
    swapped = telling & (straight > margin) & (inverse <= margin)
    neither = telling & (np.minimum(straight, inverse) > np.log(2.0))
    return (swapped if telling.any() else None), neither


def _outside(values: Floats, bottom: Floats, top: Floats) -> Floats:
    return np.maximum(np.maximum(bottom - values, values - top), 0.0)
