"""The search: what it may see, what it keeps of each trial, and what becomes of those that fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd
import pytest
from numpy.typing import NDArray

from brain.errors import NotEnoughBarsError, TrainingError
from brain.naming import Family
from brain.series.bars import Bars, check_bars
from engine import families
from engine.data.dataset import Dataset, make_dataset
from engine.evaluation.walk_forward import Fold, TrainingPlan, walk_forward
from engine.families.base import FittedModel, ModelFamily
from engine.families.seeds import SEEDS
from engine.kernels.targets import reach
from engine.night.search import Search, search
from tests.engine.simulate import simulate

PLAN = TrainingPlan(folds=2, trials=3)
HORIZON = 4


@pytest.fixture(scope="module")
def bars() -> Bars:
    return simulate(900, strength=0.3, seed=3).bars


@pytest.fixture(scope="module")
def dataset(bars: Bars) -> Dataset:
    return make_dataset(bars, horizon=HORIZON)


@pytest.fixture(scope="module")
def result(dataset: Dataset) -> Search:
    return search(dataset, Family.LIGHTGBM, PLAN)


def first_fold(dataset: Dataset) -> Fold:
    return PLAN.walk(len(dataset), dataset.reach)[0]


def inner_folds(dataset: Dataset) -> tuple[Fold, ...]:
    return walk_forward(
        first_fold(dataset).train_end,
        folds=PLAN.tuning_folds,
        first_test=PLAN.first_test,
        reach=dataset.reach,
        embargo=PLAN.embargo,
    )


def rows_of(result: Search) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in result.trials.to_dict("records")]


def assert_same(one: Search, other: Search) -> None:
    assert one.recipe == other.recipe
    pd.testing.assert_frame_equal(
        one.trials.drop(columns="seconds"), other.trials.drop(columns="seconds"), check_exact=True
    )
    pd.testing.assert_frame_equal(one.predictions, other.predictions, check_exact=True)


# --- what it may see ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_other_bars_from_the_first_test_row_on_change_nothing(
    bars: Bars, dataset: Dataset, result: Search, seed: int
) -> None:
    """Whole bars are replaced, so that neither a feature nor a target may look ahead either."""
    later = slice(first_fold(dataset).test_start, None)
    frame = bars.frame.copy()
    other = simulate(len(frame), strength=0.9, seed=100 + seed).bars.frame
    frame.iloc[later] = (other * (1 + seed)).iloc[later]
    changed = make_dataset(
        check_bars(frame, symbol=bars.symbol, timeframe=bars.timeframe), horizon=HORIZON
    )
    assert not np.array_equal(changed.target, dataset.target, equal_nan=True)
    assert_same(search(changed, Family.LIGHTGBM, PLAN), result)


def test_other_rows_after_the_first_training_row_change_nothing(
    dataset: Dataset, result: Search
) -> None:
    later = slice(first_fold(dataset).train_end, None)
    features, target = dataset.features.copy(), dataset.target.copy()
    features[later], target[later] = 1e6, np.nan
    changed = replace(
        dataset,
        features=features,
        target=target,
        forward_return=target,
        regimes=dataset.regimes * 0,
    )
    assert_same(search(changed, Family.LIGHTGBM, PLAN), result)


def test_the_last_row_that_it_may_see_matters(dataset: Dataset, result: Search) -> None:
    """The tests above can fail."""
    target = dataset.target.copy()
    target[: first_fold(dataset).train_end] *= -1
    changed = search(replace(dataset, target=target), Family.LIGHTGBM, PLAN)
    assert not changed.predictions.equals(result.predictions)


def test_the_recipe_says_until_when_it_was_tuned(dataset: Dataset, result: Search) -> None:
    end = first_fold(dataset).train_end
    assert result.recipe.tuned_until == dataset.close_time[end - 1].isoformat()


# --- what it keeps ------------------------------------------------------------------------------


def test_the_budget_is_kept_and_the_defaults_come_first(dataset: Dataset, result: Search) -> None:
    space = families.family(Family.LIGHTGBM).space
    assert list(result.trials["trial"]) == [0, 1, 2]
    first, second = ({k: v for k, v in t.items() if k in space} for t in rows_of(result)[:2])
    assert first == {name: space[name].default for name in first}
    assert first.keys() == second.keys()
    assert first != second
    single = search(dataset, Family.LIGHTGBM, replace(PLAN, trials=1))
    assert single.recipe.hyperparameters == families.family(Family.LIGHTGBM).defaults()


def test_the_best_trial_becomes_the_recipe(dataset: Dataset, result: Search) -> None:
    best = max(rows_of(result), key=lambda trial: trial["rank_ic"])
    hyperparameters = result.recipe.hyperparameters
    assert set(hyperparameters) == set(families.family(Family.LIGHTGBM).space)
    assert {k: v for k, v in best.items() if k in hyperparameters}.items() <= dict(
        hyperparameters
    ).items()
    assert (result.recipe.seed, result.recipe.seeds) == (PLAN.seed, SEEDS[Family.LIGHTGBM])
    assert result.recipe.horizon == HORIZON


def test_a_search_is_the_same_for_any_number_of_seeds(dataset: Dataset, result: Search) -> None:
    other = search(dataset, Family.LIGHTGBM, replace(PLAN, seeds=2))
    assert other.recipe.seeds == 2
    assert_same(replace(other, recipe=replace(other.recipe, seeds=result.recipe.seeds)), result)


def test_each_trial_keeps_the_series_by_which_it_was_ranked(
    dataset: Dataset, result: Search
) -> None:
    tested = [row for fold in inner_folds(dataset) for row in range(fold.test_start, fold.test_end)]
    assert list(result.predictions.columns) == ["0", "1", "2"]
    pd.testing.assert_index_equal(result.predictions.index, dataset.close_time[tested])
    target = pd.Series(dataset.target, index=dataset.close_time)
    for trial in rows_of(result):
        series = result.predictions[str(trial["trial"])]
        assert series.notna().all()
        rank_ic = series.corr(target.reindex(series.index), method="spearman")
        assert rank_ic == pytest.approx(trial["rank_ic"])


def test_the_same_seed_finds_the_same_and_another_does_not(
    dataset: Dataset, result: Search
) -> None:
    assert_same(search(dataset, Family.LIGHTGBM, PLAN), result)
    other = search(dataset, Family.LIGHTGBM, replace(PLAN, seed=8))
    assert not other.trials.drop(columns="seconds").equals(result.trials.drop(columns="seconds"))


# --- what becomes of those that fail ------------------------------------------------------------


class Puppet(ModelFamily):
    """A family whose models are made by a function of the trial's ``x`` and the training rows."""

    name = Family.LIGHTGBM
    space = families.family(Family.LIGHTGBM).space

    def __init__(self, make: Callable[[float, NDArray[np.float64]], FittedModel]) -> None:
        self.make = make

    def defaults(self) -> dict[str, Any]:
        return {"x": 0.0}

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        return {"x": trial.suggest_float("x", 0.0, 1.0)}

    def fit(
        self,
        rows: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        hyperparameters: Mapping[str, Any],
        seed: int,
        seeds: int = 1,
    ) -> FittedModel:
        assert np.shape(rows)[0] == np.shape(target)[0]
        return self.make(hyperparameters["x"], np.asarray(rows))

    def load(self, folder: object) -> FittedModel:
        raise NotImplementedError


