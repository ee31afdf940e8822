"""The folder of a fitted model, which MLflow loads without this project."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from brain.artifacts import EXECUTOR, POSITION, RECIPE, REGIMES
from brain.recipes import Recipe
from brain.series.bars import parse_timeframe
from engine.data.dataset import Dataset
from engine.families import FittedModel
from engine.families.model_files import flavour
from engine.kernels.columns import Floats
from engine.kernels.executor_data import ExecutorData
from engine.kernels.position import PositionRule

__all__ = ["regime_document", "write_model"]

# Rows for a test of a loaded model; a window is as large as many rows.
_GOLDEN_ROWS, _GOLDEN_WINDOWS = 32, 4
# Of every second one, each value of so many is taken away.
_MISSING = 5


def write_model(
    fitted: FittedModel, dataset: Dataset, recipe: Recipe, rule: PositionRule, folder: Path
) -> None:
    """Write the MLflow model, its recipe, rule, regimes and executor's data into a new folder.

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
    data = _executor_data(fitted, dataset, rule, folder)
    (folder / EXECUTOR).write_bytes(data.to_bytes())


def _executor_data(
    fitted: FittedModel, dataset: Dataset, rule: PositionRule, folder: Path
) -> ExecutorData:
    rows = _golden_rows(dataset.features, fitted.look_back)
    return ExecutorData(
        symbol=dataset.symbol,
        timeframe=dataset.timeframe,
        calendar=dataset.calendar,
        timeframe_ns=parse_timeframe(dataset.timeframe).value,
        horizon=dataset.horizon,
        family=str(fitted.family),
        names=dataset.names,
        feature_set=dataset.feature_set,
        look_back=fitted.look_back,
        rule=rule,
        memory=dataset.memory,
        recent=dataset.features[-fitted.look_back :],
        golden_rows=rows,
        golden_predictions=_predictions(rows, dataset, folder),
    )


def _golden_rows(features: Floats, look_back: int) -> Floats:
    """Rows (G, F), or windows (G, T, F), from one end of the history to the other."""
    count = _GOLDEN_ROWS if look_back == 1 else _GOLDEN_WINDOWS
    ends = np.linspace(look_back, len(features), count).astype(np.int64)
    # The row with the fewest values is a missing bar's, if there is one.
    fewest = int(np.isfinite(features[look_back:]).sum(axis=1).argmin()) + look_back + 1
    ends = np.union1d(ends, [fewest])
    windows = np.stack([features[end - look_back : end] for end in ends])
    windows[1::2, :, ::_MISSING] = np.nan
    return windows[:, 0] if look_back == 1 else windows


def _predictions(rows: Floats, dataset: Dataset, folder: Path) -> Floats:
    """What the folder's model predicts, as anybody loads it, (G,)."""
    model = flavour("pyfunc").load_model(str(folder))

    def predict(window: Floats) -> Floats:
        prediction = model.predict(pd.DataFrame(window, columns=list(dataset.names)))
        return np.asarray(prediction, dtype=np.float64).reshape(-1)

    return predict(rows) if rows.ndim == 2 else np.array([predict(w)[-1] for w in rows])


def regime_document(dataset: Dataset) -> dict[str, object]:
    """The regimes' definition, and their state at the dataset's last bar, for JSON."""
    return {
        "calendar": dataset.calendar,
        "definition": json.loads(dataset.definition.to_json()),
        "state": json.loads(dataset.state.to_json()),
    }
