"""The quality rules for candles and bars, wherever they are kept.

Each rule stands beside its reason. :data:`CLOSE_ALONE`, :data:`CLOSE_AND_OPEN` and :data:`SHADOW`
were set on 64,520 recorded candles of twelve series, minutes to days, 2013 to 2022, crashes
included; "largest" is the largest value there. The other thresholds come from theory. What is
flagged on which series, and found of planted faults, is in ``docs/quality.md``. A flagged row
should be inspected; some are right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from brain.series.quality.arrays import (
    Flags,
    Floats,
    beyond,
    bounce,
    repeats,
    stale_rows,
    unit_faults,
)
from brain.series.quality.findings import REPEATING, SWAPPED, Fault, Findings, faults
from brain.series.quality.standstill import coarse_prices, constant_volume, still_closes
from brain.series.quality.steps import Candles, open_jumps, splits, ticks

__all__ = ["VALUES", "candle_findings"]

#: The columns that the rules read; quote volumes may be absent.
VALUES = ("open", "high", "low", "close", "volume", "quote_volume")

#: A close so many usual moves from both neighbours, from which the next open differs as much.
#: Largest: 7.8.
CLOSE_ALONE = 10.0
#: A close so many usual moves from both neighbours, whatever the next open. Largest: 24.2
#: (Bitfinex, October 2013).
CLOSE_AND_OPEN = 30.0
#: A shadow of so many usual ranges. Largest: 17.6, apart from two flash crashes to some cents.
SHADOW = 25.0 / 1.4826

_ROUNDING = 1e-9


def candle_findings(rows: Mapping[str, Floats], place: Floats) -> Findings:
    """What the rules flag; nothing is altered.

    Args:
        rows: by name of :data:`VALUES`, (N,) in the order of time, NaN is unknown. A row of NaN is
            no bar.
        place: (N,) steps of the grid since the first row, increasing: whole numbers, or parts of
            them off the grid.
    """
    prices = np.column_stack([rows[name] for name in VALUES[:4]])
    volume = rows["volume"]
    quote = rows.get("quote_volume", np.full(len(place), np.nan))
    partial: Flags = np.asarray((np.isfinite(prices) | np.isinf(prices)).any(axis=1))
    valid: Flags = np.asarray((np.isfinite(prices) & (prices > 0)).all(axis=1))
    prices[~valid] = np.nan
    known = Candles.of(prices[valid], place[valid])
    steps, tenfold = ([f.among(valid) for f in rule(known)] for rule in (splits, ticks))
    still = [fault.among(valid) for fault in still_closes(prices[valid, 3])]
    series = [fault.among(valid) for fault in coarse_prices(prices[valid, 3])]
    constant = [fault.among(valid) for fault in constant_volume(volume[valid])]
    swapped, neither = unit_faults(volume, quote, prices[:, 2], prices[:, 1], slack=0.02)
    others = {
        "price missing, infinite or not positive": partial & ~valid,
        **_impossible(prices, volume),
        "turnover that does not fit price and volume": neither,
        **_jumps(Candles.of(prices, place), _union(steps, valid), _union(tenfold, valid)),
    }
    if not constant:
        others["no volume although the price moved"] = (volume == 0) & _moved(prices, place)
    repeating = stale_rows(repeats(*prices.T, volume, quote)) & ~_union(still, valid)
    return Findings(
        (
            *(*steps, *tenfold, *still),
            *faults("stale", {REPEATING: repeating}),
            *faults("outlier", others),
            *(*series, *constant),
            *([] if swapped is None else faults("swapped", {SWAPPED: swapped})),
        ),
        swappable=swapped is not None,
    )


def _union(found: Sequence[Fault], like: Flags) -> Flags:
    return np.logical_or.reduce([np.zeros_like(like), *(fault.flags for fault in found)])


def _impossible(prices: Floats, volume: Floats) -> dict[str, Flags]:
    o, h, lo, c = prices.T
    return {
        "open or close outside high and low": (h < np.fmax(o, c) * (1 - _ROUNDING))
        | (lo > np.fmin(o, c) * (1 + _ROUNDING)),
        "negative or infinite volume": (volume < 0) | np.isinf(volume),
    }


def _moved(prices: Floats, place: Floats) -> Flags:
    """Whether the price moved within the row, or since the row a step before."""
    _, h, lo, c = prices.T
    moved = h > lo
    moved[1:] |= (np.diff(place) == 1) & (np.abs(np.diff(c)) > 0)
    return moved


def _jumps(candles: Candles, steps: Flags, tenfold: Flags) -> dict[str, Flags]:
    """Candles that leave their neighbours and come back at once, and opens that are far off.

    Args:
        candles: (N,), NaN where there is no price.
        steps, tenfold: rows of which the reason is known already.
    """
    o, h, lo, c = candles.o, candles.h, candles.lo, candles.c
    adjacent = candles.elapsed == 1
    move = np.where(adjacent, candles.move, np.nan)
    open_jump = np.where(adjacent, np.abs(candles.gap), np.nan)  # 0 where trade goes on
    next_open_jump = np.append(open_jump, np.nan)[1:]
    distance = bounce(c, adjacent)
    isolated = beyond(distance, move, CLOSE_ALONE) & beyond(next_open_jump, move, CLOSE_ALONE)
    isolated |= beyond(distance, move, CLOSE_AND_OPEN)
    shadow = np.fmax(h - np.fmax(o, c), np.fmin(o, c) - lo)
    returns = np.concatenate(([False], isolated | tenfold))[: len(c)]
    return {
        "close that leaves its neighbours and reverts": isolated & ~tenfold,
        "high or low far beyond its neighbours": beyond(shadow, h - lo, SHADOW) & ~tenfold,
        "open far from the close before": open_jumps(candles) & ~returns & ~steps & ~tenfold,
    }
