"""A desk's champions in a registry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shutil import copytree

from brain.naming import Tag
from registry.library import BrainLibrary
from registry.runs import Run
from tests.serving.desk import Models

__all__ = ["register"]


def register(library: BrainLibrary, run: Run, models: Models, folder: Path) -> None:
    """Register a desk's versions as nights do, and make them the champions of the same cells."""
    versions = {}
    for key, cells in models.cells.items():
        for regime, champion in cells.items():
            if champion.model_id not in versions:
                place = folder / champion.model_id.replace("/", "-")
                tags: dict[str, str] = {
                    Tag.FAMILY: str(champion.record.family),
                    Tag.RECIPE: champion.record.recipe,
                    Tag.TRAINED_UNTIL: champion.record.trained_until,
                }
                versions[champion.model_id] = library.add_version(
                    run,
                    key,
                    champion.record.family,
                    copytree(models.folders[champion.model_id], place),
                    tags=tags,
                    hyperparameters={},
                    note="note",
                )
            version = versions[champion.model_id]
            record = replace(champion.record, version=version.number, digest=version.digest)
            library.set_champion(key, regime, record, None)
