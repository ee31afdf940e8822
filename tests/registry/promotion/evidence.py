"""Simulated evidence for the tests of the trial."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def evidence(
    nights: int = 180,
    symbols: int = 3,
    regimes: int = 4,
    lines: int = 3,
    *,
    edge: float = 0.0,
    unknown: float = 0.2,
    seed: int = 0,
) -> Array:
    """(nights, symbols, regimes, lines), with an edge of line 1 and unknown values."""
    rng = np.random.default_rng(seed)
    values = rng.standard_t(4, (nights, symbols, regimes, lines))
    values[..., 1] += edge
    values[rng.random(values.shape) < unknown] = np.nan
    return values
