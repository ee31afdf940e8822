"""Small champions of every family, as a night writes them, and what pyfunc predicts with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd

from brain.artifacts import EXECUTOR, LIGHTGBM, LSTM_WINDOW, XGBOOST
from brain.naming import Family, Fill
from brain.recipes import Recipe
from engine.data.dataset import Dataset, make_dataset
from engine.families import family
from engine.kernels.columns import Floats
from engine.kernels.executor_data import ExecutorData
from engine.kernels.position import PositionRule
from engine.night.model_folder import write_model
from tests.engine.simulate import simulate

MODEL_FILES = {
    Family.LIGHTGBM: LIGHTGBM,
    Family.XGBOOST: XGBOOST,
    Family.LSTM: LSTM_WINDOW,
}
_HYPERPARAMETERS: dict[Family, dict[str, float]] = {
    Family.LIGHTGBM: {"rounds": 40, "min_rows": 20},
    Family.XGBOOST: {"rounds": 40, "min_rows": 20},
    Family.LSTM: {"window": 5, "hidden": 8, "epochs": 1},
}


@dataclass(frozen=True)
class Champion:
    """A model's folder, and every window of its history with its prediction."""

    family: Family
    folder: Path
    names: tuple[str, ...]
    look_back: int
    rows: Floats

    @property
    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    @property
    def data(self) -> ExecutorData:
        return ExecutorData.from_bytes((self.folder / EXECUTOR).read_bytes())

    @cached_property
    def predictions(self) -> Floats:
        """Of pyfunc, at every window's last row."""
        model = mlflow.pyfunc.load_model(str(self.folder))
        answer = model.predict(pd.DataFrame(self.rows, columns=self.names))
        return np.asarray(answer, dtype=np.float64).reshape(-1)[self.look_back - 1 :]

    @cached_property
    def windows(self) -> Floats:
        """(N, F), or (N, T, F) of a model that looks back."""
        if self.look_back == 1:
            return self.rows
        windows = np.lib.stride_tricks.sliding_window_view(self.rows, self.look_back, axis=0)
        return windows.transpose(0, 2, 1)


def make_champion(name: Family, folder: Path) -> Champion:
    """A model of two fits on simulated bars, of which some inputs are missing."""
    dataset = _dataset()
    hyperparameters = _HYPERPARAMETERS[name]
    fitted = family(name).fit(
        dataset.features, dataset.target, hyperparameters=hyperparameters, seed=1, seeds=2
    )
    recipe = Recipe(name, dataset.feature_set, 1, hyperparameters, 1, seeds=2)
    write_model(fitted, dataset, recipe, PositionRule(1, 1.0, {}, 0.0, 0.0, Fill.OPEN), folder)
    rows = np.concatenate([_holed(dataset.features), np.full((fitted.look_back, 48), np.nan)])
    return Champion(name, folder, dataset.names, fitted.look_back, rows)


def _dataset() -> Dataset:
    return make_dataset(simulate(900, strength=0.3, seed=1).bars, horizon=1)


def _holed(rows: Floats) -> Floats:
    rows = rows.copy()
    rows[np.random.default_rng(3).random(rows.shape) < 0.05] = np.nan
    rows[300:500] = _dataset().features[300:500]
    return rows
