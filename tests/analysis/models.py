"""Small real models whose target depends on one feature, which must come out first."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from shutil import copytree

import numpy as np
import pandas as pd
from mlflow.models import Model

from brain.artifacts import OUT_OF_SAMPLE, RECIPE
from brain.model_keys import ModelKey
from brain.naming import Family, Regime, Tag
from brain.recipes import Recipe
from brain.records import CellRecord, Version
from brain.settings import Settings
from engine.data.dataset import Dataset, make_dataset
from engine.evaluation.profit_table import out_of_sample_table, profit_columns
from engine.evaluation.trading import always_in, trading_of
from engine.families import FittedModel, family
from engine.kernels.features import FEATURE_SET, FEATURES
from registry.library import BrainLibrary
from registry.runs import Run
from tests.engine.simulate import simulate

__all__ = [
    "CAUSE",
    "HORIZON",
    "KEY",
    "SYMBOL",
    "crown",
    "dataset",
    "fitted",
    "out_of_sample",
    "register",
    "settings",
]

SYMBOL = "SIM/USD"
HORIZON = 1
KEY = ModelKey(SYMBOL, "1h", HORIZON)
#: The one feature that the target depends on.
CAUSE = "range_4_24"

_BARS = 1500
_HYPERPARAMETERS: dict[Family, dict[str, float]] = {
    Family.LIGHTGBM: {"rounds": 30, "min_rows": 20},
    Family.XGBOOST: {"rounds": 30, "min_rows": 20},
    Family.LSTM: {
        "window": 4,
        "hidden": 8,
        "width": 8,
        "epochs": 4,
        "batch": 64,
        "learning_rate": 0.02,
    },
}


@cache
def dataset() -> Dataset:
    """Independent features, a tenth of them missing, and a target that one of them moves."""
    data = make_dataset(simulate(_BARS, strength=0.0, seed=1, symbol=SYMBOL).bars, horizon=HORIZON)
    rng = np.random.default_rng(2)
    features = rng.normal(size=data.features.shape) * np.logspace(-2, 2, len(FEATURES))
    cause = features[:, FEATURES.index(CAUSE)]
    noise = rng.normal(size=len(data))
    target = 0.7 * cause / cause.std() + 0.5 * noise
    features[rng.random(features.shape) < 0.1] = np.nan
    features[:, FEATURES.index(CAUSE)] = cause
    return replace(data, features=features, target=np.where(np.isnan(data.target), np.nan, target))


@cache
def fitted(name: Family) -> FittedModel:
    """A model of the family on the dataset."""
    data = dataset()
    return family(name).fit(
        data.features, data.target, hyperparameters=_HYPERPARAMETERS[name], seed=1
    )


@cache
def _saved(name: Family, features: tuple[str, ...]) -> tempfile.TemporaryDirectory[str]:
    """A model's folder, made once a process and gone with it."""
    model = fitted(name)
    if features != FEATURES:
        width = len(FEATURES)
        columns = [FEATURES.index(f) if f in FEATURES else width for f in features]
        rows = np.column_stack([dataset().features, np.full(len(dataset()), np.nan)])[:, columns]
        model = family(name).fit(
            rows, dataset().target, hyperparameters=_HYPERPARAMETERS[name], seed=1
        )
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "model"
    model.save(path, features=features, model=Model())
    recipe = Recipe(name, FEATURE_SET, HORIZON, _HYPERPARAMETERS[name], 1)
    (path / RECIPE).write_text(recipe.to_json())
    return folder


@cache
def out_of_sample() -> pd.DataFrame:
    """The evaluation of predictions that know a little, on the second half of the dataset."""
    data = dataset()
    noise = np.random.default_rng(3).normal(size=len(data))
    prediction = np.nan_to_num(data.target) + 2.0 * noise
    prediction[: len(data) // 2] = np.nan
    profit = profit_columns(always_in(prediction), trading_of(data, 0.0005))
    return out_of_sample_table(data, prediction, profit)


def register(
    library: BrainLibrary,
    run: Run,
    name: Family,
    *,
    symbol: str = SYMBOL,
    timeframe: str = "1h",
    features: Sequence[str] = FEATURES,
    trained_until: str | None = None,
) -> Version:
    """A version whose run has its evaluation only, trained until the dataset's last bar."""
    until = trained_until or dataset().trained_until
    tags: dict[str, str] = {
        Tag.SYMBOL: symbol,
        Tag.FAMILY: str(name),
        Tag.RECIPE: "abc",
        Tag.TRAINED_UNTIL: until,
    }
    with (
        tempfile.TemporaryDirectory() as scratch,
        run.child(f"{symbol} {name}", tags=tags, note="") as child,
    ):
        saved = Path(_saved(name, tuple(features)).name) / "model"
        folder = copytree(saved, Path(scratch) / "model")
        (Path(scratch) / "run").mkdir()
        out_of_sample().to_parquet(Path(scratch) / "run" / OUT_OF_SAMPLE)
        child.artifacts(Path(scratch) / "run")
        return library.add_version(
            child,
            replace(KEY, symbol=symbol, timeframe=timeframe),
            name,
            folder,
            tags=tags,
            hyperparameters={},
            note="",
        )


def crown(library: BrainLibrary, version: Version, *regimes: Regime) -> None:
    """Make the version the champion of these cells."""
    record = CellRecord(
        version=version.number,
        digest=version.digest,
        family=version.family,
        recipe=version.recipe,
        trained_until=version.trained_until,
        provisional=True,
        reason="prior",
        bars=10,
        episodes=2,
        decided="2020-01-01T00:00:00+00:00",
    )
    for regime in regimes:
        library.set_champion(version.key, regime, record, None)


def settings(dsn: str, **changes: object) -> Settings:
    """As quick as the checks of size allow."""
    quick: dict[str, object] = {
        "tracking_uri": dsn,
        "jobs": 1,
        "explain_rows": 300,
        "explain_windows": 100,
        "recent_bars": 100,
        "drift_columns": 2,
    }
    return Settings(**(quick | changes))  # type: ignore[arg-type]
