"""The search for hyperparameters, inside the first training fold only.

Whatever is judged later lies behind the rows that the search has seen, so one search serves every
fold, and what the walk-forward measures is the recipe that will be refitted, not a mixture of many.
Each trial's own out-of-sample series is kept: how many trials there were, and how alike, is what a
later test needs to say how lucky the best of them was.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from brain.errors import NotEnoughBarsError, TrainingError
from brain.naming import Family
from brain.recipes import Recipe
from engine import families
from engine.data.dataset import Dataset
from engine.evaluation.walk_forward import Plan, out_of_sample, walk_forward

if TYPE_CHECKING:
    import optuna
    import pandas as pd

__all__ = ["Search", "search"]

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]

# A trial may ask for what the rows don't give, such as an LSTM's long window; another may not.
_FAILED = (TrainingError, NotEnoughBarsError)


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
        recipe: the best trial's.
        trials: a row a trial: number, rank IC (NaN: failed), seconds, error (None: succeeded),
            hyperparameters.
        series: out-of-sample predictions, bar close times × trial numbers; NaN is no prediction.
            A trial that failed before it predicted has no column.
    """

    recipe: Recipe
    trials: pd.DataFrame
    series: pd.DataFrame


def search(dataset: Dataset, family: Family, plan: Plan) -> Search:
    """Search a family's hyperparameters in the rows before the first test fold.

    Raises:
        NotEnoughBarsError: too few rows for the folds.
        TrainingError: every trial failed.
    """
    import optuna

    seen = plan.walk(len(dataset), dataset.horizon)[0].train_end
    folds = walk_forward(
        seen,
        folds=plan.tuning_folds,
        first_test=plan.first_test,
        horizon=dataset.horizon,
        embargo=plan.embargo,
    )
    model = families.family(family)
    series: dict[int, Array] = {}

    def attempt(trial: optuna.Trial) -> float:
        params = model.suggest(trial)
        prediction = out_of_sample(
            model,
            dataset.features[:seen],
            dataset.target[:seen],
            folds,
            params=params,
            seed=plan.seed,
        )
        series[trial.number] = prediction
        # The family may complete what was suggested; these are what the refit needs.
        trial.set_user_attr("hyperparameters", params)
        return _rank_correlation(prediction, dataset.target[:seen])

    def rank_ic(trial: optuna.Trial) -> float:
        try:
            return attempt(trial)
        except _FAILED as error:
            logger.warning("%s %s: trial %d: %s", dataset.symbol, family, trial.number, error)
            trial.set_user_attr("error", str(error))
            raise

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it would add a traceback to each
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=plan.seed)
    )
    study.enqueue_trial(model.defaults())
    study.optimize(rank_ic, n_trials=plan.trials, catch=_FAILED)
    return _result(study, series, dataset, family, plan, seen)


def _result(
    study: optuna.Study,
    series: dict[int, Array],
    dataset: Dataset,
    family: Family,
    plan: Plan,
    seen: int,
) -> Search:
    import pandas as pd

    finished = [t for t in study.trials if t.value is not None]
    if not finished:
        last = study.trials[-1].user_attrs.get("error")
        raise TrainingError(
            f"all {plan.trials} trials of {family} on {dataset.symbol} failed, the last: {last}"
        )
    recipe = Recipe(
        family=family,
        feature_set=dataset.feature_set,
        horizon=dataset.horizon,
        hyperparameters=study.best_trial.user_attrs["hyperparameters"],
        seed=plan.seed,
        timeframe=dataset.timeframe,
        target=dataset.target_name,
        trials=plan.trials,
        tuned_until=dataset.close_time[seen - 1].isoformat(),
    )
    trials = pd.DataFrame(
        {
            "trial": t.number,
            "rank_ic": math.nan if t.value is None else t.value,
            "seconds": t.duration.total_seconds() if t.duration else math.nan,
            "error": t.user_attrs.get("error"),
            **t.params,
        }
        for t in study.trials
    )
    predictions = pd.DataFrame(series, index=dataset.close_time[:seen]).dropna(how="all")
    predictions.columns = [str(number) for number in series]
    return Search(recipe, trials, predictions)


def _rank_correlation(prediction: Array, target: Array) -> float:
    known = np.isfinite(prediction) & np.isfinite(target)
    given, wanted = prediction[known], target[known]
    if given.size < 3 or np.ptp(given) == 0 or np.ptp(wanted) == 0:
        raise TrainingError(
            f"{given.size} predictions with a target, which are constant or too few to rank; "
            "the trial counts as failed"
        )
    return float(spearmanr(given, wanted).statistic)
