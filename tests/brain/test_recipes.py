"""Recipes: the same recipe has the same id everywhere, whatever search it is from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from brain.errors import InputError
from brain.naming import Family
from brain.recipes import Recipe

RECIPE = Recipe(
    family=Family.LIGHTGBM,
    feature_set="bars-1",
    horizon=6,
    hyperparameters={"rounds": 100, "learning_rate": 0.05},
    seed=7,
)


def test_the_id_is_stable_across_processes_and_order() -> None:
    other = replace(RECIPE, hyperparameters={"learning_rate": 0.05, "rounds": 100})
    assert RECIPE.id == other.id == "4a3e426007af"


def test_where_it_was_found_is_not_part_of_the_identity() -> None:
    assert replace(RECIPE, tuned_until="2020-01-01", tuned_in="abc", trials=8).id == RECIPE.id


@pytest.mark.parametrize(
    "change",
    [
        {"family": Family.XGBOOST},
        {"feature_set": "bars-2"},
        {"horizon": 7},
        {"hyperparameters": {"rounds": 101, "learning_rate": 0.05}},
        {"seed": 8},
        {"seeds": 3},
        {"refit": "another rule"},
        {"timeframe": "1h"},
        {"target": "scaled-return-1 limit=2 window=24"},
    ],
)
def test_whatever_changes_the_model_changes_the_id(change: dict[str, Any]) -> None:
    assert replace(RECIPE, **change).id != RECIPE.id


def test_a_recipe_of_before_timeframe_target_and_seeds_keeps_its_id() -> None:
    old = (
        '{"family":"lightgbm","feature_set":"bars-1","horizon":6,'
        '"hyperparameters":{"learning_rate":0.05,"rounds":100},"refit":"all rows with a known '
        'label","seed":7,"tuned_in":"","tuned_until":""}'
    )
    recipe = Recipe.from_json(old)
    assert recipe == RECIPE
    assert recipe.seeds == 1
    assert recipe.id == "4a3e426007af"


def test_it_reads_back_what_it_wrote() -> None:
    assert Recipe.from_json(RECIPE.to_json()) == RECIPE


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"family": "lstn"}'])
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a recipe"):
        Recipe.from_json(text)
