"""The tasks of a symbol: its versions, their files fetched and checked; their profits; its data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from analysis.drift_report import DriftTask
from analysis.explanation import ExplanationTask
from analysis.failures import Stage, catch_failure
from analysis.profit import ProfitTask
from brain.artifacts import OUT_OF_SAMPLE, PROFIT_FIGURE, RECIPE
from brain.errors import InputError, ModelIntegrityError
from brain.recipes import Recipe, own_columns
from brain.work import Failure
from engine.data.dataset import Dataset

if TYPE_CHECKING:
    from analysis.scope import DataReader
    from analysis.workers import Task
    from brain.records import Version
    from brain.settings import Settings
    from engine.data.market_series import MarketReader
    from registry.library import BrainLibrary

__all__ = ["explanation_task", "pieces", "profit_task", "symbol_tasks"]


AnyTask = TypeVar("AnyTask", ExplanationTask, DriftTask)


def pieces(versions: int) -> int:
    """The number of tasks of a symbol with so many versions; none without any."""
    return 2 * versions + 1 if versions else 0


def symbol_tasks(
    library: BrainLibrary,
    settings: Settings,
    versions: Sequence[Version],
    data: DataReader,
    scratch: Path,
    market: MarketReader,
) -> tuple[list[Task], list[Failure]]:
    """Two tasks for each version, its explanation and its profit, and one for the data.

    A version is explained on the own columns that it was trained on, whatever tonight's are; what
    is compared has those of all versions.

    Args:
        library: where the versions are.
        settings: sizes of samples and windows.
        versions: of one symbol, at least one.
        data: reads the symbol's.
        scratch: a folder for this symbol alone.
        market: reads what is joined to bars.

    Returns:
        The tasks, and a failure for each whose files can't be fetched or whose own columns the data
        lack.
    """
    symbol = versions[0].symbol
    tasks: list[Task] = []
    failures: list[Failure] = []
    series = cache(partial(market, symbol))

    def add_market(task: AnyTask) -> AnyTask:
        return task if isinstance(task.data, Dataset) else replace(task, market=series())

    own: set[str] = set()
    for version in versions:
        folder = scratch / str(version.number)
        with catch_failure(failures, symbol, Stage.FETCH, version.id):
            folder.mkdir(parents=True)
            task = explanation_task(library, settings, version, data, folder)
            own.update(task.data.own)
            tasks.append(add_market(task))
        with catch_failure(failures, symbol, Stage.PROFIT, version.id):
            tasks.append(profit_task(library, version, folder))
    oldest = min(versions, key=lambda version: dt.datetime.fromisoformat(version.trained_until))
    drift = DriftTask(
        symbol=symbol,
        data=data(tuple(sorted(own))),
        trained_until=oldest.trained_until,
        recent_bars=settings.recent_bars,
        columns=settings.drift_columns,
        folder=scratch / "drift",
    )
    return [*tasks, add_market(drift)], failures


def explanation_task(
    library: BrainLibrary,
    settings: Settings,
    version: Version,
    data: DataReader,
    scratch: Path,
) -> ExplanationTask:
    """Fetch a version's files, read the own columns that they name, and make its task.

    Args:
        library: where the version is.
        settings: sizes of samples, and the seed.
        version: to explain.
        data: reads its symbol's.
        scratch: a folder for this version alone.

    Raises:
        BarsError: the data lack an own column of the version.
        ArtifactStoreError: the files are gone.
        ModelIntegrityError: they are not those that were registered, or lack recipe or signature.
        InputError: the recipe is of another house, or the data are on another calendar.
    """
    folder = library.fetch(version, scratch / "model")
    path = folder / RECIPE
    if not path.is_file():
        raise ModelIntegrityError(
            f"{version.id} has no {RECIPE}, which tells its horizon; register it anew"
        )
    features = library.input_names(folder)
    if features is None:
        raise ModelIntegrityError(
            f"{version.id} has no signature, which names its features; register it anew"
        )
    recipe = Recipe.from_json(path.read_text())
    bars = data(own_columns(recipe.feature_set))
    if bars.calendar != recipe.calendar:
        raise InputError(
            f"{version.id} was trained on bars of calendar {recipe.calendar}, and these are of "
            f"{bars.calendar}; set calendar={recipe.calendar}, or train it anew on these"
        )
    return ExplanationTask(
        symbol=version.symbol,
        model_id=version.id,
        family=version.family,
        trained_until=version.trained_until,
        data=bars,
        model=folder,
        features=features,
        horizon=recipe.horizon,
        fill=settings.fill,
        samples={"rows": settings.explain_rows, "windows": settings.explain_windows},
        seed=settings.seed,
        folder=scratch / "explanation",
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
