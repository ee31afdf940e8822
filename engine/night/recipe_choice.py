"""The recipe by which a symbol's family is refitted: the stored one as long as it fits.

A stored recipe is the family's current one or, of another line than that, the one of the line's
newest version. It fits if its family, features, timeframe, horizon, target and seed are those of
the training, and its search ends before the rows of the evaluation. Otherwise there is a new
search, and the log says why. Another number of ``trials`` is no misfit, so that a costly search
isn't repeated by itself: the log says so, and the setting ``retune`` repeats it. Nor is another
number of seeds, of which no search makes use: the recipe is refitted with tonight's.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from brain.artifacts import RECIPE
from brain.errors import BrainError, TrackingUnreachableError
from brain.lines import Line, line_of
from brain.model_keys import ModelKey
from brain.naming import Family
from brain.recipes import Recipe
from brain.scratch import scratch_folder
from engine.data.dataset import Dataset
from engine.evaluation.walk_forward import TrainingPlan
from registry.library import BrainLibrary

__all__ = ["reusable_recipe"]

logger = logging.getLogger(__name__)


def reusable_recipe(
    library: BrainLibrary, dataset: Dataset, family: Family, plan: TrainingPlan
) -> Recipe | None:
    """The stored recipe of the dataset's line, with tonight's seeds, if it fits, else None.

    Args:
        library: where recipes are stored.
        dataset: of the training.
        family: of the recipe.
        plan: of tonight's walk-forward.

    Raises:
        LibraryError: the tracking server does not answer.
        NotEnoughBarsError: the rows are too few for the plan.
    """
    text = library.recipe(dataset.key, family)
    if text is None:
        return None
    try:
        recipe = Recipe.from_json(text)
        line = dataset.line(family)
        if line_of(recipe) != line:
            recipe = _of_newest_version(library, dataset.key, line) or recipe
        misfit = _misfit(recipe, dataset, plan)
        reason = f"recipe {recipe.id}, {misfit}, does not fit tonight's settings" if misfit else ""
    except (ValueError, TypeError) as error:  # InputError is a ValueError
        reason = str(error)
    if reason:
        logger.warning("%s %s: %s; searching again", dataset.symbol, family, reason)
        return None
    _log_trials(recipe, dataset, plan)
    return replace(recipe, seeds=plan.seeds_of(family))


def _of_newest_version(library: BrainLibrary, key: ModelKey, line: Line) -> Recipe | None:
    """The recipe of a line's newest version; None without one, or if its files are of no use."""
    version = next(library.line_versions(key, line.id), None)
    if version is None:
        return None
    try:
        with scratch_folder() as scratch:
            return Recipe.from_json((library.fetch(version, scratch) / RECIPE).read_text())
    except TrackingUnreachableError:
        raise
    except (BrainError, OSError) as error:
        logger.warning("the recipe of %s can't be read: %s", version.id, error)
        return None


def _misfit(recipe: Recipe, dataset: Dataset, plan: TrainingPlan) -> str | None:
    """The reason why a recipe does not fit; None if it does.

    Its search used targets, which look ahead. So its last bar must be one of the first training
    fold, whose end is purged and embargoed.
    """
    tonight = {
        "feature_set": dataset.feature_set,
        "timeframe": dataset.timeframe,
        "calendar": dataset.calendar,
        "horizon": dataset.horizon,
        "target": dataset.target_name,
        "seed": plan.seed,
    }
    for name, value in tonight.items():
        if getattr(recipe, name) != value:
            return f"whose {name} is {getattr(recipe, name)!r} and not {value!r}"
    first_fold = plan.walk(len(dataset), dataset.reach)[0]
    train_end = dataset.close_time[first_fold.train_end - 1]
    if datetime.fromisoformat(recipe.tuned_until) > train_end:
        return f"tuned on bars until {recipe.tuned_until} of which some are for the evaluation"
    return None


def _log_trials(recipe: Recipe, dataset: Dataset, plan: TrainingPlan) -> None:
    if recipe.trials in (0, plan.trials):
        return
    level = logging.WARNING if recipe.trials < plan.trials else logging.INFO
    logger.log(
        level,
        "%s %s: recipe %s was found by %d trials and is refitted, though trials=%d; "
        "set retune to search again",
        dataset.symbol, recipe.family, recipe.id, recipe.trials, plan.trials,
    )  # fmt: skip
