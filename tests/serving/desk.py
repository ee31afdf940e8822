"""A desk for tests: champions as nights write them, in folders instead of a registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from brain.manifest import write_manifest
from brain.model_keys import ModelKey
from brain.naming import REGIMES, Family, Regime
from brain.recipes import Recipe
from brain.records import CellRecord, Champion
from brain.series.bars import Bars
from brain.series.files import read_folder, sample_folder
from engine.data.dataset import Dataset, make_dataset
from engine.families import FittedModel, family
from engine.kernels.position import PositionRule
from engine.night.model_folder import write_model
from serving.bars import Bar
from serving.decision import Decision
from serving.hamilton import Hamilton

QUICK: dict[Family, dict[str, Any]] = {
    Family.LIGHTGBM: {"rounds": 30},
    Family.XGBOOST: {"rounds": 30},
    Family.LSTM: {"window": 8, "hidden": 4, "epochs": 1},
}
HORIZON = 6
#: Of the regimes low and extreme, normal, high. After the training bars are of the first two.
FAMILIES = (Family.LIGHTGBM, Family.LSTM, Family.XGBOOST)


@cache
def sample(symbol: str = "ETH/USD") -> Bars:
    """The packaged bars of a symbol."""
    return read_folder(sample_folder(), [symbol]).bars[symbol]


def head(bars: Bars, rows: int) -> Bars:
    """The first bars."""
    return replace(bars, frame=bars.frame[:rows])


def bars_of(bars: Bars, first: int = 0, last: int | None = None) -> list[Bar]:
    """Bars as an executor is given them, missing ones included as NaN."""
    columns = bars.frame[["open", "high", "low", "close", "volume"]].to_numpy()
    times = bars.close_time.as_unit("ns").asi8.tolist()
    rows = [Bar(t, *row) for t, row in zip(times, columns.tolist(), strict=True)]
    return rows[first:last]


def arrays_of(bars: Sequence[Bar]) -> dict[str, Any]:
    """Bars as a warm-up is given them."""
    columns = zip(*bars, strict=True)
    return dict(zip(Bar._fields, map(np.array, columns), strict=True))


def rule_of(dataset: Dataset, slope: float = 0.4, threshold: float = 60.0) -> PositionRule:
    """A rule that decides now this and now that."""
    slopes = {Regime.LOW: 1.5 * slope, Regime.HIGH: 0.7 * slope, Regime.EXTREME: -slope}
    return PositionRule(dataset.horizon, slope, slopes, threshold / 12, threshold, dataset.fill)


@dataclass
class Models:
    """Champions in folders."""

    folder: Path
    cells: dict[ModelKey, dict[Regime, Champion]] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)

    def champions(
        self,
        symbol: str | ModelKey | None = None,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> Sequence[Champion]:
        del timeframe, horizon
        return [
            champion
            for key, cells in self.cells.items()
            if symbol in (None, key, key.symbol)
            for champion in cells.values()
        ]

    def files(self, model_id: str) -> Mapping[str, bytes]:
        folder = self.folders[model_id]
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    def add(
        self,
        fitted: FittedModel,
        dataset: Dataset,
        rule: PositionRule | None = None,
        regimes: Sequence[Regime] = REGIMES,
        confidence: float | None = 0.8,
        size: float | None = None,
    ) -> str:
        """Write a version as a night does and make it champion; its id."""
        number = len(self.folders) + 1
        folder = self.folder / str(number)
        recipe = Recipe(fitted.family, dataset.feature_set, dataset.horizon, {}, 7)
        write_model(fitted, dataset, recipe, rule or rule_of(dataset), folder)
        return self.crown(folder, dataset, fitted.family, regimes, confidence, size)

    def crown(
        self,
        folder: Path,
        dataset: Dataset,
        name: Family,
        regimes: Sequence[Regime],
        confidence: float | None,
        size: float | None = None,
    ) -> str:
        record = CellRecord(
            version=len(self.folders) + 1,
            digest=write_manifest(folder),
            family=name,
            recipe="recipe",
            trained_until=dataset.trained_until,
            provisional=False,
            reason="for a test",
            bars=None,
            episodes=None,
            decided=dataset.trained_until,
            confidence=confidence,
            size=size,
            size_reason="" if size else "abstain: for a test",
        )
        key = dataset.key
        for regime in regimes:
            champion = Champion(key.name, key, regime, record.version, record)
            self.cells.setdefault(key, {})[regime] = champion
        self.folders[champion.model_id] = folder
        return champion.model_id


def fit(name: Family, dataset: Dataset, rows: int | None = None) -> FittedModel:
    """A quick model of the first rows."""
    return family(name).fit(
        dataset.features[:rows], dataset.target[:rows], hyperparameters=QUICK[name], seed=7
    )


def quick_models(
    folder: Path, rows: int, symbol: str = "ETH/USD", families: Sequence[Family] = FAMILIES
) -> Models:
    """A symbol's champions after its first bars, families by regime in turn."""
    dataset = make_dataset(head(sample(symbol), rows), horizon=HORIZON)
    models = Models(folder)
    for place, name in enumerate(families):
        models.add(fit(name, dataset), dataset, regimes=REGIMES[place :: len(families)])
    return models


def give(hamilton: Hamilton, symbol: str, bars: Sequence[Bar]) -> list[Decision]:
    """Give bars one by one; missing ones are left out."""
    return [
        hamilton.bar(symbol, *bar[1:], bar.close_time) for bar in bars if bar.close == bar.close
    ]
