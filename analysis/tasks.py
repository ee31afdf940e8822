"""The tasks of a symbol: its versions, their files fetched and checked; their profits; its data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.drift_report import DriftTask
from analysis.explanation import ExplanationTask
from analysis.failures import Stage, catch_failure
from analysis.profit import ProfitTask
from brain.artifacts import OUT_OF_SAMPLE, PROFIT_FIGURE, RECIPE
from brain.errors import ModelIntegrityError
from brain.recipes import Recipe
from brain.work import Failure

if TYPE_CHECKING:
    from analysis.workers import Task
    from brain.records import Version
    from brain.series.bars import Bars
    from brain.settings import Settings
    from engine.data.dataset import Dataset
    from engine.data.market_series import MarketSeries
    from registry.library import BrainLibrary

__all__ = ["explanation_task", "pieces", "profit_task", "symbol_tasks"]


def pieces(versions: int) -> int:
    """The number of tasks of a symbol with so many versions; none without any."""
    return 2 * versions + 1 if versions else 0


def symbol_tasks(
    library: BrainLibrary,
    settings: Settings,
    versions: Sequence[Version],
    data: Dataset | Bars,
    scratch: Path,
    market: MarketSeries | None = None,
) -> tuple[list[Task], list[Failure]]:
    """Two tasks for each version, its explanation and its profit, and one for the data.

    Args:
        library: where the versions are.
        settings: sizes of samples and windows.
        versions: of one symbol, at least one.
        data: the symbol's.
        scratch: a folder for this symbol alone.
        market: to join to bars.

    Returns:
        The tasks, and a failure for each whose files can't be fetched.
    """
    symbol = versions[0].symbol
    tasks: list[Task] = []
    failures: list[Failure] = []
    for version in versions:
        folder = scratch / str(version.number)
        with catch_failure(failures, symbol, Stage.FETCH, version.id):
            folder.mkdir(parents=True)
            tasks.append(explanation_task(library, settings, version, data, folder, market))
        with catch_failure(failures, symbol, Stage.PROFIT, version.id):
            tasks.append(profit_task(library, version, folder))
    oldest = min(versions, key=lambda version: dt.datetime.fromisoformat(version.trained_until))
    drift = DriftTask(
        symbol=symbol,
        data=data,
        trained_until=oldest.trained_until,
        recent_bars=settings.recent_bars,
        columns=settings.drift_columns,
        folder=scratch / "drift",
        market=market,
    )
    return [*tasks, drift], failures


def explanation_task(
    library: BrainLibrary,
    settings: Settings,
    version: Version,
    data: Dataset | Bars,
    scratch: Path,
    market: MarketSeries | None = None,
) -> ExplanationTask:
    """Fetch a version's files, and make its task.

    Args:
        library: where the version is.
        settings: sizes of samples, and the seed.
        version: to explain.
        data: of its symbol.
        scratch: a folder for this version alone.
        market: to join to bars.

    Raises:
        ArtifactStoreError: the files are gone.
        ModelIntegrityError: they are not those that were registered, or lack recipe or signature.
        InputError: the recipe is of another house.
    """
    folder = library.fetch(version, scratch / "model")
    recipe = folder / RECIPE
    if not recipe.is_file():
        raise ModelIntegrityError(
            f"{version.id} has no {RECIPE}, which tells its horizon; register it anew"
        )
    features = library.input_names(folder)
    if features is None:
        raise ModelIntegrityError(
            f"{version.id} has no signature, which names its features; register it anew"
        )
    return ExplanationTask(
        symbol=version.symbol,
        model_id=version.id,
        family=version.family,
        trained_until=version.trained_until,
        data=data,
        model=folder,
        features=features,
        horizon=Recipe.from_json(recipe.read_text()).horizon,
        fill=settings.fill,
        samples={"rows": settings.explain_rows, "windows": settings.explain_windows},
        seed=settings.seed,
        folder=scratch / "explanation",
        market=market,
    )


def profit_task(library: BrainLibrary, version: Version, scratch: Path) -> ProfitTask:
    """Fetch a version's out-of-sample table, and make its task.

    Its table stays the same, so the figure is drawn once.

    Args:
        library: where the version is.
        version: whose profit it is.
        scratch: a folder for this version alone.

    Raises:
        ArtifactStoreError: the version has no such table.
    """
    drawn = PROFIT_FIGURE in library.run_files(version)
    return ProfitTask(
        symbol=version.symbol,
        model_id=version.id,
        family=version.family,
        sharpe=library.evidence(version).net_sharpe,
        table=library.fetch_run_file(version, OUT_OF_SAMPLE, scratch),
        folder=None if drawn else scratch / "profit",
    )
