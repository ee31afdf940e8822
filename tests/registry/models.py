"""Small models to register, as cheap as they get."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from shutil import copytree

import lightgbm
import mlflow
import numpy as np

from brain.model_keys import ModelKey
from brain.naming import Family, Tag
from brain.records import CellRecord, Version
from registry.library import BrainLibrary
from registry.runs import Run

__all__ = ["EXPERIMENT", "KEY", "SYMBOL", "add", "record", "start", "tiny_booster"]

SYMBOL = "BTC/USD"
KEY = ModelKey(SYMBOL, "1h", 6)
EXPERIMENT = "nightly"


@cache
def _booster() -> tempfile.TemporaryDirectory[str]:
    """A folder with one saved booster; it lasts as long as the process."""
    rows = np.random.default_rng(0).standard_normal((50, 2))
    booster = lightgbm.train(
        {"verbose": -1, "num_threads": 1}, lightgbm.Dataset(rows, rows[:, 0]), 2
    )
    folder = tempfile.TemporaryDirectory()
    mlflow.lightgbm.save_model(booster, f"{folder.name}/model", pip_requirements=["lightgbm"])
    return folder


def tiny_booster(folder: Path) -> Path:
    """An MLflow model folder, new."""
    return copytree(Path(_booster().name) / "model", folder)


def start(library: BrainLibrary) -> Run:
    return library.start(EXPERIMENT, "a night", tags={Tag.ROLE: "night"}, note="a note")


def add(
    library: BrainLibrary,
    run: Run,
    folder: Path,
    key: ModelKey = KEY,
    family: Family = Family.LIGHTGBM,
    recipe: str = "abc",
) -> Version:
    """A version of any family: what the booster is, is in its tags only."""
    tags: dict[str, str] = {
        Tag.FAMILY: str(family),
        Tag.RECIPE: recipe,
        Tag.TRAINED_UNTIL: "2020-01-01T00:00:00+00:00",
    }
    return library.add_version(
        run,
        key,
        family,
        tiny_booster(folder),
        tags=tags,
        hyperparameters={"rounds": 2},
        note="note",
    )


def record(version: Version, **changes: object) -> CellRecord:
    """The record of a cell whose champion the version is."""
    fields: dict[str, object] = {
        "version": version.number,
        "digest": version.digest,
        "family": version.family,
        "recipe": version.recipe,
        "trained_until": version.trained_until,
        "provisional": True,
        "reason": "prior",
        "bars": 10,
        "episodes": 2,
        "decided": "2020-01-01T00:00:00+00:00",
        "night": "2020-01-01",
    }
    return CellRecord(**(fields | changes))  # type: ignore[arg-type]
