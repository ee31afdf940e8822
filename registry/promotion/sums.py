"""The running sums of a group's nights: what the rule keeps of evidence that it has looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from brain.brief import Brief
from registry.promotion.groups import Booleans, Floats, Indices

__all__ = ["SCALE_NIGHTS", "Sums"]

#: Nights that a scale needs before it counts.
SCALE_NIGHTS = 5


@dataclass(frozen=True, repr=False)
class Sums(Brief):
    """Sums over nights, each (…, groups): leading axes are of independent histories.

    A night's value is ``X = clip(Ȳ / s, ± limit)``: the group's mean ``Ȳ`` over the root mean
    square ``s`` of its earlier nights, so that nothing of the night itself is in its scale, and one
    night of a heavy tail can't decide. It is unknown until :data:`SCALE_NIGHTS` are known.

    Attributes:
        squares, count: of the scale: ΣȲ² and the nights in it.
        total, variance: ΣX and ΣX²: score and clock.
        active: nights on which the group was known.
        before: nights before there was such a group.
        nights: all nights, unknown ones too.
    """

    squares: Floats
    count: Floats
    total: Floats
    variance: Floats
    active: Floats
    before: Floats
    nights: int = 0

    @classmethod
    def empty(cls, *shape: int) -> Sums:
        """Of no night."""
        zeros = np.zeros(shape)
        return cls(*(zeros,) * 6)

    def successor(self) -> Sums:
        """New sums that go on with the scale of these."""
        return replace(Sums.empty(*self.total.shape), squares=self.squares, count=self.count)

    def only(self, group: int) -> Sums:
        """Of one group, (…, 1)."""
        return self._each(lambda array: array[..., group : group + 1])

    def extended(self, former: Indices) -> Sums:
        """Of other groups: sums of former ones go on, those of new ones begin empty.

        Args:
            former: (groups,) index of each group among the present ones; -1 is a new one.
        """
        new = former < 0
        sums = self._each(lambda array: np.where(new, 0.0, array[..., former]))
        return replace(sums, before=np.where(new, float(self.nights), sums.before))

    def restarted(self, groups: Booleans) -> Sums:
        """With score and clock of some groups, (…, groups), begun anew; scale and presence stay."""
        total, variance = (np.where(groups, 0.0, a) for a in (self.total, self.variance))
        return replace(self, total=total, variance=variance)

    def value(self, means: Floats, limit: float) -> Floats:
        """X of a night's means, (…, groups); NaN is unknown."""
        ready = (self.count >= SCALE_NIGHTS) & (self.squares > 0.0)
        scale = np.sqrt(np.divide(self.squares, self.count, out=np.ones_like(means), where=ready))
        return np.where(ready, np.clip(means / scale, -limit, limit), np.nan)

    def add(self, means: Floats, limit: float) -> Sums:
        """With one more night.

        Args:
            means: of the groups in the night, (…, groups); NaN is unknown and adds nothing.
            limit: of X, in root mean squares.
        """
        x = np.nan_to_num(self.value(means, limit))
        valid = np.isfinite(means)
        filled = np.where(valid, means, 0.0)
        return Sums(
            self.squares + filled * filled,
            self.count + valid,
            self.total + x,
            self.variance + x * x,
            self.active + valid,
            self.before,
            self.nights + 1,
        )

    def add_all(self, means: Floats, limit: float) -> Sums:
        """With several nights, (nights, …, groups), in their order."""
        sums = self
        for night in means:
            sums = sums.add(night, limit)
        return sums

    def _each(self, change: Callable[[Floats], Floats]) -> Sums:
        return Sums(
            change(self.squares),
            change(self.count),
            change(self.total),
            change(self.variance),
            change(self.active),
            change(self.before),
            self.nights,
        )
