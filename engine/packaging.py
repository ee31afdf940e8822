"""A fitted model as a folder that MLflow loads with nothing of ours installed."""

from __future__ import annotations

import json
from pathlib import Path

from engine.datasets import Dataset
from engine.families import Fitted
from engine.recipes import Recipe

__all__ = ["RECIPE_FILE", "REGIMES_FILE", "write_model"]

#: Beside the model: what it was made by, and what labels the present as its past was labelled.
RECIPE_FILE = "recipe.json"
REGIMES_FILE = "regimes.json"


def write_model(fitted: Fitted, dataset: Dataset, recipe: Recipe, folder: Path) -> None:
    """Write the MLflow model, its recipe and its regimes into a new folder.

    Loading such a folder runs no pickle: boosters are in their own formats, the LSTM is ONNX.
    """
    from mlflow.models import Model

    fitted.save(folder, features=dataset.names, model=Model())
    (folder / RECIPE_FILE).write_text(recipe.to_json())
    (folder / REGIMES_FILE).write_text(json.dumps(regime_document(dataset)))


def regime_document(dataset: Dataset) -> dict[str, object]:
    """The regimes' definition and state at the dataset's last bar, for JSON."""
    return {
        "definition": json.loads(dataset.definition.to_json()),
        "state": json.loads(dataset.state.to_json()),
    }
