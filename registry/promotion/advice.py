"""The family to expect most of in a regime: the prior, unless the champions differ by evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from brain.naming import PRIOR, Regime
from brain.records import CellRecord, FamilyAdvice

__all__ = ["advise_family"]

# By chance alone, about one cell in twenty has another family beyond two standard errors.
_MIN_AGREEING = 2


def advise_family(regime: Regime, records: Sequence[CellRecord]) -> FamilyAdvice:
    """The family to expect most of in a regime, for all symbols.

    The prior, unless more than half of the champions, and at least two, are of one other family *by
    evidence*: because that family was measured to be better, not because the prior was not trained.

    Args:
        regime: of the champions.
        records: of the champions of the regime, one a symbol.
    """
    prior = PRIOR[regime]
    of_cells = f"of {len(records)} champions of regime {regime}"
    proven = Counter(record.family for record in records if record.by_evidence)
    if not proven:
        return FamilyAdvice(prior, f"prior: {of_cells} none displaced it by evidence", len(records))
    family, count = proven.most_common(1)[0]
    displaced = f"{of_cells} {count} displaced {prior} by evidence and are {family}"
    if count >= _MIN_AGREEING and 2 * count > len(records):
        return FamilyAdvice(family, displaced, len(records))
    return FamilyAdvice(prior, f"prior: {displaced}, which is no clear majority", len(records))
