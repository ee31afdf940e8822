"""Fits at an age, and walk-forwards that go on with the shadows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from brain.naming import Family
from brain.recipes import Recipe
from engine.data.dataset import Dataset, make_dataset
from engine.evaluation.rules import OutOfSample
from engine.evaluation.walk_forward import TrainingPlan
from engine.night.training import Task, TrainingResult, train
from tests.engine.simulate import simulate

PLAN = TrainingPlan(folds=2)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return make_dataset(simulate(1000, strength=0.5, seed=3).bars, horizon=2)


@pytest.fixture(scope="module")
def walked(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    recipe = Recipe(Family.LIGHTGBM, dataset.feature_set, 2, {"rounds": 20}, 7)
    folder = tmp_path_factory.mktemp("walked") / "model"
    return train(Task(dataset, Family.LIGHTGBM, recipe, PLAN, folder))


def known(result: TrainingResult) -> OutOfSample:
    choice = result.decisions
    return OutOfSample(result.prediction, result.earlier, choice.position, choice.cost)


def test_what_is_known_takes_the_place_of_the_walk_forward(
    dataset: Dataset, walked: TrainingResult, tmp_path: Path
) -> None:
    task = Task(dataset, Family.LIGHTGBM, walked.recipe, PLAN, tmp_path / "m", known(walked))
    again = train(task)
    assert repr(again.evidence) == repr(walked.evidence)  # NaN is NaN
    assert again.decisions.rule == walked.decisions.rule
    assert np.array_equal(again.nights.profit, walked.nights.profit, equal_nan=True)
    assert again.seconds["walk_forward"] < 0.5 * walked.seconds["walk_forward"]


def test_later_predictions_teach_the_rule_and_decide_nothing_anew(
    dataset: Dataset, walked: TrainingResult, tmp_path: Path
) -> None:
    before = known(walked)
    rows = slice(900, None)
    prediction = before.prediction.copy()
    prediction[rows] = -prediction[rows]  # as if the last hundred had been wrong
    later = replace(before, prediction=prediction)
    task = Task(dataset, Family.LIGHTGBM, walked.recipe, PLAN, tmp_path / "m", later)
    result = train(task)
    assert np.array_equal(result.decisions.position, walked.decisions.position, equal_nan=True)
    assert 0.0 <= result.decisions.rule.slope < walked.decisions.rule.slope
