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
    "adjacency",
    "beyond",
    "bounce",
    "nearest",
    "repeats",
    "spread",
    "stale_rows",
    "unit_faults",
    "windows",
]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Of a series without fault, so many stretches are expected to be flagged as stale.
_FALSE_STRETCHES = 1e-3
#: Four equal rows on end are the shortest stretch that can be stale.
_SHORTEST = 3
#: Rows of the window of a row's usual move, the row itself in the middle: two days of hours.
_WINDOW = 49
#: A standard deviation in median absolute deviations, of a normal distribution.
_MAD = 1.4826
#: Windows in memory at a time.
_CHUNK = 1 << 16


def adjacency(times: pd.DatetimeIndex, step: pd.Timedelta | None) -> Flags:
    """Whether the row before is the one a step before (any row before, without a step)."""
    flags = np.zeros(len(times), dtype=bool)
    flags[1:] = True if step is None else np.asarray(times[1:] - times[:-1]) == step.to_numpy()
    return flags


def repeats(*columns: Floats) -> Flags:
    """Rows that equal the row before exactly: all valid values, and at least one valid."""
    same = np.zeros(len(columns[0]), dtype=bool)
    if len(same) < 2:
        return same
    same[1:] = True
    valid = np.zeros(len(same), dtype=bool)
    for values in columns:
        missing = np.isnan(values)
        valid |= ~missing
        same[1:] &= (values[1:] == values[:-1]) | (missing[1:] & missing[:-1])
    return same & valid


