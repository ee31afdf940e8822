"""Rate limits: how much may be asked within how long, and what happens to who asks more."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field

__all__ = ["Fixed", "Sliding"]


@dataclass
class Fixed:
    """At most ``budget`` in every ``seconds``, counted anew at each window's start.

    ``scale`` shortens the window: with 60 an exchange's minute takes a second, so that who has to wait
    for it need not wait long. ``budget`` stays what it is.
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
        left = (math.floor(self.now() / self.seconds) + 1) * self.seconds - self.now()
        return max(1, math.ceil(left / self.scale))

    def now(self) -> float:
        return time.time() * self.scale


@dataclass
class Sliding:
    """At most ``budget`` requests in any ``seconds``; refused ones don't count."""

    budget: float
    seconds: float
    scale: float = 1.0
    _taken: deque[float] = field(default_factory=deque)

    def take(self) -> bool:
        now = self.now()
        while self._taken and self._taken[0] <= now - self.seconds:
            self._taken.popleft()
        if len(self._taken) >= self.budget:
            return False
        self._taken.append(now)
        return True

    def now(self) -> float:
        return time.time() * self.scale
