"""The folder of a fitted model, which MLflow loads without this project."""

from __future__ import annotations

import json
from pathlib import Path

from brain.artifacts import POSITION, RECIPE, REGIMES
from brain.recipes import Recipe
from engine.data.dataset import Dataset
from engine.families import FittedModel
from engine.kernels.position import PositionRule

__all__ = ["regime_document", "write_model"]


def write_model(
    fitted: FittedModel, dataset: Dataset, recipe: Recipe, rule: PositionRule, folder: Path
) -> None:
    """Write the MLflow model, its recipe, its position rule and its regimes into a new folder.

    Loading such a folder runs no pickle: boosters are in their native formats, the LSTM is ONNX.

    Args:
        fitted: the model.
        dataset: of its fit.
        recipe: of its fit.
        rule: from its predictions to positions.
        folder: it must not exist, or be empty.
    """
    from mlflow.models import Model

    fitted.save(folder, features=dataset.names, model=Model())
    (folder / RECIPE).write_text(recipe.to_json())
    (folder / POSITION).write_text(rule.to_json())
    (folder / REGIMES).write_text(json.dumps(regime_document(dataset)))


def regime_document(dataset: Dataset) -> dict[str, object]:
    """The regimes' definition, and their state at the dataset's last bar, for JSON."""
    return {
        "calendar": dataset.calendar,
        "definition": json.loads(dataset.definition.to_json()),
        "state": json.loads(dataset.state.to_json()),
    }
