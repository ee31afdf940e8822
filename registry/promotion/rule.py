"""The rule by which a version becomes champion of a cell.

Until enough evidence has been gathered for a rule that controls its errors, a champion is
*provisional*: the prior's family, unless another family's paired net difference in that regime
exceeds two of its own standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from brain.errors import LibraryError
from brain.naming import PRIOR, Family, Regime
from brain.records import Estimate

__all__ = ["Choice", "provisional_choice"]

_STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class Choice:
    """The champion's and the challenger's family, why, and whether evidence overruled the prior."""

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
        regime: the cell's regime.
        available: families with a version to choose.
        differences: how much more the other families earned per position than the prior's, in this
            regime.

    Raises:
        LibraryError: no family is available.
    """
    if not available:
        raise LibraryError(f"no family was trained for regime {regime}; see the failures above")
    prior = PRIOR[regime]
    if prior not in available:
        champion = next(f for f in (Family.LIGHTGBM, Family.XGBOOST, Family.LSTM) if f in available)
        others = [f for f in available if f != champion]
        reason = f"the prior, {prior}, was not trained"
        return Choice(champion, others[0] if others else None, reason)
    others = sorted(
        (f for f in available if f != prior),
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
        f"earned {best.value:.2g} ± {best.error:.2g} more per position than {prior}",
        by_evidence=True,
    )


def _exceeds(difference: Estimate) -> bool:
    """Whether it is larger than two of its standard errors; an unknown one never is."""
    return difference.value > _STANDARD_ERRORS * difference.error


def _order(difference: Estimate | None) -> float:
    known = difference is not None and not math.isnan(difference.value)
    return difference.value if difference and known else -math.inf
