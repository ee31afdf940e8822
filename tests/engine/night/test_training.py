"""A model's training as one task, which a worker may try a second time."""

from __future__ import annotations

from pathlib import Path

from brain.naming import Family
from brain.recipes import Recipe
from engine.data.dataset import make_dataset
from engine.evaluation.walk_forward import TrainingPlan
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
