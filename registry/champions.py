"""Who is champion of a cell, and what is written down about it.

Until enough evidence has been gathered for a rule that controls its errors, a champion is
*provisional*: the prior's family, unless another family's paired net difference in that regime
exceeds two of its own standard errors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from registry.errors import LibraryError
from registry.naming import PRIOR, Family, Regime, parse_family

__all__ = ["CellRecord", "Choice", "Difference", "provisional_choice"]

_STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class Difference:
    """How much more a family earned per position than the prior's; NaN is unknown."""

    value: float
    error: float

    @property
    def exceeds(self) -> bool:
        """Whether it is larger than two of its standard errors; an unknown one never is."""
        return self.value > _STANDARD_ERRORS * self.error


@dataclass(frozen=True)
class Choice:
    """The champion's and the challenger's family, why, and whether evidence overruled the prior."""

    champion: Family
    challenger: Family | None
    reason: str
    by_evidence: bool = False


@dataclass(frozen=True)
class CellRecord:
    """What the registered model's tag says of a cell's champion.

    Attributes:
        version: of the registered model.
        digest: of the version's files, see :mod:`registry.manifest`.
        family, recipe, trained_until: as in the version's tags.
        provisional: whether the champion stands by the prior rule above.
        reason: why this one, in a sentence.
        by_evidence: whether it beat the prior's family, rather than standing in its place.
        net_sharpe, net_sharpe_error: annualised, out of sample; None is unknown.
        bars, episodes: what they were measured on; None is unknown.
        decided: when, ISO 8601 in UTC; empty if that is unknown.
        confidence: probability that the position pays, None while there is no evidence for one.
        ledger: entry of the promotion ledger, None while there is none.
        regimes: the regimes' definition and state, so that the present is labelled the same way;
            empty if they are unknown (each version's files hold its own).
    """

    version: int
    digest: str
    family: Family
    recipe: str
    trained_until: str
    provisional: bool
    reason: str
    bars: int | None
    episodes: int | None
    decided: str
    net_sharpe: float | None = None
    net_sharpe_error: float | None = None
    confidence: float | None = None
    ledger: str | None = None
    by_evidence: bool = False
    regimes: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Compact JSON; what is not finite is null."""
        fields = {k: _finite(v) for k, v in asdict(self).items()}
        return json.dumps(fields, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> CellRecord:
        """Read what :meth:`to_json` wrote.

        Raises:
            LibraryError: the text is not a cell's record.
        """
        try:
            fields = json.loads(text)
            return cls(**(fields | {"family": parse_family(fields["family"])}))
        except (ValueError, TypeError, KeyError) as error:
            raise LibraryError(
                f"a cell's tag can't be read ({error}): {text[:80]!r}; run the night again"
            ) from error


def provisional_choice(
    regime: Regime,
    available: Collection[Family],
    differences: Mapping[Family, Difference],
) -> Choice:
    """Choose among the families that were trained.

    Args:
        regime: the cell's regime.
        available: families with a version to choose.
        differences: of the other families against the prior's, in this regime.

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
    better = [f for f in others if f in differences and differences[f].exceeds]
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


def _order(difference: Difference | None) -> float:
    known = difference is not None and not math.isnan(difference.value)
    return difference.value if difference and known else -math.inf


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
