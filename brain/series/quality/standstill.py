"""Prices that hardly move, and volumes that never do: frozen, flat, unchanged, coarse, constant."""

from __future__ import annotations

import numpy as np

from brain.series.quality.arrays import Floats, repeats, stale_rows
from brain.series.quality.findings import Fault, faults

__all__ = ["coarse_prices", "constant_volume", "still_closes"]

#: So many equal closes on end are frozen.
_FROZEN = 30
#: From this share on, closes that repeat the one before are told.
_UNCHANGED = 0.9
#: A step of the prices that is twice their mean move: half of the closes repeat the one before, and
#: of moves that are normal 30 % of the variance is rounding.
_COARSE = 2.0
#: Rows from which there is a share; and from which all of them being the same is no chance.
_ROWS, _FEWEST = 100, 30


def still_closes(c: Floats) -> list[Fault]:
    """Closes that stand still: all of them, long stretches, or nearly all outside of these.

    A stretch of 30 is frozen unless the market is so quiet that chance makes one, see
    :func:`brain.series.quality.arrays.stale_rows`.

    Args:
        c: (N,) closes, none unknown, in the order of time.
    """
    same = repeats(c)
    if len(c) >= _FEWEST and same[1:].all():
        return faults("stale", {"price that never moves": same}, "give the symbol's own prices")
    frozen = stale_rows(same, _FROZEN - 1)
    reason = f"close that stays equal over {_FROZEN} bars and more"
    found = faults("stale", {reason: frozen}, "take another source, or leave these bars out")
    unchanged, rest = same & ~frozen, len(c) - int(frozen.sum())
    if rest >= _ROWS and unchanged.sum() >= _UNCHANGED * rest:
        reason = f"{unchanged.sum() / rest:.0%} of closes unchanged"
        cure = "take a longer timeframe, or a market with more trade"
        found += faults("stale", {reason: unchanged}, cure)
    return found


def coarse_prices(c: Floats) -> list[Fault]:
    """Prices whose step is large against their moves.

    Rounding leaves the mean size of moves as it was: a move of a tenth of a step becomes a whole
    step one time in ten. So the step is compared with that. It is the most frequent move, if half
    of the moves are such and 99 % are whole numbers of it.

    Args:
        c: (N,) closes, none unknown, in the order of time.
    """
    if len(c) < _ROWS:
        return []
    moves = np.abs(np.diff(c))
    mean = float(moves.mean())
    moves = moves[moves > 1e-9 * c[1:]]  # differences of decimal numbers have rounding errors
    if len(moves) < _FEWEST:
        return []
    step = _most_frequent(moves)
    multiples = moves / step
    of_one = np.mean(np.abs(multiples - 1) < 1e-3)
    whole = np.mean(np.abs(multiples - np.rint(multiples)) < 1e-3)
    if of_one < 0.5 or whole < 0.99 or step < _COARSE * mean:
        return []
    reason = f"prices in steps of {step:.6g}, {step / mean:.1f} times their mean move"
    cure = "take prices with more digits, or a longer timeframe"
    return faults("series", {reason: np.ones(len(c), dtype=bool)}, cure)


def _most_frequent(moves: Floats) -> float:
    """The median of those that are within 0.1 % of the most frequent one."""
    bins = np.rint(np.log(moves) / 1e-3).astype(np.int64)
    values, numbers = np.unique(bins, return_counts=True)
    return float(np.median(moves[np.abs(bins - values[numbers.argmax()]) <= 1]))


def constant_volume(volume: Floats) -> list[Fault]:
    """A volume that is the same in every row.

    Args:
        volume: (N,), NaN where unknown.
    """
    known = ~np.isnan(volume)
    values = volume[known]
    if len(values) < _FEWEST or (values != values[0]).any():
        return []
    cure = "leave it empty where it is not known"
    return faults("series", {f"volume that is always {values[0]:g}": known}, cure)
