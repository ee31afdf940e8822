"""Which stored recipe is refitted, which is searched again, and what the log says of it."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from brain.naming import Family, Fill, Tag
from brain.recipes import Recipe
from brain.series.bars import Bars
from brain.settings import Settings, load_settings
from engine.data.dataset import Dataset, make_dataset
from engine.data.market_series import MarketSeries
from engine.evaluation.walk_forward import TrainingPlan
from engine.families.seeds import SEEDS
from engine.kernels.regime_state import RegimeDefinition
from engine.kernels.targets import target_name
from engine.night.recipe_choice import reusable_recipe
from engine.night.symbols import SymbolResult, train_symbols, tune_symbols
from registry.library import BrainLibrary
from tests.engine.markets import market_of
from tests.engine.simulate import simulate

SYMBOL = "SIM/USD"
PLAN = TrainingPlan(folds=2, trials=3, seeds=2)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return simulate(900, strength=0.3, seed=3, symbol=SYMBOL).bars


@pytest.fixture(scope="module")
def market(bars: Bars) -> MarketSeries:
    return market_of(bars, first=300)


@pytest.fixture(scope="module")
def dataset(bars: Bars) -> Dataset:
    return make_dataset(bars, horizon=6)


@pytest.fixture
def library(sqlite_dsn: str) -> BrainLibrary:
    return BrainLibrary(sqlite_dsn)


def quick(library: BrainLibrary) -> Settings:
    options = {"families": "lightgbm", "folds": 2, "trials": 1, "jobs": 1}
    return load_settings({"tracking_uri": library.dsn, **options})


@pytest.fixture
def recipe(dataset: Dataset) -> Recipe:
    """One that fits."""
    return Recipe(
        Family.LIGHTGBM,
        dataset.feature_set,
        dataset.horizon,
        {"rounds": 5},
        PLAN.seed,
        timeframe=dataset.timeframe,
        target=dataset.target_name,
        seeds=2,
        tuned_until=dataset.close_time[300].isoformat(),
        trials=3,
    )


def test_a_recipe_that_answers_the_question_is_refitted_in_silence(
    library: BrainLibrary, dataset: Dataset, recipe: Recipe, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "engine")
    assert reusable_recipe(library, dataset, Family.LIGHTGBM, PLAN) is None
    library.set_recipe(dataset.key, Family.LIGHTGBM, recipe.to_json())
    assert reusable_recipe(library, dataset, Family.LIGHTGBM, PLAN) == recipe
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"timeframe": "1d"}, "whose timeframe is '1d' and not '1h'"),
        ({"timeframe": ""}, "whose timeframe is '' and not '1h'"),
        ({"horizon": 7}, "whose horizon is 7 and not 6"),
        ({"target": "scaled-return-1 limit=3 window=24"}, "whose target is .* and not .*limit=2"),
        ({"feature_set": "bars-0"}, "whose feature_set is 'bars-0' and not 'bars-1'"),
        ({"seed": 8}, "whose seed is 8 and not 7"),
        (
            {"tuned_until": "2020-03-01T00:00:00+00:00"},
            "tuned on bars until 2020-03-01.*evaluation",
        ),
        ({"tuned_until": ""}, "Invalid isoformat"),
        ({"tuned_until": "2020-01-01"}, "can't compare offset-naive"),
    ],
)
def test_one_that_does_not_is_searched_again_and_the_log_says_why(
    library: BrainLibrary,
    dataset: Dataset,
    recipe: Recipe,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, Any],
    why: str,
) -> None:
    library.set_recipe(dataset.key, Family.LIGHTGBM, replace(recipe, **change).to_json())
    assert reusable_recipe(library, dataset, Family.LIGHTGBM, PLAN) is None
    (record,) = caplog.records
    assert record.getMessage().startswith("SIM/USD lightgbm: ")
    assert record.getMessage().endswith("; searching again")
    assert re.search(why, record.getMessage())


def test_another_window_of_the_volatility_is_another_target(bars: Bars, dataset: Dataset) -> None:
    wide = make_dataset(bars, horizon=6, definition=RegimeDefinition(window=48))
    assert wide.target_name != dataset.target_name == target_name(24, dataset.fill)
    assert target_name(24, Fill.OPEN, limit=3.0) != target_name(24, Fill.OPEN)
    assert target_name(24, Fill.WORKED) != target_name(24, Fill.OPEN)


@pytest.mark.parametrize(("trials", "level"), [(8, "WARNING"), (2, "INFO")])
def test_another_number_of_trials_is_said_and_no_reason_to_search_again(
    library: BrainLibrary,
    dataset: Dataset,
    recipe: Recipe,
    caplog: pytest.LogCaptureFixture,
    trials: int,
    level: str,
) -> None:
    caplog.set_level(logging.INFO, "engine")
    library.set_recipe(dataset.key, Family.LIGHTGBM, recipe.to_json())
    plan = replace(PLAN, trials=trials)
    assert reusable_recipe(library, dataset, Family.LIGHTGBM, plan) == recipe
    (record,) = caplog.records
    assert record.levelname == level
    assert f"was found by 3 trials and is refitted, though trials={trials}; set retune" in (
        record.getMessage()
    )


@pytest.mark.parametrize(("seeds", "tonight"), [(1, 1), (5, 5), (None, SEEDS[Family.LIGHTGBM])])
def test_another_number_of_seeds_is_no_reason_to_search_again(
    library: BrainLibrary,
    dataset: Dataset,
    recipe: Recipe,
    caplog: pytest.LogCaptureFixture,
    seeds: int | None,
    tonight: int,
) -> None:
    other = replace(recipe, seeds=7)
    library.set_recipe(dataset.key, Family.LIGHTGBM, other.to_json())
    plan = replace(PLAN, seeds=seeds)
    again = reusable_recipe(library, dataset, Family.LIGHTGBM, plan)
    assert again == replace(other, seeds=tonight)
    assert again.id != other.id
    assert caplog.text == ""


def test_the_market_makes_another_recipe_and_each_run_says_how_much_of_it_is_missing(
    library: BrainLibrary, bars: Bars, market: MarketSeries, caplog: pytest.LogCaptureFixture
) -> None:
    settings = quick(library)
    reader = {SYMBOL: market}.get
    with library.start("nightly", "night", tags={Tag.ROLE: "night"}, note="") as night:
        (plain,) = train_symbols(library, settings, {SYMBOL: bars}, night)
        (joined,) = train_symbols(library, settings, {SYMBOL: bars}, night, market=reader)
        (tuned,) = tune_symbols(library, settings, {SYMBOL: bars}, night, market=reader)
    assert isinstance(plain, SymbolResult)
    assert isinstance(joined, SymbolResult)
    assert plain.failures == joined.failures == tuned.failures == []
    assert "feature_set is 'bars-1' and not 'bars-1+market-1', does not fit" in caplog.text
    assert tuned.searches[0].search.recipe.feature_set == "bars-1+market-1"
    recipe = Recipe.from_json(library.recipe(SYMBOL, Family.LIGHTGBM) or "")
    assert (recipe.timeframe, recipe.target, recipe.trials) == ("1h", joined.dataset.target_name, 1)

    runs = [
        library.client.get_run(result.versions[Family.LIGHTGBM].run_id).data
        for result in (plain, joined)
    ]
    assert [run.params["feature_set"] for run in runs] == ["bars-1", "bars-1+market-1"]
    assert [run.params["features"] for run in runs] == ["48", "58"]
    names = [{key for key in run.metrics if key.startswith("missing/")} for run in runs]
    assert names[0] == {"missing/all"}
    assert names[1] == {"missing/all", *(f"missing/{name}" for name in joined.dataset.names[-10:])}
    data = joined.dataset
    missing = np.isnan(data.features[~np.isnan(data.target)])
    share = missing[:, data.names.index("oi_change_24")].mean()
    assert 0.3 < share < 0.5
    assert runs[1].metrics["missing/oi_change_24"] == pytest.approx(share)
    assert runs[1].metrics["missing/all"] == pytest.approx(missing.mean())


def test_series_of_another_symbol_fail_alone(
    library: BrainLibrary, bars: Bars, market: MarketSeries
) -> None:
    settings = quick(library)
    wrong = replace(market, symbol="BTC/USD")
    with library.start("nightly", "night", tags={Tag.ROLE: "night"}, note="") as night:
        reader = {SYMBOL: wrong}.get
        (tuned,) = tune_symbols(library, settings, {SYMBOL: bars}, night, market=reader)
    assert tuned.searches == []
    (failure,) = tuned.failures
    assert "the market series are of BTC/USD and the bars of SIM/USD" in str(failure.error)
