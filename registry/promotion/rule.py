"""The rule by which a version becomes champion of a cell.

Champions are *provisional* until there is enough evidence for a rule with controlled error rates.
The provisional champion is of the prior family, unless another family earned more in the regime by
more than two standard errors of the paired difference.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from brain.errors import LibraryError
from brain.naming import PRIOR, STAND_INS, Family, Regime
from brain.records import Estimate

__all__ = ["Choice", "provisional_choice"]

_STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class Choice:
    """The families of a cell's champion and challenger.

    Attributes:
        champion: family of the champion.
        challenger: family of the challenger; None if only one family was trained.
        reason: of the choice, in a few words.
        by_evidence: whether the champion's family was measured to be better than the prior.
    """

    champion: Family
    challenger: Family | None
    reason: str
    by_evidence: bool = False


def provisional_choice(
    regime: Regime,
    available: Collection[Family],
    differences: Mapping[Family, Estimate],
) -> Choice:
    """Choose among the families that were trained.

    Args:
        regime: of the cell.
        available: families with a version, in any order.
        differences: net return per bar minus that of the prior family, in the regime, by
            family.

    Raises:
        LibraryError: no family is available.
    """
    if not available:
        raise LibraryError(f"no family was trained for regime {regime}; see the failures above")
    # Families of which nothing is known stay in this order; which was trained first is chance.
    prior, families = PRIOR[regime], [f for f in STAND_INS if f in available]
    if prior not in available:
        champion, *rest = families
        reason = f"the prior, {prior}, was not trained"
        return Choice(champion, rest[0] if rest else None, reason)
    others = sorted(
        (f for f in families if f != prior),
        key=lambda f: _order(differences.get(f)),
        reverse=True,
    )
    better = [f for f in others if f in differences and _exceeds(differences[f])]
    if not better:
        measured = any(math.isfinite(d.error) for d in differences.values())
        reason = "no family is clearly better" if measured else "there is no evidence to compare by"
        return Choice(prior, others[0] if others else None, f"prior: {reason}")
    best = differences[better[0]]
    return Choice(
        better[0],
        prior,
        f"earned {best.value:.2g} ± {best.error:.2g} more per bar than {prior}",
        by_evidence=True,
    )


def _exceeds(difference: Estimate) -> bool:
    """Whether a difference is larger than two of its standard errors; an unknown one never is."""
    return difference.value > _STANDARD_ERRORS * difference.error


def _order(difference: Estimate | None) -> float:
    """The value to sort by; an unknown one comes last."""
    if difference is None or math.isnan(difference.value):
        return -math.inf
    return difference.value
