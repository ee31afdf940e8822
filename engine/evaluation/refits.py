"""Whether a refit is one: its predictions against those of the version before it.

A line's record belongs to its versions as long as these are refits of one recipe, on a night's more
bars. Both predict bars that neither was fitted on; what they agree in is Lin's concordance, which
tells another scale or level too: L. Lin, "A Concordance Correlation Coefficient to Evaluate
Reproducibility", Biometrics 45 (1989).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.kernels.columns import Floats

__all__ = ["BOUNDS", "MIN_BARS", "RefitCheck", "concordance", "refit_check"]

#: The least concordance of a refit, by the bars from which on it holds: on few bars refits agree
#: less by chance. As measured in ``docs/decisions/0020-evidence.md``.
BOUNDS = {12: 0.25, 36: 0.5}
#: Bars below which nothing can be told.
MIN_BARS = min(BOUNDS)


@dataclass(frozen=True)
class RefitCheck:
    """The outcome of a check.

    Attributes:
        passes: whether the refit inherits its line's record.
        value: the concordance.
        bound: that it has to reach.
        bars: on which both predicted.
    """

    passes: bool
    value: float
    bound: float
    bars: int

    def __str__(self) -> str:
        verb = "passes" if self.passes else "fails"
        return f"{verb}: concordance {self.value:.2f} of at least {self.bound:g}, {self.bars} bars"


def refit_check(new: Floats, before: Floats) -> RefitCheck | None:
    """Check a version against the one of its line before it.

    Args:
        new, before: (N,) predictions of the same bars, which come after both fits; NaN is none.

    Returns:
        The outcome; None if there are fewer than :data:`MIN_BARS` that both predicted.
    """
    both = np.isfinite(new) & np.isfinite(before)
    bars = int(both.sum())
    if bars < MIN_BARS:
        return None
    value = concordance(new[both], before[both])
    bound = BOUNDS[max(least for least in BOUNDS if least <= bars)]
    return RefitCheck(value >= bound, value, bound, bars)


def concordance(one: Floats, other: Floats) -> float:
    """Lin's concordance of two series, (N,) each, without NaN: 1 where they are equal.

    ``2·cov / (var + var' + (mean − mean')²)``; 1 too where both are the same constant.
    """
    apart = float(np.mean((one - other) ** 2))
    covariance = float(np.mean((one - one.mean()) * (other - other.mean())))
    return 1.0 if apart == 0.0 else 2.0 * covariance / (apart + 2.0 * covariance)
