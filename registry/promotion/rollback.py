"""Rollback on evidence: cumulative sums of a champion against another line and its own promise.

``C = max(0, C − X)`` (Page 1954) is the fall of ΣX from its highest point, which has the law of a
reflected Brownian motion (Lévy 1948). That one exceeds b within variance V with a probability of at
most ``4·(1 − Φ(b / √V))``. Two such sums watch a champion, and share the level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from brain.brief import Brief
from registry.promotion.groups import Booleans, Floats
from registry.promotion.sums import Sums

__all__ = ["LEVEL", "PROMISE_NIGHTS", "RIVAL_NIGHTS", "Watch"]

#: Of both sums together.
LEVEL = 0.05
#: Nights within which a false alarm against the previous champion has half of the level.
RIVAL_NIGHTS = 180
#: The same against the champion's own promise.
PROMISE_NIGHTS = 365


@dataclass(frozen=True, repr=False)
class Watch(Brief):
    """A champion under watch in its groups, each (…, groups).

    Attributes:
        sums: of the champion less the previous one.
        fall: C against the previous champion.
        shortfall: C of half the promise less X.
        promise: mean X that the champion was promoted for.
    """

    sums: Sums
    fall: Floats
    shortfall: Floats
    promise: Floats

    @classmethod
    def begin(cls, sums: Sums, promise: Floats) -> Watch:
        """From a promotion on.

        Args:
            sums: of the trial, whose scale goes on.
            promise: (…, groups) mean X so far.
        """
        zeros = np.zeros_like(sums.total)
        return cls(sums.successor(), zeros, zeros, promise)

    def add(self, means: Floats, limit: float) -> Watch:
        """With one more night; see :meth:`registry.promotion.sums.Sums.add`."""
        x = self.sums.value(means, limit)
        valid = np.isfinite(x)
        x = np.where(valid, x, 0.0)
        less = np.where(valid, self.promise / 2.0 - x, 0.0)
        return replace(
            self,
            sums=self.sums.add(means, limit),
            fall=np.maximum(0.0, self.fall - x),
            shortfall=np.maximum(0.0, self.shortfall + less),
        )

    def boundary(self, nights: int, level: float = LEVEL) -> Floats:
        """What C has to reach: ``Φ⁻¹(1 − level/8)·√(nights·V̄)``, V̄ the mean X², at least 1."""
        count = np.maximum(self.sums.active, 1.0)
        mean = np.maximum(1.0, self.sums.variance / count)
        z = NormalDist().inv_cdf(1.0 - level / 8.0)
        return z * math.sqrt(nights) * np.sqrt(mean)

    def worse(self, level: float = LEVEL) -> Booleans:
        """Where the previous champion has to come back."""
        return self.fall >= self.boundary(RIVAL_NIGHTS, level)

    def disappointing(self, level: float = LEVEL) -> Booleans:
        """Where the champion credibly earns less than half of its promise."""
        return (self.promise > 0.0) & (self.shortfall >= self.boundary(PROMISE_NIGHTS, level))
