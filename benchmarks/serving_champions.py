"""The champions whose scores and memory are measured: the packaged sample's, and the largest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd

from brain.naming import Family, Fill
from brain.recipes import Recipe
from brain.series import read_folder, sample_folder
from engine.data.dataset import Dataset, make_dataset
from engine.families import FittedModel, family
from engine.families.hyperparameters import Number
from engine.kernels.columns import Floats
from engine.kernels.position import PositionRule
from engine.night.model_folder import write_model

__all__ = ["SCORED", "Champion", "fit_champion", "make_champion", "sample_dataset"]

#: How many of the sample's last bars are scored.
SCORED = 2000

_SYMBOL = "BTC/USD"
_HORIZON = 6
_SEED = 1
# Of the LSTM's speed, epochs are no part.
_SAMPLE: dict[Family, dict[str, Number]] = {
    Family.LIGHTGBM: {"rounds": 50},
    Family.XGBOOST: {"rounds": 250},
    Family.LSTM: {"window": 24, "hidden": 48, "epochs": 1},
}
_LARGEST: dict[Family, dict[str, Number]] = {
    Family.LIGHTGBM: {"rounds": 400, "leaves": 31, "min_rows": 20},
    Family.XGBOOST: {"rounds": 400, "depth": 6, "min_rows": 20},
    Family.LSTM: {"window": 48, "hidden": 48, "epochs": 1},
}


@dataclass(frozen=True)
class Champion:
    """A version's model, with the rows that it scores.

    Attributes:
        family: its family.
        large: whether it is the largest of its family's search space.
        folder: as a night writes it.
        names: of its F inputs.
        look_back: T, rows that a prediction needs.
        rows: (N, F) its last bars, N = T - 1 + ``SCORED``.
        predictions: (``SCORED``,) of pyfunc, each at the end of T rows.
    """

    family: Family
    large: bool
    folder: Path
    names: tuple[str, ...]
    look_back: int
    rows: Floats
    predictions: Floats

    def __str__(self) -> str:
        hyperparameters = (_LARGEST if self.large else _SAMPLE)[self.family]
        size = (
            f"{hyperparameters['window']} bars, {hyperparameters['hidden']} states"
            if self.family is Family.LSTM
            else f"{hyperparameters['rounds']} trees"
        )
        return f"{self.family}, {size}"

    @property
    def windows(self) -> Floats:
        """The T rows of each prediction, (``SCORED``, T, F), or (``SCORED``, F) where T is 1."""
        if self.look_back == 1:
            return self.rows
        view = np.lib.stride_tricks.sliding_window_view(self.rows, self.look_back, axis=0)
        return view.transpose(0, 2, 1)


def sample_dataset() -> Dataset:
    """The hours of the packaged sample."""
    (bars,) = read_folder(sample_folder(), [_SYMBOL]).bars.values()
    return make_dataset(bars, horizon=_HORIZON)


def make_champion(name: Family, dataset: Dataset, folder: Path, *, large: bool) -> Champion:
    """Fit and write a champion of one seed: the sample's, or the largest of the search space."""
    fitted = fit_champion(name, dataset, folder, large=large)
    rows = dataset.features[-(SCORED + fitted.look_back - 1) :]
    predictions = mlflow.pyfunc.load_model(str(folder)).predict(
        pd.DataFrame(rows, None, dataset.names)
    )
    return Champion(
        family=name,
        large=large,
        folder=folder,
        names=dataset.names,
        look_back=fitted.look_back,
        rows=rows,
        predictions=np.asarray(predictions, dtype=np.float64).reshape(-1)[-SCORED:],
    )


def fit_champion(name: Family, dataset: Dataset, folder: Path, *, large: bool) -> FittedModel:
    """The same, of any rows."""
    hyperparameters = (_LARGEST if large else _SAMPLE)[name]
    fitted = family(name).fit(
        dataset.features, dataset.target, hyperparameters=hyperparameters, seed=_SEED
    )
    recipe = Recipe(name, dataset.feature_set, _HORIZON, hyperparameters, _SEED)
    rule = PositionRule(_HORIZON, 1.0, {}, cost=5.0, threshold=0.0, fill=Fill.OPEN)
    write_model(fitted, dataset, recipe, rule, folder)
    return fitted
