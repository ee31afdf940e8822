"""What the selector answers: which version, which family, switch or stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from registry.champions import CellRecord
from registry.confidence import Confidence
from registry.naming import PRIOR, Family, Regime

__all__ = ["FamilyAdvice", "Selection", "SwitchAdvice", "advise_family"]

# By chance alone, some one cell in twenty has another family beyond two standard errors.
_LEAST_AGREEING = 2


@dataclass(frozen=True)
class Selection:
    """A version to use for a symbol in a regime.

    Attributes:
        symbol, regime: as asked for.
        model_id: ``BTC-USDT/7``.
        uri: what ``mlflow.pyfunc.load_model`` takes; by alias where the version has one in the
            cell, which follows the alias, else by number.
        version: of the registered model.
        family, recipe, trained_until: as in the version's tags.
        digest: of the version's files; check it before anything reads them.
        confidence: that its net Sharpe in the regime is above 0.
        is_champion: whether the cell trusts it.
        reason: why this one, in a sentence.
    """

    symbol: str
    regime: Regime
    model_id: str
    uri: str
    version: int
    family: Family
    recipe: str
    trained_until: str
    digest: str
    confidence: Confidence
    is_champion: bool
    reason: str


@dataclass(frozen=True)
class FamilyAdvice:
    """A family for a regime, whatever the symbol.

    Attributes:
        family: the advice.
        reason: what it rests on.
        cells: champions of the regime that were looked at, one a symbol.
    """

    family: Family
    reason: str
    cells: int


@dataclass(frozen=True)
class SwitchAdvice:
    """Whether to use another version.

    Attributes:
        switch: whether ``to`` is another version than the current one.
        to: model id of the regime's champion.
        reason: why, in a sentence.
    """

    switch: bool
    to: str
    reason: str


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
