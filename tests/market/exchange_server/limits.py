"""Rate limits: how many requests are served within how long."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field

__all__ = ["FixedWindow", "SlidingWindow"]


@dataclass
class FixedWindow:
    """At most ``budget`` in every ``seconds``, counted anew at each window's start.

    ``scale`` shortens the window: with 60 an exchange's minute takes a second, so that waits are
    short. ``budget`` stays as it is.
    """

    budget: float
    seconds: float
    scale: float = 1.0
    used: float = 0.0
    refused: int = 0
    _window: int = -1

    def take(self, weight: float) -> bool:
        """Count a request; false where it is beyond the budget."""
        window = math.floor(self.now() / self.seconds)
        if window != self._window:
            self._window, self.used, self.refused = window, 0.0, 0
        self.used += weight
        if self.used <= self.budget:
            return True
        self.refused += 1
        return False

    def wait(self) -> int:
        """Whole seconds of the caller's time until the next window, at least 1."""
        remaining = (math.floor(self.now() / self.seconds) + 1) * self.seconds - self.now()
        return max(1, math.ceil(remaining / self.scale))

    def now(self) -> float:
        return time.time() * self.scale


@dataclass
class SlidingWindow:
    """At most ``budget`` requests in any ``seconds``; refused ones don't count."""

    budget: float
    seconds: float
    scale: float = 1.0
    _times: deque[float] = field(default_factory=deque)

    def take(self) -> bool:
        now = self.now()
        while self._times and self._times[0] <= now - self.seconds:
            self._times.popleft()
        if len(self._times) >= self.budget:
            return False
        self._times.append(now)
        return True

    def now(self) -> float:
        return time.time() * self.scale
