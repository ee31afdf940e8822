"""Lines: how models of all symbols are made, without what is each symbol's own.

Champions and challengers are lines, so that evidence pools over symbols and outlives refits. Seeds,
seed and hyperparameters belong to the recipe of a symbol in the line, the calendar to the symbol.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from brain.errors import InputError
from brain.naming import Family, parse_family
from brain.recipes import Recipe

__all__ = ["Line", "line_of"]

_ID = "id"


@dataclass(frozen=True, order=True)
class Line:
    """A family with its features, target and refit rule.

    Attributes:
        family: the model family.
        feature_set: name of the feature set.
        timeframe: of the bars.
        horizon: bars that the target looks forward.
        target: name of the target.
        refit: rule by which a recipe becomes a version.
    """

    family: Family
    feature_set: str
    timeframe: str
    horizon: int
    target: str
    refit: str

    @property
    def id(self) -> str:
        """``lightgbm-1a2b3c4d5e6f``: the family and 12 hexadecimal digits of the definition."""
        digest = hashlib.sha256(_canonical(asdict(self)).encode()).hexdigest()
        return f"{self.family}-{digest[:12]}"

    def to_json(self) -> str:
        """Definition and id as canonical JSON."""
        return _canonical(asdict(self) | {_ID: self.id})

    @classmethod
    def from_json(cls, text: str) -> Line:
        """The inverse of :meth:`brain.lines.Line.to_json`.

        Raises:
            InputError: the text is no line, or its definition has another id than it says.
        """
        try:
            fields = json.loads(text)
            name = fields.pop(_ID)
            line = cls(**fields | {"family": parse_family(fields["family"])})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"not a line ({error}): {text[:80]!r}; give what Line.to_json wrote"
            ) from error
        if name != line.id:
            raise InputError(
                f"line {name} changed under the same id: its definition is that of {line.id}; "
                "a changed line is another line, give it its own id"
            )
        return line


def line_of(recipe: Recipe) -> Line:
    """The line that a recipe is of."""
    return Line(
        recipe.family,
        recipe.feature_set,
        recipe.timeframe,
        recipe.horizon,
        recipe.target,
        recipe.refit,
    )


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