def stale_rows(repeats: Flags, shortest: int = _SHORTEST) -> Flags:
    """Of the rows that repeat the row before, those in stretches too long to be chance.

    A quiet market repeats itself, too. With ``p`` the share of repeating rows outside the longest
    stretch, ``n p**L`` stretches of ``L`` are expected by chance in ``n`` rows; a stretch is stale
    if that is below 0.001, and never with fewer than ``shortest`` repeating rows.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([0], repeats.astype(np.int8), [0]))))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    stale = np.zeros(len(repeats), dtype=bool)
    if not len(lengths):
        return stale
    others, rest = lengths.sum() - lengths.max(), len(repeats) - lengths.max()
    p = others / rest
    bound = float(shortest)
    if p > 0:
        bound = max(bound, np.log(len(repeats) / _FALSE_STRETCHES) / -np.log(p))
    for start, length in zip(starts, lengths, strict=True):
        stale[start : start + length] = length >= bound
    return stale


def beyond(size: Floats, moves: Floats, factor: float, floor: float = 0.0) -> Flags:
    """Rows whose size is more than ``factor`` usual moves around them.

    Args:
        size: (N,) what is compared.
        moves: (N,) of which :func:`spread` takes the usual one.
        factor: of the comparison.
        floor: no usual move is less.
    """
    flags = np.zeros(len(size), dtype=bool)
    # Medians take long, and few rows need one: no usual move is below half of the series' own.
    rows = np.flatnonzero(size > factor * _least_spread(moves, floor))
    flags[rows] = size[rows] > factor * spread(moves, rows, floor)
    return flags


def spread(moves: Floats, rows: NDArray[np.intp], floor: float = 0.0) -> Floats:
    """The usual size of a move around rows: 1.4826 × the median of ``|move|`` of 49 rows.

    Medians, since a fault must not raise its own threshold. Never below half of the whole series'
    usual move (illiquid hours have a median of 0) nor below ``floor``; NaN if nothing ever moves.

    Args:
        moves: (N,), NaN where unknown.
        rows: (K,) places of rows.
        floor: no usual move is less.

    Returns:
        (K,) standard deviations of a normal distribution with such moves. A window with fewer than
        12 moves has the least one.
    """
    size, least = np.abs(moves), _least_spread(moves, floor)
    usual = np.full(len(rows), least)
    for begin in range(0, len(rows), _CHUNK):
        window = windows(size, rows[begin : begin + _CHUNK], _WINDOW // 2, _WINDOW // 2)
        enough = np.isfinite(window).sum(axis=1) >= _WINDOW // 4
        medians = np.full(len(window), np.nan)
        medians[enough] = np.nanmedian(window[enough], axis=1)
        usual[begin : begin + _CHUNK] = np.fmax(_MAD * medians, least)
    return usual


def _least_spread(moves: Floats, floor: float) -> float:
    size = np.abs(moves)
    moving = size[size > 0]
    if not len(moving):
        return floor or np.nan
    return max(floor, 0.5 * _MAD * float(np.median(moving)))


def windows(values: Floats, rows: NDArray[np.intp], before: int, after: int) -> Floats:
    """The values from ``before`` rows before each row to ``after`` rows after it.

    Args:
        values: (N,).
        rows: (K,) places of rows.
        before, after: numbers of rows; negative ones leave rows out at that side.

    Returns:
        (K, before + 1 + after); NaN beyond the ends.
    """
    places = rows[:, None] + np.arange(-before, after + 1)
    inside = (places >= 0) & (places < len(values))
    return np.where(inside, values[np.where(inside, places, 0)], np.nan)


def bounce(values: Floats, adjacent: Flags) -> Floats:
    """How far each row is from both its neighbours, on the same side; 0 if it lies between them.

    The lesser of the two distances. NaN where the row or a neighbour is unknown or not adjacent.

    Args:
        values: (N,).
        adjacent: (N,) as of :func:`adjacency`.
    """
    distance = np.full(len(values), np.nan)
    if len(values) < 3:
        return distance
    before, after = values[1:-1] - values[:-2], values[1:-1] - values[2:]
    least = np.minimum(np.abs(before), np.abs(after))
    sides = before * after
    distance[1:-1] = np.where(sides > 0, least, np.where(np.isnan(sides), np.nan, 0.0))
    distance[1:-1][~(adjacent[1:-1] & adjacent[2:])] = np.nan
    return distance


def nearest(series: pd.Series | None, times: pd.DatetimeIndex, tolerance: pd.Timedelta) -> Floats:
    """The value of another series nearest in time to each row, NaN if none is near enough."""
    if series is None or series.dropna().empty:
        return np.full(len(times), np.nan)
    rows = series.dropna().sort_index(kind="stable")
    rows = rows[~rows.index.duplicated(keep="last")]
    place = rows.index.get_indexer(times, method="nearest", tolerance=tolerance)
    values = rows.to_numpy(dtype=np.float64)
    return np.where(place >= 0, values[place], np.nan)


def unit_faults(
    base: Floats, quote: Floats, low: Floats, high: Floats, slack: float
) -> tuple[Flags | None, Flags]:
    """Rows whose base and quote amounts are swapped, and rows in which they are neither.

    ``quote / base`` is a price. It must lie between ``low`` and ``high``, give or take the factor
    ``1 + slack``. A row is swapped if it does not and ``base / quote`` does. It is neither if both
    are off by more than a factor of two: amounts in contracts, thousands, or another currency.

    Returns:
        The swapped rows, None if that can't be decided for any row (an amount is unknown or 0
        everywhere, or prices are too near 1 to differ from their inverse); and the rows that are
        neither.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where((base > 0) & (quote > 0), np.log(quote) - np.log(base), np.nan)
        ratio[~np.isfinite(ratio)] = np.nan
        bottom, top = np.log(low), np.log(high)
    margin = np.log1p(slack)
    straight = _outside(ratio, bottom, top)
    inverse = _outside(-ratio, bottom, top)
    # With both readings inside nothing is decided: 1.02 and 0.98 are each other's inverse.
    decided = np.isfinite(straight) & (np.maximum(straight, inverse) > margin)
    swapped = decided & (straight > margin) & (inverse <= margin)
    neither = decided & (np.minimum(straight, inverse) > np.log(2.0))
    return (swapped if decided.any() else None), neither


def _outside(values: Floats, bottom: Floats, top: Floats) -> Floats:
    return np.maximum(np.maximum(bottom - values, values - top), 0.0)
