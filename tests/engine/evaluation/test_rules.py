"""Rules as they were known before each fold: nothing later changes an earlier decision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from brain.costs import Costs
from engine.data.dataset import Dataset, make_dataset
from engine.evaluation.rules import Decisions, decisions
from engine.evaluation.walk_forward import TrainingPlan
from tests.engine.quotes import simulate_quotes

PLAN = TrainingPlan(costs=Costs(fee=2.0))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    bars = simulate_quotes(3000, half_spread_bp=10.0, volatility=0.006, seed=5)
    return make_dataset(bars, horizon=3)


def predictions(dataset: Dataset) -> np.ndarray:
    """Half of what comes, and noise."""
    noise = np.random.default_rng(1).standard_normal(len(dataset))
    return 0.3 * np.nan_to_num(dataset.target) + 0.3 * noise


def decide(dataset: Dataset, prediction: np.ndarray, plan: TrainingPlan = PLAN) -> Decisions:
    folds = plan.walk(len(dataset), dataset.reach)
    inner = plan.inner_walk(len(dataset), dataset.reach)
    earlier = np.full(len(dataset), np.nan)
    earlier[inner[0].test_start : inner[-1].test_end] = prediction[
        inner[0].test_start : inner[-1].test_end
    ]
    return decisions(prediction, earlier, dataset, folds, plan)


def test_decisions_of_a_fold_know_nothing_of_what_comes_after_its_training(
    dataset: Dataset,
) -> None:
    prediction = predictions(dataset)
    prediction[: PLAN.walk(len(dataset), dataset.reach)[0].test_start] = np.nan
    whole = decide(dataset, np.where(np.isnan(prediction), predictions(dataset), prediction))
    fold = PLAN.walk(len(dataset), dataset.reach)[2]
    draw = np.random.default_rng(2)
    later = np.arange(len(dataset)) >= fold.train_end
    ended = np.arange(len(dataset)) < fold.test_start
    changed = replace(
        dataset,
        target=np.where(later, draw.standard_normal(len(dataset)), dataset.target),
        open=np.where(ended, dataset.open, 1.0),
        high=np.where(ended, dataset.high, 1.0),
        low=np.where(ended, dataset.low, 1.0),
        close=np.where(ended, dataset.close, 1.0),
    )
    again = decide(changed, predictions(dataset))
    known = slice(fold.test_end)
    np.testing.assert_array_equal(again.position[known], whole.position[known])
    np.testing.assert_array_equal(again.cost[known], whole.cost[known])
    assert again.rule != whole.rule


def test_the_spread_of_the_bars_is_part_of_the_cost(dataset: Dataset) -> None:
    choice = decide(dataset, predictions(dataset))
    assert choice.spread is not None
    assert choice.rule.cost == pytest.approx(2.0 + choice.spread.half_bp)
    assert choice.rule.cost == pytest.approx(12.0, abs=2.0)
    assert choice.rule.threshold == pytest.approx(2.0 * choice.rule.cost)
    assert choice.half_spread.endswith("bp by the bars")
    assert np.isnan(choice.position[:1400]).all()
    assert set(np.unique(choice.position[np.isfinite(choice.position)])) <= {-1.0, 0.0, 1.0}


def test_a_spread_by_the_settings_is_not_estimated(dataset: Dataset) -> None:
    plan = replace(PLAN, costs=Costs(fee=2.0, half_spread=1.0, impact=0.5), threshold=0.0)
    choice = decide(dataset, predictions(dataset), plan)
    assert (choice.spread, choice.rule.cost, choice.rule.threshold) == (None, 3.5, 0.0)
    assert choice.half_spread == "1 bp by the settings"


def test_a_spread_that_is_not_told_from_none_is_said_with_what_it_is_below() -> None:
    bars = simulate_quotes(1500, half_spread_bp=1.0, volatility=0.006, seed=2, repeated_opens=True)
    data = make_dataset(bars, horizon=3)
    choice = decide(data, predictions(data))
    assert choice.rule.cost == 2.0
    assert choice.half_spread.startswith("0 bp: below")
