"""Nights of a quick line on simulated bars, at moments of the bars' own time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brain.costs import Costs
from brain.naming import Family
from brain.recipes import Recipe
from brain.records import Version
from brain.series.bars import Bars
from brain.work import Failure
from brain.workers import run_units
from engine.data.dataset import Dataset, make_dataset
from engine.evaluation.walk_forward import TrainingPlan
from engine.night.evidence import append_backtests
from engine.night.logbook import log_training
from engine.night.shadows import shadow_lines
from engine.night.training import Task, TrainingResult, train
from registry.library import BrainLibrary
from registry.runs import Run
from tests.engine.simulate import simulate

__all__ = ["SYMBOL", "Nights", "day", "make_bars"]

SYMBOL = "SIM/USD"
_START = pd.Timestamp("2020-01-01", tz="UTC")
_PLAN = TrainingPlan(folds=1, trials=1, seeds=1, costs=Costs(fee=0.1, half_spread=0.0))
_QUICK: Mapping[Family, Mapping[str, Any]] = {
    Family.LIGHTGBM: {"rounds": 20, "leaves": 7, "learning_rate": 0.3, "min_rows": 20},
    Family.XGBOOST: {"rounds": 20, "depth": 3, "learning_rate": 0.3, "min_rows": 20},
    Family.LSTM: {"epochs": 1, "window": 5, "hidden": 4, "width": 4},
}


def day(number: int) -> pd.Timestamp:
    """The start of a day of the bars."""
    return _START + pd.Timedelta(days=number)


def make_bars(days: int, strength: float = 0.95) -> Bars:
    """Hourly bars that can be predicted."""
    return simulate(24 * days, strength=strength, seed=3, symbol=SYMBOL).bars


@dataclass
class Nights:
    """A library with nights of one symbol.

    Attributes:
        library: of versions and series.
        bars: of all days.
        run: of all nights.
        folder: for models.
        families: of the lines.
    """

    library: BrainLibrary
    bars: Bars
    run: Run
    folder: Path
    families: tuple[Family, ...] = (Family.LIGHTGBM,)
    _count: int = field(default=0)

    @classmethod
    def begin(cls, library: BrainLibrary, bars: Bars, folder: Path, *families: Family) -> Nights:
        run = library.start("nights", "nights", tags={}, note="")
        return cls(library, bars, run, folder, families or (Family.LIGHTGBM,))

    def dataset(self, until: int) -> Dataset:
        """Of the bars until the end of the day before that one."""
        return make_dataset(self.bars.until(day(until)), horizon=6)

    def shadow(self, until: int) -> list[Failure]:
        """What a night does before it trains."""
        (failures,) = run_units([shadow_lines(self.library, self.dataset(until))], jobs=1)
        return failures

    def train(self, until: int, *, hours: float = 0.5, **changes: Any) -> list[Version]:
        """Versions of the bars until a day's start, made so many hours later; and backtests."""
        dataset = self.dataset(until)
        results = [self._train(dataset, family, changes) for family in self.families]
        moment = (day(until) + pd.Timedelta(hours=hours)).to_pydatetime()
        versions = [log_training(self.library, self.run, dataset, r, moment) for r in results]
        append_backtests(self.library.series, dataset, results)
        return versions

    def night(self, until: int, **changes: Any) -> list[Failure]:
        """A whole night, half an hour after a day's start."""
        failures = self.shadow(until)
        self.train(until, **changes)
        return failures

    def read(self, kind: str, **limits: Any) -> pd.DataFrame:
        """Stored rows of a kind, but for when they were stored."""
        return self.library.series.read(kind, **limits).drop(columns="collected")

    def live(self) -> pd.DataFrame:
        """Live evidence."""
        rows = self.read("evidence")
        return rows[rows["source"] == "live"].reset_index(drop=True)

    def _train(
        self, dataset: Dataset, family: Family, changes: Mapping[str, Any]
    ) -> TrainingResult:
        self._count += 1
        if changes.get("shuffled"):
            order = np.random.default_rng(1).permutation(len(dataset))
            dataset = replace(dataset, target=dataset.target[order])
        recipe = Recipe(
            family,
            dataset.feature_set,
            dataset.horizon,
            {**_QUICK[family], **changes.get("hyperparameters", {})},
            7,
            timeframe=dataset.timeframe,
            target=dataset.target_name,
            tuned_until=dataset.close_time[200].isoformat(),
        )
        return train(Task(dataset, family, recipe, _PLAN, self.folder / f"model-{self._count}"))
