"""A model's training as one task, which a worker may try a second time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from brain.naming import Family
from brain.recipes import Recipe
from engine.data.dataset import make_dataset
from engine.evaluation.walk_forward import TrainingPlan
from engine.families import family
from engine.families.seeds import member_seeds
from engine.night.training import Task, train
from tests.engine.simulate import simulate


def test_a_second_try_finds_nothing_of_the_first(tmp_path: Path) -> None:
    dataset = make_dataset(simulate(900, strength=0.3, seed=1).bars, horizon=1)
    recipe = Recipe(Family.LIGHTGBM, dataset.feature_set, 1, {"rounds": 5}, 7)
    task = Task(dataset, Family.LIGHTGBM, recipe, TrainingPlan(folds=1), tmp_path / "model")
    first = {path.name for path in train(task).folder.iterdir()}
    (task.folder / "half").mkdir()
    (task.folder / "half" / "model.lgb").touch()
    assert {path.name for path in train(task).folder.iterdir()} == first


def test_the_evaluation_and_the_refit_are_of_the_recipes_seeds(tmp_path: Path) -> None:
    dataset = make_dataset(simulate(900, strength=0.3, seed=1).bars, horizon=1)
    one, seeds = (
        Recipe(Family.LIGHTGBM, dataset.feature_set, 1, {"rounds": 5}, 7),
        member_seeds(7, 2),
    )
    recipes = [*(replace(one, seed=seed) for seed in seeds), replace(one, seeds=2)]
    results = [
        train(Task(dataset, one.family, recipe, TrainingPlan(folds=2), tmp_path / recipe.id))
        for recipe in recipes
    ]
    first, second, both = (result.prediction for result in results)
    np.testing.assert_allclose(both, (first + second) / 2, rtol=0, atol=1e-12)
    rows = dataset.features
    first, second, both = (
        family(one.family).load(result.folder).predict(rows) for result in results
    )
    np.testing.assert_allclose(both, (first + second) / 2, rtol=0, atol=1e-12)
