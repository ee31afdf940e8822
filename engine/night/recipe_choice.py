"""The recipe that a symbol's family is refitted by, if the stored one still answers the question.

A recipe is reused as long as what it was made for is what is asked: family, features, timeframe,
horizon, target and seed are those of tonight, and its search saw nothing that will be judged. Else
it is searched again, and the log says why. More ``trials`` than it was found by do not make it
unfit, so that a costly search isn't repeated unasked: that too is said, and ``retune`` repeats it.
"""

from __future__ import annotations

import logging
from datetime import datetime

from brain.naming import Family
from brain.recipes import Recipe
from engine.data.dataset import Dataset
from engine.evaluation.walk_forward import Plan
from registry.library import BrainLibrary

__all__ = ["stored_recipe"]

logger = logging.getLogger(__name__)


def stored_recipe(
    library: BrainLibrary, dataset: Dataset, family: Family, plan: Plan
) -> Recipe | None:
    """The family's stored recipe, None if there is none that fits.

    Raises:
        LibraryError: the tracking server does not answer.
        NotEnoughBarsError: the rows are too few for the plan.
    """
    text = library.recipe(dataset.symbol, family)
    if text is None:
        return None
    try:
        recipe = Recipe.from_json(text)
        misfit = _misfit(recipe, dataset, plan)
        why = f"recipe {recipe.id}, {misfit}, does not fit tonight's settings" if misfit else ""
    except (ValueError, TypeError) as error:  # InputError is a ValueError
        why = str(error)
    if why:
        logger.warning("%s %s: %s; searching again", dataset.symbol, family, why)
        return None
    _tell_trials(recipe, dataset, plan)
    return recipe


def _misfit(recipe: Recipe, dataset: Dataset, plan: Plan) -> str | None:
    """What of the recipe is not as asked; None if all is.

    Its search saw targets too, which look ahead: so nothing beyond the first training fold, whose
    end is purged and embargoed.
    """
    wanted = {
        "feature_set": dataset.feature_set,
        "timeframe": dataset.timeframe,
        "horizon": dataset.horizon,
        "target": dataset.target_name,
        "seed": plan.seed,
    }
    for name, value in wanted.items():
        if (found := getattr(recipe, name)) != value:
            return f"whose {name} is {found!r} and not {value!r}"
    first_fold = plan.walk(len(dataset), dataset.horizon)[0]
    last_seen = dataset.close_time[first_fold.train_end - 1]
    if datetime.fromisoformat(recipe.tuned_until) > last_seen:
        return f"tuned on bars until {recipe.tuned_until} of which some will be judged"
    return None


def _tell_trials(recipe: Recipe, dataset: Dataset, plan: Plan) -> None:
    if recipe.trials in (0, plan.trials):
        return
    level = logging.WARNING if recipe.trials < plan.trials else logging.INFO
    logger.log(
        level,
        "%s %s: recipe %s was found by %d trials and is refitted, though trials=%d; "
        "set retune to search again",
        dataset.symbol, recipe.family, recipe.id, recipe.trials, plan.trials,
    )  # fmt: skip
