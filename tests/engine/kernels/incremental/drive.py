"""Bars through an incremental kernel, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np

from engine.kernels.incremental.recent_bars import Arrays
from tests.engine.paths import Path


def bars_of(path: Path) -> Iterator[tuple[Any, ...]]:
    """Prices, volume and close of each bar as numbers of Python."""
    return zip(*(column.tolist() for column in path.columns()), strict=True)


def rows_of(
    kernel: Any, path: Path, restarts: Collection[int], load: Callable[[Arrays], Any]
) -> np.ndarray:
    """What each push of a kernel gives, with restarts after some bars."""
    rows = []
    for place, bar in enumerate(bars_of(path)):
        rows.append(kernel.push(*bar))
        if place in restarts:
            kernel = load(kernel.arrays())
    return np.array(rows)


def bits(values: np.ndarray) -> bytes:
    """The bits of numbers; all NaN are one."""
    return np.where(np.isnan(values), np.nan, values).tobytes()
