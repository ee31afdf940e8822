"""The drawdown that a champion's own history allows, for the guardrail of the nights to come."""

from __future__ import annotations

import numpy as np

from engine.evaluation.bootstrap import BlockBootstrap
from engine.kernels.columns import Floats

__all__ = ["drawdown_allowance"]

_BLOCK = 20
_REPETITIONS = 2000
_QUANTILE = 0.99


def drawdown_allowance(profits: Floats, nights: int, seed: int = 0) -> float:
    """The largest fall within so many nights that one in a hundred block-bootstrap draws exceeds.

    The draws are of the profits less their mean: what a champion that earns nothing would do. Its
    measured mean is lucky, and an edge that only vanishes is no sudden failure.

    Args:
        profits: (N,) nightly profit of the champion before its promotion, oldest first; NaN is
            unknown and left out.
        nights: ahead.
        seed: of the draws.

    Returns:
        In the profits' unit; NaN with fewer known nights than ``nights`` or than five blocks.
    """
    known = profits[np.isfinite(profits)]
    draws = BlockBootstrap(known.size, _BLOCK, seed=seed, repetitions=_REPETITIONS)
    if known.size < nights or not draws.enough:
        return float("nan")
    wealth = np.cumsum(draws.paths(known - known.mean())[:, :nights], axis=1)
    peak = np.maximum(np.maximum.accumulate(wealth, axis=1), 0.0)
    return float(np.quantile((peak - wealth).max(axis=1), _QUANTILE))
