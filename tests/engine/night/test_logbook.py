"""What a trained model leaves on the tracking server, as MLflow's UI groups and orders it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from brain.costs import Costs
from brain.naming import REGIMES, Family
from brain.recipes import Recipe
from brain.records import Version
from brain.series.files import read_folder, sample_folder
from engine.data.dataset import Dataset, make_dataset
from engine.evaluation.metrics import evaluate
from engine.evaluation.nights import night_evidence
from engine.evaluation.rules import decisions
from engine.evaluation.trading import ALL, trading_of
from engine.evaluation.walk_forward import TrainingPlan
from engine.night import logbook
from engine.night.model_folder import regime_document
from engine.night.training import TrainingResult

SYMBOL = "LTC/USD"


@pytest.fixture(scope="module")
def data() -> Dataset:
    return make_dataset(read_folder(sample_folder(), (SYMBOL,)).bars[SYMBOL], horizon=6)


@pytest.fixture(scope="module")
def result(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    prediction = np.where(np.arange(len(data)) < 400, np.nan, data.features[:, 0])
    evidence = evaluate(prediction, data.target, data.forward_return, trading_of(data, 0.0005))
    plan = TrainingPlan(costs=Costs(fee=4.0, half_spread=1.0), threshold=2.0)
    folds = plan.walk(len(data), data.reach)
    choice = decisions(prediction, prediction, data, folds, plan)
    return TrainingResult(
        symbol=SYMBOL,
        family=Family.LIGHTGBM,
        recipe=Recipe(Family.LIGHTGBM, "bars-1", 6, {"rounds": 2}, 7, data.trained_until),
        search=None,
        evidence=evidence,
        prediction=prediction,
        earlier=prediction,
        decisions=choice,
        nights=night_evidence(
            prediction,
            choice.position,
            trading_of(data, choice.cost),
            data.volatility,
            data.close_ns,
        ),
        tried=1.0,
        net={},
        profit={},
        folder=tmp_path_factory.mktemp("model"),
        seconds={"refit": 1.0},
    )


def test_a_regimes_dataset_is_the_same_every_night_and_another_for_another_question(
    data: Dataset,
) -> None:
    tomorrow = replace(data, digest="another", target=np.append(data.target, 0.0))
    assert regime_document(tomorrow) == regime_document(data)
    keys = (*REGIMES, ALL)
    today = [logbook._dataset(data, key).digest for key in keys]
    assert [logbook._dataset(tomorrow, key).digest for key in keys] == today
    assert len(set(today)) == len(keys)
    for other in (replace(data, horizon=7), replace(data, symbol="BTC/USD")):
        assert not {logbook._dataset(other, key).digest for key in keys} & set(today)


def test_the_headline_comes_first_and_a_key_without_a_regime_shows_all_bars(
    data: Dataset, result: TrainingResult
) -> None:
    version = Version(
        data.key.name, data.key, 1, Family.LIGHTGBM, "r", "d", data.trained_until, "run", "m-1"
    )
    datasets = {key: logbook._dataset(data, key) for key in (*REGIMES, ALL)}
    metrics = list(logbook._metrics(result, datasets, version))
    assert list(dict.fromkeys(m.key for m in metrics))[:2] == ["net_sharpe", "net_sharpe_error"]
    last = {m.key: m for m in metrics}
    assert last["net_sharpe"].value == result.evidence[ALL].net_sharpe.value
    assert last["net_sharpe"].dataset is datasets[ALL]
    for regime in REGIMES:
        evidence = result.evidence[regime]
        assert last[f"{regime}/bars"].value == evidence.bars
        sharpe = last.get(f"{regime}/net_sharpe")
        valid = np.isfinite(evidence.net_sharpe.value)
        assert (sharpe is not None) == valid  # unknown is not zero
        assert sharpe is None or sharpe.value == evidence.net_sharpe.value


def test_the_note_begins_with_the_headline_and_shows_every_regime(
    data: Dataset, result: TrainingResult
) -> None:
    note = logbook._note(data, result, "LINKS")
    sharpe = result.evidence[ALL].net_sharpe
    assert note.startswith(f"Net Sharpe {sharpe.value:.2f} ± {sharpe.error:.2f} of")
    assert "LINKS" in note
    for regime in REGIMES:
        assert f"**{regime}**" in note
    assert "unknown" in note  # the sample has no bars of the extreme regime to evaluate on
