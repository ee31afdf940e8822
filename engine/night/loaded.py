"""A version that is loaded: its model, and its own rule from predictions to positions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from brain.artifacts import POSITION, RECIPE
from brain.brief import Brief
from brain.errors import InputError, ModelIntegrityError
from brain.lines import Line, line_of
from brain.recipes import Recipe
from engine.families import FittedModel, family
from engine.kernels.columns import Floats
from engine.kernels.position import PositionRule

if TYPE_CHECKING:
    from brain.records import Version
    from engine.data.dataset import Dataset

__all__ = ["LoadedVersion", "load_version"]


@dataclass(frozen=True, repr=False)
class LoadedVersion(Brief):
    """A version's model and rule."""

    fitted: FittedModel
    rule: PositionRule

    def predict(self, dataset: Dataset, rows: slice) -> Floats:
        """Predictions on consecutive rows of a dataset, which are seen with those before them."""
        start = max(0, rows.start - self.fitted.look_back + 1)
        values = self.fitted.predict(dataset.features[start : rows.stop])
        return values[rows.start - start :]


def load_version(version: Version, folder: Path, line: Line, dataset: Dataset) -> LoadedVersion:
    """Load a version from its files.

    Args:
        version: to load.
        folder: of its files, checked.
        line: that it has to be of.
        dataset: that it is to predict on.

    Raises:
        ModelIntegrityError: a file is missing.
        InputError: it is of another line, or was trained on another calendar.
    """
    for name in (RECIPE, POSITION):
        if not (folder / name).is_file():
            raise ModelIntegrityError(f"{version.id} has no {name}; register it anew")
    recipe = Recipe.from_json((folder / RECIPE).read_text())
    if line_of(recipe) != line or recipe.calendar != dataset.calendar:
        raise InputError(
            f"{version.id} is of line {line_of(recipe).id} on calendar "
            f"{recipe.calendar}, and not of {line.id} on {dataset.calendar}; "
            "its nights count for neither"
        )
    rule = PositionRule.from_json((folder / POSITION).read_text())
    return LoadedVersion(family(line.family).load(folder), rule)
