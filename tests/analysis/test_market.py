"""Funding and open interest among the features: explained and compared like any other."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model

from analysis.drift_report import DriftTask, _reference_errors, compare
from analysis.explanation import ExplanationTask, explain
from analysis.results import Method
from brain.errors import AnalysisError
from brain.naming import Family
from engine.data.dataset import Dataset, make_dataset
from engine.families import family
from engine.kernels.features import FEATURES
from engine.kernels.market_features import MARKET_FEATURES
from tests.engine.markets import market_of
from tests.engine.simulate import simulate

CAUSE = "oi_change_24"


@cache
def dataset(first: int) -> Dataset:
    """The target is open interest's change of the last day; the market begins at a bar."""
    bars = simulate(1500, strength=0.0, seed=1).bars
    data = make_dataset(bars, horizon=1, market=market_of(bars, first=first))
    cause = data.features[:, data.names.index(CAUSE)]
    noise = np.random.default_rng(2).normal(size=len(data))
    signal = np.where(np.isnan(cause), 0.0, cause / np.nanstd(cause))
    target = np.where(np.isnan(data.target), np.nan, signal + 0.3 * noise)
    return replace(data, target=target)


def test_the_market_feature_that_matters_is_found(tmp_path: Path) -> None:
    data = dataset(700)
    fitted = family(Family.LIGHTGBM).fit(
        data.features, data.target, hyperparameters={"rounds": 30, "min_rows": 20}, seed=1
    )
    fitted.save(tmp_path / "model", features=data.names, model=Model())
    task = ExplanationTask(
        symbol=data.symbol,
        model_id="SIM-USD.1h.1/1",
        family=Family.LIGHTGBM,
        trained_until=data.trained_until,
        data=data,
        model=tmp_path / "model",
        features=data.names,
        horizon=1,
        samples={"rows": 300, "windows": 100},
        seed=1,
        folder=tmp_path / "explanation",
    )
    # A worker that died of the task has left something.
    task.folder.mkdir()
    (task.folder / "half.png").touch()
    analysis = explain(task).analysis
    assert not (task.folder / "half.png").exists()
    assert analysis.notes == ()
    assert set(analysis.rankings) == set(Method)
    for method in (Method.SHAP, Method.PERMUTATION):
        ranking = analysis.rankings[method]
        assert len(ranking.features) == len(data.names)
        assert ranking.features[0].feature == CAUSE


def test_the_market_is_compared_too(tmp_path: Path) -> None:
    whole = dataset(0)
    features = whole.features.copy()
    features[-100:, whole.names.index("oi_turnover_24")] += 5.0
    data = replace(whole, features=features)
    task = DriftTask(data.symbol, data, data.trained_until, 100, 2, tmp_path / "drift")
    drift = compare(task).analysis
    assert {column.feature for column in drift.columns} == {*FEATURES, *MARKET_FEATURES}
    assert drift.unknown == ()
    assert drift.columns[0].feature == "oi_turnover_24"
    report = json.loads((tmp_path / "drift" / "evidently.json").read_text())
    reported = {m["config"]["column"] for m in report["metrics"] if "column" in m["config"]}
    assert reported == set(drift.reported)
    assert "oi_turnover_24" in reported


@pytest.mark.filterwarnings("ignore")  # Evidently's own
def test_a_reference_that_evidently_lacks_is_an_error_of_ours() -> None:
    """The library's exception is no ``Exception``: nothing else on its way would catch it."""
    from evidently import Report
    from evidently.metrics import MinValue
    from evidently.tests import Reference, eq

    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
    wanting = Report([MinValue(column="a", tests=[eq(Reference(relative=0.1))])])
    with pytest.raises(AnalysisError, match="Reference data not found for"), _reference_errors():
        wanting.run(frame, None)


def test_bars_with_their_market_are_compared_as_their_dataset_is(tmp_path: Path) -> None:
    bars = simulate(1500, strength=0.0, seed=1).bars
    market = market_of(bars, first=700)
    joined = make_dataset(bars, horizon=1, market=market)
    until = joined.trained_until
    from_bars = compare(DriftTask("SIM/USD", bars, until, 100, 1, tmp_path / "a", market))
    from_dataset = compare(DriftTask("SIM/USD", joined, until, 100, 1, tmp_path / "b"))
    assert from_bars.analysis.columns == from_dataset.analysis.columns
    assert len(from_bars.analysis.columns) == len(joined.names)
