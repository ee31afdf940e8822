"""The search for hyperparameters, inside the first training fold only.

Every row of the evaluation comes after the rows of the search, so one search serves every fold, and
the walk-forward evaluates the very recipe that will be refitted, not a mixture of several. The
out-of-sample predictions of each trial are part of the result: the number of trials, and how alike
they are, tell a later test how lucky the best of them was.

A trial is one fit a fold, whatever the number of seeds of the recipe: several would cost as many
times as much, and what is searched are the hyperparameters of the recipe's members.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brain.brief import Brief
from brain.errors import NotEnoughBarsError, TrainingError
from brain.naming import Family
from brain.recipes import Recipe
from engine import families
from engine.data.dataset import Dataset
from engine.evaluation.walk_forward import TrainingPlan, out_of_sample
from engine.kernels.columns import Floats

if TYPE_CHECKING:
    import optuna
    import pandas as pd

__all__ = ["Search", "search"]

logger = logging.getLogger(__name__)

# A trial may need more than the rows have, such as an LSTM's long window; another may not.
_TRIAL_ERRORS = (TrainingError, NotEnoughBarsError)


@dataclass(frozen=True, repr=False)
class Search(Brief):
    """All trials of a search, and the recipe of the best one.

    Attributes:
        recipe: the best trial's.
        trials: a row a trial: number, rank IC (NaN: failed), seconds, error (None: succeeded),
            hyperparameters.
        predictions: out of sample, bar close times × trial numbers; NaN is no prediction. A trial
            that failed before its predictions has no column.
    """

    recipe: Recipe
    trials: pd.DataFrame
    predictions: pd.DataFrame


def search(dataset: Dataset, family: Family, plan: TrainingPlan) -> Search:
    """Search a family's hyperparameters in the rows before the first test fold.

    Raises:
        NotEnoughBarsError: too few rows for the folds.
        TrainingError: every trial failed.
    """
    import optuna

    folds = plan.inner_walk(len(dataset), dataset.reach)
    end = folds[-1].test_end
    model = families.family(family)
    predictions: dict[int, Floats] = {}

    def attempt(trial: optuna.Trial) -> float:
        hyperparameters = model.suggest(trial)
        prediction = out_of_sample(
            model,
            dataset.features[:end],
            dataset.target[:end],
            folds,
            hyperparameters=hyperparameters,
            seed=plan.seed,
        )
        predictions[trial.number] = prediction
        # The trial's parameters are only those with a search; a refit needs all of them.
        trial.set_user_attr("hyperparameters", hyperparameters)
        return _rank_correlation(prediction, dataset.target[:end])

    def rank_ic(trial: optuna.Trial) -> float:
        try:
            return attempt(trial)
        except _TRIAL_ERRORS as error:
            logger.warning("%s %s: trial %d: %s", dataset.symbol, family, trial.number, error)
            trial.set_user_attr("error", str(error))
            raise

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it would add a traceback to each
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=plan.seed)
    )
    study.enqueue_trial(model.defaults())
    study.optimize(rank_ic, n_trials=plan.trials, catch=_TRIAL_ERRORS)
    close_time = dataset.close_time[:end]
    recipe = _recipe(study, dataset, family, plan, tuned_until=close_time[-1].isoformat())
    return Search(recipe, _trials(study), _frame(predictions, close_time))


def _recipe(
    study: optuna.Study, dataset: Dataset, family: Family, plan: TrainingPlan, tuned_until: str
) -> Recipe:
    if all(trial.value is None for trial in study.trials):
        last = study.trials[-1].user_attrs.get("error")
        raise TrainingError(
            f"all {plan.trials} trials of {family} on {dataset.symbol} failed, the last: {last}"
        )
    return Recipe(
        family=family,
        feature_set=dataset.feature_set,
        horizon=dataset.horizon,
        hyperparameters=study.best_trial.user_attrs["hyperparameters"],
        seed=plan.seed,
        seeds=plan.seeds_of(family),
        timeframe=dataset.timeframe,
        calendar=dataset.calendar,
        target=dataset.target_name,
        trials=plan.trials,
        tuned_until=tuned_until,
    )


def _trials(study: optuna.Study) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "trial": trial.number,
            "rank_ic": math.nan if trial.value is None else trial.value,
            "seconds": trial.duration.total_seconds() if trial.duration else math.nan,
            "error": trial.user_attrs.get("error"),
            **trial.params,
        }
        for trial in study.trials
    )


def _frame(predictions: dict[int, Floats], close_time: pd.DatetimeIndex) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(predictions, index=close_time).dropna(how="all")
    frame.columns = [str(number) for number in predictions]
    return frame


def _rank_correlation(prediction: Floats, target: Floats) -> float:
    from scipy.stats import spearmanr

    valid = np.isfinite(prediction) & np.isfinite(target)
    x, y = prediction[valid], target[valid]
    if x.size < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        raise TrainingError(
            f"{x.size} predictions with a target, which are constant or too few to rank; "
            "the trial counts as failed"
        )
    return float(spearmanr(x, y).statistic)
