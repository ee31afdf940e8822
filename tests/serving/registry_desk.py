"""A desk on a real MLflow server: versions and champions as nights register and name them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import copytree

from brain.naming import REGIMES, Family, Regime, Tag
from brain.recipes import Recipe
from brain.records import CellRecord, Version
from engine.data.dataset import Dataset, make_dataset
from engine.families import FittedModel
from engine.night.model_folder import write_model
from registry.library import BrainLibrary
from tests.serving.desk import FAMILIES, HORIZON, fit, head, rule_of, sample

__all__ = ["RegistryDesk", "datasets"]


def datasets(rows: int, symbols: Sequence[str] = ("ETH/USD",)) -> list[Dataset]:
    """The sample's first days, under the names of several symbols."""
    dataset = make_dataset(head(sample(), rows), horizon=HORIZON)
    return [replace(dataset, symbol=symbol) for symbol in symbols]


@dataclass
class RegistryDesk:
    """Versions and champions of a registry.

    Attributes:
        library: of the registry.
        folder: for the models' files.
        folders: the files of each version, by its id.
        experiment: of their runs.
    """

    library: BrainLibrary
    folder: Path
    folders: dict[str, Path] = field(default_factory=dict)
    experiment: str = "nightly"

    def __post_init__(self) -> None:
        self._run = self.library.start(
            self.experiment, "a night", tags={Tag.ROLE: "night"}, note=""
        )
        self._numbers = itertools.count()

    def register(self, fitted: FittedModel, dataset: Dataset, files: Path | None = None) -> Version:
        """Register a version as a night does; with the files of a folder if one is given."""
        folder = self.folder / str(next(self._numbers))
        recipe = Recipe(fitted.family, dataset.feature_set, dataset.horizon, {}, 7)
        if files is not None:
            copytree(files, folder)
        else:
            write_model(fitted, dataset, recipe, rule_of(dataset), folder)
        tags: dict[str, str] = {
            Tag.FAMILY: str(fitted.family),
            Tag.RECIPE: "recipe",
            Tag.TRAINED_UNTIL: dataset.trained_until,
        }
        version = self.library.add_version(
            self._run, dataset.key, fitted.family, folder, tags=tags, hyperparameters={}, note=""
        )
        self.folders[version.id] = folder
        return version

    def versions(
        self,
        dataset: Dataset,
        families: Sequence[Family] = FAMILIES,
        rows: int | None = None,
    ) -> list[Version]:
        """Quick versions of families, fitted on the first rows."""
        return [self.register(fit(name, dataset, rows), dataset) for name in families]

    def crown(self, version: Version, *regimes: Regime, confidence: float | None = 0.8) -> None:
        """Name a version champion, of all regimes if none is named."""
        for regime in regimes or REGIMES:
            self.library.set_champion(
                version.key, regime, record_of(version, confidence), challenger=None
            )


def record_of(version: Version, confidence: float | None = 0.8) -> CellRecord:
    """The record of a champion."""
    return CellRecord(
        version=version.number,
        digest=version.digest,
        family=version.family,
        recipe=version.recipe,
        trained_until=version.trained_until,
        provisional=False,
        reason="for a test",
        bars=None,
        episodes=None,
        decided=version.trained_until,
        confidence=confidence,
    )
