"""What both nights of the benchmark share: their stages, their order, and their process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.stages import OTHER, StageClock

__all__ = ["FITTING", "IMPORTS", "NOT_FITTING", "SHARED", "Night", "run_night"]

IMPORTS = "imports"
BARS = "bars, features, targets"
SEARCH = "search"
WALK_FORWARD = "walk-forward"
EVIDENCE = "evidence"
FITS = "final fits"
LOG = "log and register"
EXPLAIN = "explain"
DRIFT = "drift"
CHAMPIONS = "name champions"

#: Stages in which both nights run the same code, and all others: how the night is done.
SHARED = (IMPORTS, BARS)
FITTING = (SEARCH, WALK_FORWARD, EVIDENCE, FITS)
NOT_FITTING = (LOG, EXPLAIN, DRIFT, CHAMPIONS, OTHER)

_ORDER = "NIGHT_ORDER"


@dataclass(frozen=True)
class Night:
    """The order of a night.

    Attributes:
        symbols: of the packaged sample.
        trials: of a search.
        readings: the file for the clock's readings.
    """

    symbols: tuple[str, ...]
    trials: int
    readings: str

    def environment(self) -> dict[str, str]:
        """The variables that :func:`benchmarks.night.run_night` reads the order from."""
        return {_ORDER: json.dumps(asdict(self))}


def run_night(night: Callable[[Night, StageClock], None]) -> None:
    """Run the night of the environment's order, and write the clock's readings."""
    order = json.loads(os.environ[_ORDER])
    night_order = Night(tuple(order["symbols"]), order["trials"], order["readings"])
    clock = StageClock()
    with clock:
        with clock.stage(IMPORTS):
            _import_all()
        night(night_order, clock)
    readings = {"seconds": clock.seconds, "megabytes": clock.megabytes}
    Path(night_order.readings).write_text(json.dumps(readings))


def _import_all() -> None:
    """Everything that either night needs, so that no stage pays for an import."""
    # ruff: noqa: F401
    import evidently.presets
    import lightgbm
    import matplotlib.pyplot
    import mlflow.lightgbm
    import mlflow.onnx
    import mlflow.pyfunc
    import mlflow.pytorch
    import mlflow.xgboost
    import onnxruntime
    import optuna
    import pandas
    import pytorch_lightning
    import shap
    import sklearn
    import torch
    import xgboost

    import analysis.nightly
    import brain.series.files
    import engine.families.boosted
    import engine.families.lstm
    import engine.night.symbols
    import mlproject
