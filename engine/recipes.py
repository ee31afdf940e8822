"""Recipes: what a model is made by, as opposed to what it was made from.

Every night refits the same recipe on more bars. Evidence belongs to the recipe, because a refit
would otherwise replace every model before it has shown anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from registry.errors import InputError
from registry.naming import Family, parse_family

__all__ = ["REFIT_RULE", "Recipe"]

#: How a recipe becomes a version: the same hyperparameters on every row whose label is known.
REFIT_RULE = "all rows with a known label"


@dataclass(frozen=True)
class Recipe:
    """Family, features, label, hyperparameters and refit rule.

    Attributes:
        family: the model family.
        feature_set: name of the feature set, see :data:`engine.features.FEATURE_SET`.
        horizon: bars that the label looks forward.
        hyperparameters: as the family's search suggests them.
        seed: of every fit.
        tuned_until: close time (ISO 8601, UTC) of the last bar that the search has seen. What comes
            later is out of sample for the recipe; not part of its identity.
        tuned_in: run that holds the trials, empty if there was no search; not part of its identity.
    """

    family: Family
    feature_set: str
    horizon: int
    hyperparameters: Mapping[str, Any]
    seed: int
    refit: str = REFIT_RULE
    tuned_until: str = ""
    tuned_in: str = ""

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits, the same for the same recipe everywhere."""
        identity = {k: v for k, v in asdict(self).items() if k not in ("tuned_until", "tuned_in")}
        return hashlib.sha256(_canonical(identity).encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """The recipe as canonical JSON."""
        return _canonical(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read what :meth:`to_json` wrote.

        Raises:
            InputError: the text is not a recipe.
        """
        try:
            fields = json.loads(text)
            return cls(**(fields | {"family": parse_family(fields["family"])}))
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"not a recipe ({error}): {text[:80]!r}; run the search again"
            ) from error


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
