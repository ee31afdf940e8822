"""Which versions a night fits anew, and what their walk-forward is.

Without the setting ``refit`` every night fits all, and walks forward anew. With it a line is fitted
anew when its newest version has reached that age, and its recipe has one walk-forward: that of its
first version. What the line's shadows have predicted and decided since goes on from there, as each
fit had not seen the bars that it was shadowed on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from brain.artifacts import WALK_FORWARD
from brain.errors import BrainError, TrackingUnreachableError
from brain.lines import line_of
from brain.scratch import scratch_folder
from engine.evaluation.rules import OutOfSample
from engine.night.shadows import stored_shadow

if TYPE_CHECKING:
    from brain.lines import Line
    from brain.recipes import Recipe
    from engine.data.dataset import Dataset
    from engine.night.training import TrainingResult
    from registry.library import BrainLibrary

__all__ = ["due_lines", "known_predictions", "write_walk_forward"]

logger = logging.getLogger(__name__)

_COLUMNS = ("prediction", "earlier", "position", "cost")


def due_lines(
    library: BrainLibrary, lines: Mapping[Line, Dataset], moment: datetime, age: timedelta | None
) -> dict[Line, Dataset]:
    """The lines that a night fits: those without a version, or whose newest one is that old.

    Args:
        library: of the versions.
        lines: of a symbol's night, each with its dataset.
        moment: of the night.
        age: at which a version is fitted anew; None fits all.
    """
    if age is None:
        return dict(lines)
    due = {}
    for line, dataset in lines.items():
        newest = next(library.line_versions(dataset.key, line.id), None)
        if newest is None or moment - datetime.fromisoformat(newest.made) >= age:
            due[line] = dataset
    return due


def known_predictions(
    library: BrainLibrary, dataset: Dataset, recipe: Recipe
) -> OutOfSample | None:
    """What a recipe predicted and decided so far on the dataset's rows.

    None if its line's newest version is of another recipe, or has no walk-forward to go on from.

    Args:
        library: of versions and shadows.
        dataset: of the line.
        recipe: that is to be refitted.
    """
    line = line_of(recipe)
    version = next(library.line_versions(dataset.key, line.id), None)
    if version is None or version.recipe != recipe.id:
        return None
    try:
        with scratch_folder() as scratch:
            table = pd.read_parquet(library.fetch_run_file(version, WALK_FORWARD, scratch))
    except TrackingUnreachableError:
        raise
    except (BrainError, OSError, ValueError) as error:
        logger.info("%s has no walk-forward to go on from: %s", version.id, error)
        return None
    times = dataset.close_time.as_unit("ns")
    walked = table.reindex(times)
    last = table.index[-1]
    shadow = stored_shadow(library.series, dataset, line)
    later = np.asarray(times > last) & shadow.predicted
    known = {name: walked[name].to_numpy(dtype=np.float64, copy=True) for name in _COLUMNS}
    for name in ("prediction", "position", "cost"):
        known[name][later] = getattr(shadow, name)[later]
    # A bar without a shadow trades nothing but what it closes, at the cost that was known.
    known["cost"] = pd.Series(known["cost"]).ffill().bfill().to_numpy()
    return OutOfSample(**known)


def write_walk_forward(dataset: Dataset, result: TrainingResult, folder: Path) -> None:
    """Write what :func:`known_predictions` of the line's next refit reads."""
    columns = (
        result.prediction, result.earlier, result.decisions.position, result.decisions.cost,
    )  # fmt: skip
    table = pd.DataFrame(
        dict(zip(_COLUMNS, columns, strict=True)),
        index=dataset.close_time.as_unit("ns").rename("close_time"),
    )
    table.to_parquet(folder / WALK_FORWARD)
