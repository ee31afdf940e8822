"""What a night writes for an executor beside each model."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from brain.artifacts import EXECUTOR
from brain.naming import Family
from brain.recipes import Recipe
from engine.data.dataset import Dataset, make_dataset
from engine.families import family
from engine.kernels.executor_data import ExecutorData
from engine.kernels.position import PositionRule
from engine.night.model_folder import write_model
from tests.engine.markets import market_of
from tests.engine.paths import random_path

HYPERPARAMETERS: dict[Family, dict[str, float]] = {
    Family.LIGHTGBM: {"rounds": 20},
    Family.XGBOOST: {"rounds": 20},
    Family.LSTM: {"window": 12, "hidden": 4, "epochs": 1},
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    bars = random_path(11, 1000, 0.02).bars()
    return make_dataset(bars, horizon=6, market=market_of(bars))


@pytest.mark.parametrize("name", list(Family))
def test_the_golden_rows_are_predicted_as_anybody_predicts_them(
    name: Family, dataset: Dataset, tmp_path: Path
) -> None:
    fitted = family(name).fit(
        dataset.features, dataset.target, hyperparameters=HYPERPARAMETERS[name], seed=3
    )
    rule = PositionRule(6, 0.5, {}, 5.0, 10.0, dataset.fill)
    recipe = Recipe(name, dataset.feature_set, 6, HYPERPARAMETERS[name], 3)
    write_model(fitted, dataset, recipe, rule, tmp_path / "model")
    content = (tmp_path / "model" / EXECUTOR).read_bytes()
    assert len(content) < 150_000
    data = ExecutorData.from_bytes(content)

    assert data.names == dataset.names
    assert data.look_back == fitted.look_back
    assert data.rule == rule
    assert data.regimes == dataset.state
    assert data.trained_until_ns == dataset.close_time[-1].value
    np.testing.assert_array_equal(data.recent, dataset.features[-fitted.look_back :])

    rows = data.golden_rows
    windows = rows[:, None] if fitted.look_back == 1 else rows
    np.testing.assert_array_equal(windows[0], dataset.features[: fitted.look_back])
    assert np.isnan(windows[1::2]).any(axis=(1, 2)).all()
    assert np.isfinite(data.golden_predictions).sum() >= 4
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    for window, prediction in zip(windows, data.golden_predictions, strict=True):
        values = model.predict(pd.DataFrame(window, columns=list(data.names)))
        assert np.asarray(values, dtype=np.float64).reshape(-1)[-1] == prediction
        ours = fitted.predict(window)[-1]
        assert ours == pytest.approx(prediction, abs=1e-6, nan_ok=True)
