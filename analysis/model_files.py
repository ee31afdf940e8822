"""A version's files fetched, checked and described to the worker that explains it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.models import Model

from analysis.explanation import ExplanationTask
from brain.artifacts import RECIPE
from brain.errors import ModelIntegrityError
from brain.recipes import Recipe
from registry.mlflow_errors import library_errors

if TYPE_CHECKING:
    from brain.records import Version
    from brain.series.bars import Bars
    from brain.settings import Settings
    from engine.data.dataset import Dataset
    from engine.data.market_series import MarketSeries
    from registry.library import BrainLibrary

__all__ = ["explain_task"]


def explain_task(
    library: BrainLibrary,
    settings: Settings,
    version: Version,
    data: Dataset | Bars,
    scratch: Path,
    market: MarketSeries | None = None,
) -> ExplanationTask:
    """Fetch the version and make its task.

    Args:
        scratch: a folder of this version's own.
        market: to join to bars.

    Raises:
        ArtifactStoreError: the files are gone.
        ModelIntegrityError: they are not those that were registered, or lack recipe or signature.
        InputError: the recipe is of another house.
    """
    model = library.fetch(version, scratch / "model")
    recipe = model / RECIPE
    if not recipe.is_file():
        raise ModelIntegrityError(
            f"{version.id} has no {RECIPE}, which tells its horizon; register it anew"
        )
    with library_errors(library.dsn, f"read the signature of {version.id}"):
        schema = Model.load(str(model)).get_input_schema()
    if schema is None:
        raise ModelIntegrityError(
            f"{version.id} has no signature, which names its features; register it anew"
        )
    return ExplanationTask(
        symbol=version.symbol,
        model_id=version.id,
        family=version.family,
        trained_until=version.trained_until,
        data=data,
        model=model,
        features=tuple(schema.input_names()),
        horizon=Recipe.from_json(recipe.read_text()).horizon,
        samples={"rows": settings.explain_rows, "windows": settings.explain_windows},
        seed=settings.seed,
        folder=scratch / "explanation",
        market=market,
    )
