"""Means and extremes over the newest values, to the bits of :mod:`engine.kernels.windows`.

A window's sum is put together from blocks of 1, 2, 4, … bars in the order of the batch. Each new
value ends one block of each length: the block of half the length that ends with it, and the one
before that. The newest blocks of each length stay in a ring.

A dozen series a bar are too few for NumPy: its calls would take longer than these numbers do.
"""

from __future__ import annotations

import math
from collections import deque

__all__ = ["Largest", "Means", "lagged"]


def lagged(bars: int) -> deque[float]:
    """The newest values: after ``appendleft``, ``[h]`` is that of h bars ago, up to ``bars``."""
    return deque([math.nan] * (bars + 1), maxlen=bars + 1)


class Means:
    """Means of a series' values over several windows.

    As of :func:`engine.kernels.windows.rolling_mean`.

    Args:
        windows: in bars.
    """

    def __init__(self, *windows: int) -> None:
        levels = max(windows).bit_length()
        size = 2 ** (levels - 1)
        # Level k's ring has the blocks of 2**k bars, each where it ended.
        rings = [[0.0] * size for _ in range(levels)]
        self._halves = [(rings[level], 2**level) for level in range(levels - 1)]
        self._whole = rings[-1]
        self._known = [0] * (2 * size)
        self._windows = [(window, *_parts(rings, window)) for window in windows]
        self._bars = self._count = 0

    def push(self, value: float) -> list[float]:
        """The mean of each window that ends with this value.

        Args:
            value: NaN is missing.

        Returns:
            The means; NaN unless half of the window is there.
        """
        # A place before the ring's first is one at its end.
        at = self._bars % len(self._whole)
        block = value
        if math.isnan(value):
            block = 0.0
        else:
            self._count += 1
        for ring, half in self._halves:
            ring[at] = block
            block += ring[at - half]
        self._whole[at] = block
        count, known = self._count, self._known
        now = self._bars % len(known)
        means = []
        for window, ring, offset, more in self._windows:
            there = count - known[now - window]
            if 2 * there < window:
                means.append(math.nan)
                continue
            total = ring[at - offset]
            for other, lag in more:
                total += other[at - lag]
            means.append(total / there)
        self._bars += 1
        known[now] = count
        return means


def _parts(
    rings: list[list[float]], window: int
) -> tuple[list[float], int, list[tuple[list[float], int]]]:
    """Ring and lag of a window's first block, and those of the others, in the order of the sum."""
    parts, offset = [], 0
    for level, ring in enumerate(rings):
        if window & 2**level:
            parts.append((ring, offset))
            offset += 2**level
    (ring, lag), *more = parts
    return ring, lag, more


class Largest:
    """The largest of a series' last values.

    As in :func:`engine.kernels.windows.rolling_max` but for the count of what is there.

    Args:
        window: in bars.
    """

    def __init__(self, window: int) -> None:
        self._window, self._bars = window, 0
        # Values that no later one exceeds, and their bars.
        self._falling: deque[tuple[float, int]] = deque()

    def push(self, value: float) -> float:
        """The largest value up to this one; NaN is missing, and so is the largest of none."""
        falling = self._falling
        if not math.isnan(value):
            while falling and falling[-1][0] <= value:
                falling.pop()
            falling.append((value, self._bars))
        self._bars += 1
        if falling and falling[0][1] < self._bars - self._window:
            falling.popleft()
        return falling[0][0] if falling else math.nan
