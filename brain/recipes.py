"""Recipes: how a model is made, without the bars that it is made from.

Every night refits the same recipe on more bars. Evidence belongs to the recipe: no version lasts
long enough to gather evidence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from brain.calendars import CONTINUOUS
from brain.errors import InputError
from brain.naming import Family, parse_family

__all__ = ["REFIT_RULE", "Recipe", "feature_kernels", "feature_set_name", "own_columns"]

#: How a recipe becomes a version: the same hyperparameters on every row whose target is known. It
#: is part of every id, so it keeps the word that targets had when the first recipes were stored.
REFIT_RULE = "all rows with a known label"

# Not part of the identity: the search that the recipe is from.
_ORIGIN = ("tuned_until", "tuned_in", "trials")
# Recipes from before these fields existed have ids without them, as if they had these values.
_LATER = {"timeframe": "", "label": "", "seeds": 1, "calendar": CONTINUOUS}
# The key of the field ``target`` in JSON, and so in every id: ids must outlive names.
_TARGET = "label"


# A feature set with own columns ends with these.
_OWN, _END = "own(", ")"


def feature_set_name(kernels: Iterable[str], own: Iterable[str] = ()) -> str:
    """The name of a feature set, ``bars-1+own(mood,vix)``.

    Args:
        kernels: names of the kernels' lists of features.
        own: names of own columns, see :mod:`brain.columns`.
    """
    names = ",".join(own)
    return "+".join([*kernels, *([f"{_OWN}{names}{_END}"] if names else [])])


def feature_kernels(feature_set: str) -> tuple[str, ...]:
    """The names of the kernels' lists of features in a feature set of that name."""
    return tuple(feature_set.partition(f"+{_OWN}")[0].split("+"))


def own_columns(feature_set: str) -> tuple[str, ...]:
    """The names of the own columns in a feature set of that name."""
    names = feature_set.partition(f"+{_OWN}")[2].removesuffix(_END)
    return tuple(names.split(",")) if names else ()


@dataclass(frozen=True)
class Recipe:
    """Family, features, target, hyperparameters and refit rule.

    Attributes:
        family: the model family.
        feature_set: name of the feature set, see :attr:`engine.data.dataset.Dataset.feature_set`.
        horizon: bars that the target looks forward.
        hyperparameters: of the family.
        seed: of every fit; of its first member if a model has several.
        refit: rule by which a recipe becomes a version.
        timeframe: of the bars; a horizon of 6 is another question on another timeframe.
        target: name of the target, see :func:`engine.kernels.targets.target_name`.
        calendar: of the market: on another one a bar comes after other bars.
        seeds: number of fits whose mean a version predicts, see
            :meth:`engine.families.base.ModelFamily.fit`.
        tuned_until: close time (ISO 8601, UTC) of the last bar of the search. Later bars are out of
            sample for the recipe; not part of its identity.
        tuned_in: run of the search, empty if there was none; not part of its identity.
        trials: of the search, 0 if unknown; not part of its identity.

    A recipe from before there were timeframe and target lacks both; it keeps its id and is never
    refitted. One from before there were seeds is of one fit, as is one that says so: they are the
    same recipe.
    """

    family: Family
    feature_set: str
    horizon: int
    hyperparameters: Mapping[str, Any]
    seed: int
    refit: str = REFIT_RULE
    timeframe: str = ""
    target: str = ""
    seeds: int = 1
    calendar: str = CONTINUOUS
    tuned_until: str = ""
    tuned_in: str = ""
    trials: int = 0

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits, the same for the same recipe everywhere."""
        fields = self._fields()
        absent = {name for name, value in _LATER.items() if fields[name] == value}
        identity = {k: v for k, v in fields.items() if k not in {*_ORIGIN, *absent}}
        return hashlib.sha256(_canonical(identity).encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """The recipe as canonical JSON."""
        return _canonical(self._fields())

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The inverse of :meth:`brain.recipes.Recipe.to_json`.

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
