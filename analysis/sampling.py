"""Samples of rows, and means over rows that depend on their neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Rows", "mean_and_error", "spread", "stratified"]

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

# Means of this many consecutive stretches are near enough independent; a shorter stretch than the
# bootstrap's shortest block would not be (engine.evaluation.bootstrap).
_STRETCHES = 20
_MIN_STRETCHES = 5
_MIN_STRETCH = 20


def stratified(rows: Rows, count: int, seed: int) -> Rows:
    """One row at random from each of ``count`` equal stretches of time.

    Args:
        rows: (n,) in the order of time.
        count: how many; all rows if there are no more.
        seed: of the random draws.
    """
    if len(rows) <= count:
        return rows
    edges = np.linspace(0, len(rows), count + 1)
    draws = np.random.default_rng(seed).random(count)
    places = np.floor(edges[:-1] + draws * np.diff(edges)).astype(np.intp)
    return rows[np.minimum(places, len(rows) - 1)]


def spread(rows: Rows, count: int) -> Rows:
    """``count`` of the rows, evenly spread over time; all of them if there are no more."""
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.intp)]


def mean_and_error(values: Array) -> tuple[Array, Array]:
    """Column means of rows in the order of time, and their standard errors.

    Neighbouring rows depend on each other, so the error comes from the means of consecutive
    stretches (batch means, Law & Carson 1979).

    Args:
        values: (n, k).

    Returns:
        Two arrays (k,); the errors are NaN where the rows make fewer than five stretches of 20.
    """
    stretches = min(_STRETCHES, len(values) // _MIN_STRETCH)
    means = values.mean(axis=0)
    if stretches < _MIN_STRETCHES:
        return means, np.full(values.shape[1], np.nan)
    parts = np.stack([part.mean(axis=0) for part in np.array_split(values, stretches)])
    return means, np.asarray(parts.std(axis=0, ddof=1) / np.sqrt(stretches))
