"""The slope from predictions to what they were followed by, over all bars and in each regime.

The slope of the target on the prediction, through the origin: an intercept would be a bet on the
market's own drift, which no prediction has made. The target is cut at its limit, which makes the
slope some hundredths too small and spares it the tails.

A slope is shrunk by its own error to ``b max(0, 1 - (e / b)²)`` (the positive part of James & Stein
1961 in one dimension), and none is below 0: what was wrong so far isn't traded the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from brain.naming import REGIMES, Regime
from brain.records import Estimate
from engine.evaluation.bootstrap import BlockBootstrap, block_length, quotient
from engine.kernels.columns import Floats

__all__ = ["Slopes", "slopes"]

_STANDARD_ERRORS = 2.0


@dataclass(frozen=True, repr=False)
class Slopes(Brief):
    """Shrunk slopes.

    Attributes:
        common: of all bars; NaN is unknown.
        regimes: of the regimes whose slope is credibly another than that of the other bars.
    """

    common: float
    regimes: Mapping[Regime, float]


def slopes(prediction: Floats, target: Floats, regimes: NDArray[np.int8], horizon: int) -> Slopes:
    """The slopes of out-of-sample predictions.

    Args:
        prediction, target: (N,) consecutive rows; NaN is unknown, and such rows don't count.
        regimes: (N,) codes, -1 unknown.
        horizon: bars that a target looks forward.

    Returns:
        An unknown common slope where there are too few rows for an error.
    """
    valid = np.isfinite(prediction) & np.isfinite(target)
    x, y, codes = prediction[valid], target[valid], regimes[valid]
    own: dict[Regime, float] = {}
    for code, regime in enumerate(REGIMES):
        inside = codes == code
        slope = _slope(x[inside], y[inside], horizon)
        rest = _slope(x[~inside], y[~inside], horizon)
        distance = abs(slope.value - rest.value)
        if distance > _STANDARD_ERRORS * math.hypot(slope.error, rest.error):
            own[regime] = _shrunk(slope)
    return Slopes(_shrunk(_slope(x, y, horizon)), own)


def _slope(x: Floats, y: Floats, horizon: int) -> Estimate:
    """The slope through the origin; NaN without an error."""
    draws = BlockBootstrap(x.size, block_length(horizon))
    if not draws.enough or not x.any():
        return Estimate(math.nan, math.nan)
    moments = np.column_stack([x * y, x * x])
    product, square = moments.mean(axis=0)
    return Estimate(float(product / square), draws.error(quotient(draws.means(moments))))


def _shrunk(slope: Estimate) -> float:
    """NaN for an unknown slope."""
    if not math.isfinite(slope.value) or not math.isfinite(slope.error):
        return math.nan
    if slope.value <= 0.0:
        return 0.0
    return slope.value * max(0.0, 1.0 - (slope.error / slope.value) ** 2)
