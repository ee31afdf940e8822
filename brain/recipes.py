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

from brain.errors import InputError
from brain.naming import Family, parse_family

__all__ = ["REFIT_RULE", "Recipe"]

#: How a recipe becomes a version: the same hyperparameters on every row whose target is known.
REFIT_RULE = "all rows with a known label"

# Where and how a recipe came about is not what it is.
_ORIGIN = ("tuned_until", "tuned_in", "trials")
# Recipes from before these were noted have their ids without them.
_LATER = ("timeframe", "label")
# What the field ``target`` is called in JSON, and so in every id: ids must outlive names.
_TARGET = "label"


@dataclass(frozen=True)
class Recipe:
    """Family, features, target, hyperparameters and refit rule.

    Attributes:
        family: the model family.
        feature_set: name of the feature set, see :attr:`engine.data.dataset.Dataset.feature_set`.
        horizon: bars that the target looks forward.
        hyperparameters: as the family's search suggests them.
        seed: of every fit.
        timeframe: of the bars; a horizon of 6 is another question on another timeframe.
        target: what is foretold, see :func:`engine.kernels.targets.target_name`.
        tuned_until: close time (ISO 8601, UTC) of the last bar that the search has seen. What comes
            later is out of sample for the recipe; not part of its identity.
        tuned_in: run that holds the trials, empty if there was no search; not part of its identity.
        trials: how many there were, 0 if that is unknown; not part of its identity.

    A recipe from before timeframe and target were noted lacks them; it keeps its id and fits none.
    """

    family: Family
    feature_set: str
    horizon: int
    hyperparameters: Mapping[str, Any]
    seed: int
    refit: str = REFIT_RULE
    timeframe: str = ""
    target: str = ""
    tuned_until: str = ""
    tuned_in: str = ""
    trials: int = 0

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits, the same for the same recipe everywhere."""
        fields = self._fields()
        absent = {name for name in _LATER if not fields[name]}
        identity = {k: v for k, v in fields.items() if k not in {*_ORIGIN, *absent}}
        return hashlib.sha256(_canonical(identity).encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """The recipe as canonical JSON."""
        return _canonical(self._fields())

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read what :meth:`to_json` wrote.

        Raises:
            InputError: the text is not a recipe.
        """
        try:
            fields = json.loads(text)
            fields["family"] = parse_family(fields["family"])
            if _TARGET in fields:
                fields["target"] = fields.pop(_TARGET)
            return cls(**fields)
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"not a recipe ({error}): {text[:80]!r}; run the search again"
            ) from error

    def _fields(self) -> dict[str, Any]:
        fields = asdict(self)
        fields[_TARGET] = fields.pop("target")
        return fields


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
