"""The decisions of :func:`engine.kernels.position.positions`, a bar at a time."""

from __future__ import annotations

import math
from collections import deque
from typing import Self

import numpy as np
from numpy.typing import NDArray

from brain.errors import InputError
from engine.kernels.columns import Floats
from engine.kernels.incremental.recent_bars import Arrays, array_of

__all__ = ["IncrementalPositions"]


class IncrementalPositions:
    """The decisions of bars that come one at a time, each in the slot of ``horizon`` bars before.

    Args:
        horizon: bars that a position is held.

    Raises:
        InputError: the horizon is not at least 1.
    """

    def __init__(self, horizon: int) -> None:
        if horizon < 1:
            raise InputError(f"horizon {horizon} is not a number of bars; write 1 or more")
        self._slots: deque[float] = deque([0.0] * horizon, maxlen=horizon)

    def push(self, gain: float, threshold: float) -> float:
        """The next bar's decision: 1 long, -1 short, 0 nothing; NaN is no decision.

        Args:
            gain: that a long position is expected to make, basis points; NaN is unknown.
            threshold: that a gain must exceed, either way, to open a position.
        """
        known = math.isfinite(gain)
        direction = (gain > 0.0) - (gain < 0.0) if known else 0
        held = self._slots[0]
        same = direction == (held > 0.0) - (held < 0.0)
        decision = float(direction) if same or abs(gain) > threshold else 0.0
        self._slots.append(decision if known else math.nan)
        return self._slots[-1]

    @property
    def before(self) -> Floats:
        """(horizon,) the last decisions, oldest first."""
        return np.array(self._slots)

    @before.setter
    def before(self, decisions: Floats) -> None:
        """Raises InputError if there is not one decision for each slot."""
        if decisions.shape != (len(self._slots),):
            raise InputError(
                f"{decisions.shape} decisions before don't fit {len(self._slots)} slots; "
                "give one for each"
            )
        self._slots.extend(decisions.tolist())

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What :meth:`from_arrays` goes on from."""
        return {"before": self.before}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Go on after the decisions of :meth:`arrays`.

        Raises:
            InputError: the arrays are of something else.
        """
        before = array_of(arrays, "before", np.float64, 1)
        positions = cls(len(before))
        positions.before = before.astype(np.float64)
        return positions
