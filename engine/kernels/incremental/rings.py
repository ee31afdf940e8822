"""Means and extremes over the newest values, to the bits of :mod:`engine.kernels.windows`.

A window's sum is put together from blocks of 1, 2, 4, … bars in the order of the batch. Each new
value ends one block of each length, made of the block of half the length that ends with it and the
one before that; the newest blocks of each length stay in a ring.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Maxima", "Means", "lagged"]

_Rows = NDArray[np.intp]


def lagged(bars: int) -> deque[float]:
    """The newest values: after ``appendleft``, ``[h]`` is that of h bars ago, up to ``bars``."""
    return deque([np.nan] * (bars + 1), maxlen=bars + 1)


class Means:
    """Means of several series over the same windows.

    Args:
        series: how many.
        windows: in bars.
    """

    def __init__(self, series: int, windows: Sequence[int]) -> None:
        self._series = series
        self._plan = _Plan.of(tuple(windows))
        # The series, then how many of their values are known: ones and zeros are added up alike.
        width = 2 * series
        self._blocks = np.zeros((self._plan.rows, width))
        self._blocks[-1] = -0.0
        self._chain = np.zeros((self._plan.levels, width))
        self._new = np.zeros((self._plan.levels, width))
        self._parts = np.zeros((*self._plan.parts.shape[1:], width))
        self._at = 0

    def push(self, values: Sequence[float]) -> list[list[float]]:
        """The means after a bar's values, a list of the series for each window.

        Args:
            values: of each series; NaN is missing.

        Returns:
            The means; NaN unless half of the window is there.
        """
        plan, at, chain, new, series = self._plan, self._at, self._chain, self._new, self._series
        row = np.array(values)
        known = row == row  # noqa: PLR0124 -- NaN alone differs from itself
        chain[0, :series] = 0.0
        chain[0, series:] = known
        np.copyto(chain[0, :series], row, where=known)
        self._blocks.take(plan.halves[at], axis=0, out=chain[1:], mode="clip")
        np.add.accumulate(chain, axis=0, out=new)
        self._blocks[plan.places[at]] = new
        parts = self._blocks.take(plan.parts[at], axis=0, out=self._parts, mode="clip")
        total = parts[0]
        for part in parts[1:]:
            total += part
        self._at = (at + 1) % plan.size
        count = total[:, series:]
        means = total[:, :series] / np.maximum(count, 1.0)
        means[count < plan.least] = np.nan
        return means.tolist()


class _Plan:
    """Which rows of blocks are read and written at each place of the ring.

    Row ``level * size + place`` holds the block of ``2**level`` bars that ended there; the last row
    is what adding changes nothing, -0.0.

    Attributes:
        levels, size, rows: lengths of blocks, places in a ring, rows in all.
        halves: (size, levels - 1) the blocks that new ones are made of, each with the new one of
            the level below.
        places: (size, levels) of the new blocks.
        parts: (size, P, W) of each window, in the order of the sum.
        least: (W, 1) known values that a mean needs.
    """

    def __init__(self, windows: tuple[int, ...]) -> None:
        self.levels = max(windows).bit_length()
        self.size = 2 ** (self.levels - 1)
        self.rows = self.levels * self.size + 1
        levels, at = np.arange(self.levels), np.arange(self.size)[:, None]
        self.places: _Rows = levels * self.size + at
        self.halves: _Rows = levels[:-1] * self.size + (at - 2 ** levels[:-1]) % self.size
        columns = [self._window(window) for window in windows]
        longest = max(map(len, columns))
        nothing = np.full(self.size, self.rows - 1)
        padded = [column + [nothing] * (longest - len(column)) for column in columns]
        self.parts: _Rows = np.array(padded).transpose(2, 1, 0).copy()
        self.least = np.array(windows)[:, None] / 2.0

    def _window(self, window: int) -> list[_Rows]:
        parts, offset = [], 0
        for level in range(self.levels):
            if window & 2**level:
                place = (np.arange(self.size) - offset) % self.size
                parts.append(level * self.size + place)
                offset += 2**level
        return parts

    @staticmethod
    @lru_cache(maxsize=32)
    def of(windows: tuple[int, ...]) -> _Plan:
        """The same for all symbols."""
        return _Plan(windows)


class Maxima:
    """Largest values of several series over the same windows; NaN is skipped, -inf is none."""

    def __init__(self, series: int, windows: Sequence[int]) -> None:
        self._windows = tuple(windows)
        self._size = max(windows)
        # Twice, so that every window is one stretch.
        self._values = np.full((2 * self._size, series), -np.inf)
        self._at = 0

    def push(self, values: Sequence[float]) -> list[list[float]]:
        """The largest values after a bar's, a list of the series for each window."""
        at, end = self._at, self._at + self._size + 1
        row = [value if value == value else -np.inf for value in values]  # noqa: PLR0124
        self._values[at] = self._values[at + self._size] = row
        self._at = (at + 1) % self._size
        return [self._values[end - window : end].max(axis=0).tolist() for window in self._windows]
