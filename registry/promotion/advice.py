"""Which family to expect most of in a regime: the prior's, unless the champions say otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from brain.naming import PRIOR, Regime
from brain.records import CellRecord, FamilyAdvice

__all__ = ["advise_family"]

# By chance alone, some one cell in twenty has another family beyond two standard errors.
_LEAST_AGREEING = 2


def advise_family(regime: Regime, records: Sequence[CellRecord]) -> FamilyAdvice:
    """The family to expect most of in a regime, whatever the symbol.

    The prior's, unless more than half of the champions, and at least two, are of one other family
    *by evidence*: because it was measured to be better, not because the prior's was not trained.

    Args:
        regime: which.
        records: the champions of that regime, one a symbol.
    """
    prior = PRIOR[regime]
    of_cells = f"of {len(records)} champions of regime {regime}"
    proven = Counter(record.family for record in records if record.by_evidence)
    if not proven:
        return FamilyAdvice(prior, f"prior: {of_cells} none displaced it by evidence", len(records))
    family, count = proven.most_common(1)[0]
    shown = f"{of_cells} {count} displaced {prior} by evidence and are {family}"
    if count >= _LEAST_AGREEING and 2 * count > len(records):
        return FamilyAdvice(family, shown, len(records))
    return FamilyAdvice(prior, f"prior: {shown}, which is no clear majority", len(records))