class Since(FittedModel):
    """Predicts how many rows have passed since the last row of its training."""

    family = Family.LIGHTGBM
    look_back = 5

    def __init__(self, last: float) -> None:
        self.last = last

    def predict(self, rows: npt.ArrayLike) -> NDArray[np.float64]:
        return np.asarray(rows)[:, 0] - self.last

    def save(self, *_: object, **__: object) -> None:
        raise NotImplementedError


class Always(Since):
    def predict(self, rows: npt.ArrayLike) -> NDArray[np.float64]:
        return np.full(len(np.asarray(rows)), self.last)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    def put(make: Callable[[float, NDArray[np.float64]], FittedModel]) -> None:
        monkeypatch.setattr(families, "family", lambda _: Puppet(make))

    return put


@pytest.fixture
def numbered(dataset: Dataset) -> Dataset:
    """The dataset with the number of each row as its first feature."""
    features = dataset.features.copy()
    features[:, 0] = np.arange(len(features))
    return replace(dataset, features=features)


def test_no_trial_predicts_what_its_own_targets_overlap(
    numbered: Dataset, use: Callable[[Any], None]
) -> None:
    use(lambda _, rows: Since(rows[-1, 0]))
    predictions = search(numbered, Family.LIGHTGBM, PLAN).predictions
    assert predictions.shape == (sum(f.test_end - f.test_start for f in inner_folds(numbered)), 3)
    # The first row after the last training target's end, the embargo left out, and one further.
    assert predictions.to_numpy().min() == reach(HORIZON) + PLAN.embargo + 1


@pytest.mark.parametrize("error", [TrainingError, NotEnoughBarsError])
def test_a_failing_trial_is_recorded_and_the_others_go_on(
    numbered: Dataset, use: Callable[[Any], None], error: type[Exception]
) -> None:
    def make(x: float, rows: NDArray[np.float64]) -> FittedModel:
        if x == 0.0:
            raise error("the defaults are not to be had")
        return Since(rows[-1, 0])

    use(make)
    result = search(numbered, Family.LIGHTGBM, PLAN)
    assert list(result.trials["trial"]) == [0, 1, 2]
    assert list(result.trials["rank_ic"].isna()) == [True, False, False]
    assert list(result.trials["error"].isna()) == [False, True, True]
    assert result.trials["error"][0] == "the defaults are not to be had"
    assert list(result.predictions.columns) == ["1", "2"]
    assert result.recipe.hyperparameters["x"] > 0


def test_constant_predictions_count_as_failed_but_their_series_is_kept(
    numbered: Dataset, use: Callable[[Any], None]
) -> None:
    use(lambda x, rows: Always(3.0) if x == 0.0 else Since(rows[-1, 0]))
    result = search(numbered, Family.LIGHTGBM, PLAN)
    assert list(result.trials["rank_ic"].isna()) == [True, False, False]
    assert (result.predictions["0"] == 3.0).all()


def test_if_all_trials_fail_the_search_says_why(
    numbered: Dataset, use: Callable[[Any], None]
) -> None:
    use(lambda x, _: Always(x))
    with pytest.raises(
        TrainingError, match=r"all 3 trials of lightgbm on SIM/USD failed.*constant"
    ):
        search(numbered, Family.LIGHTGBM, PLAN)


def test_a_fault_of_the_program_is_no_failed_trial(
    numbered: Dataset, use: Callable[[Any], None]
) -> None:
    def make(x: float, rows: NDArray[np.float64]) -> FittedModel:
        raise ZeroDivisionError("a bug")

    use(make)
    with pytest.raises(ZeroDivisionError):
        search(numbered, Family.LIGHTGBM, PLAN)


def test_too_few_rows_for_the_inner_folds_are_refused(dataset: Dataset) -> None:
    with pytest.raises(NotEnoughBarsError, match="rows are too few"):
        search(dataset, Family.LIGHTGBM, replace(PLAN, first_test=0.1))
