"""From a dataset to an evaluated model, ready to be registered; many of them side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from brain.brief import Brief
from brain.errors import BrainError, TrainingError
from brain.naming import REGIMES, Family, Regime
from brain.recipes import Recipe
from brain.records import Evidence
from brain.stopwatch import Stopwatch
from brain.work import Failure
from brain.workers import Call, fresh_folder
from engine.data.dataset import Dataset
from engine.evaluation.metrics import evaluate, net_returns
from engine.evaluation.nights import NightTable, complete_days, days_of, night_evidence
from engine.evaluation.profit_table import profit_columns
from engine.evaluation.rules import Decisions, OutOfSample, decisions, later_decisions
from engine.evaluation.trading import trading_of
from engine.evaluation.trial_count import effective_trials
from engine.evaluation.walk_forward import Fold, TrainingPlan, out_of_sample
from engine.kernels.columns import Floats
from engine.night.search import Search, search

__all__ = [
    "SearchResult",
    "Task",
    "TrainingResult",
    "train",
    "training_call",
    "tune",
    "tuning_call",
]

# Relative cost of a family's fit on the same rows.
_COST = {Family.LSTM: 8, Family.XGBOOST: 1, Family.LIGHTGBM: 1}


@dataclass(frozen=True, repr=False)
class Task(Brief):
    """A model to train.

    Attributes:
        recipe: to refit; None to search for one.
        folder: of the model's files; what is in it is deleted.
        known: what the recipe predicted and decided so far on the dataset's rows, which then takes
            the place of a walk-forward; None to walk forward.
    """

    dataset: Dataset
    family: Family
    recipe: Recipe | None
    plan: TrainingPlan
    folder: Path
    known: OutOfSample | None = None


@dataclass(frozen=True, repr=False)
class TrainingResult(Brief):
    """A model refitted on all rows, and the evaluation of its recipe out of sample.

    Attributes:
        search: behind the recipe; None if the task had a recipe.
        evidence: by regime and over all bars.
        prediction: (N,) out-of-sample predictions, NaN before the first test row.
        earlier: (N,) in the first fold's training rows, NaN elsewhere.
        decisions: of the predictions.
        nights: of the same decisions: complete nights, from the first one that is all predicted on.
        tried: recipes that were tried before this one was chosen, itself included: the effective
            number of the search's trials, or all of them where their predictions are not at hand.
        net: (N,) net return of each bar by the regime of the decisions, see
            :func:`engine.evaluation.metrics.net_returns`; over all bars it is in ``profit``.
        profit: (N,) each, see :func:`engine.evaluation.profit_table.profit_columns`.
        folder: of the MLflow model.
        seconds: by stage.
    """

    symbol: str
    family: Family
    recipe: Recipe
    search: Search | None
    evidence: dict[str, Evidence]
    prediction: Floats
    earlier: Floats
    decisions: Decisions
    nights: NightTable
    tried: float
    net: dict[Regime, Floats]
    profit: dict[str, Floats]
    folder: Path
    seconds: dict[str, float]

    def __str__(self) -> str:
        return f"{self.symbol} {self.family} trained in {sum(self.seconds.values()):.0f} s"


@dataclass(frozen=True, repr=False)
class SearchResult(Brief):
    """A search, without a model."""

    symbol: str
    family: Family
    search: Search

    def without_predictions(self) -> SearchResult:
        """The same without the trials' predictions, which are large."""
        nothing = self.search.predictions.iloc[:0].copy()
        return replace(self, search=replace(self.search, predictions=nothing))

    def __str__(self) -> str:
        return f"{self.symbol} {self.family}: {len(self.search.trials)} trials"


def train(task: Task) -> TrainingResult:
    """Search if there is no recipe, evaluate the recipe out of sample, refit it on all rows.

    Raises:
        TrainingError, NotEnoughBarsError: the model can't be fitted or evaluated.
    """
    from engine import families
    from engine.night.model_folder import write_model

    dataset, recipe, stopwatch = task.dataset, task.recipe, Stopwatch()
    trials: Search | None = None
    with stopwatch.stage("search"):
        if recipe is None:
            trials = search(dataset, task.family, task.plan)
            recipe = trials.recipe
    with stopwatch.stage("walk_forward"):
        earlier, prediction, choice = _out_of_sample(task, recipe)
    with stopwatch.stage("judge"):
        trading = trading_of(dataset, choice.cost)
        evidence = evaluate(
            prediction, dataset.target, dataset.forward_return, trading, choice.position
        )
        nights = _nights(prediction, choice, dataset)
        net = {regime: net_returns(choice.position, trading, regime) for regime in REGIMES}
        profit = profit_columns(choice.position, trading)
    with stopwatch.stage("refit"):
        fitted = families.family(task.family).fit(
            dataset.features,
            dataset.target,
            hyperparameters=recipe.hyperparameters,
            seed=recipe.seed,
            seeds=recipe.seeds,
        )
    with stopwatch.stage("save"):
        fresh_folder(task.folder)
        write_model(fitted, dataset, recipe, choice.rule, task.folder)
    return TrainingResult(
        symbol=dataset.symbol,
        family=task.family,
        recipe=recipe,
        search=trials,
        evidence=evidence,
        prediction=prediction,
        earlier=earlier,
        decisions=choice,
        nights=nights,
        tried=_tried(recipe, trials),
        net=net,
        profit=profit,
        folder=task.folder,
        seconds=stopwatch.seconds,
    )


def _out_of_sample(task: Task, recipe: Recipe) -> tuple[Floats, Floats, Decisions]:
    """Predictions before and in the folds, (N,) each, and the decisions of the latter."""
    dataset, plan, known = task.dataset, task.plan, task.known
    if known is not None:
        return known.earlier, known.prediction, later_decisions(known, dataset, plan)
    folds = plan.walk(len(dataset), dataset.reach)
    inner = plan.inner_walk(len(dataset), dataset.reach)
    earlier, prediction = (_predictions(dataset, recipe, walk) for walk in (inner, folds))
    return earlier, prediction, decisions(prediction, earlier, dataset, folds, plan)


def _nights(prediction: Floats, choice: Decisions, dataset: Dataset) -> NightTable:
    """The evidence of complete nights after the one in which the first prediction is made."""
    trading, times = trading_of(dataset, choice.cost), dataset.close_ns
    table = night_evidence(prediction, choice.position, trading, dataset.volatility, times)
    predicted = days_of(times[np.isfinite(prediction)])
    complete = np.isin(table.days, complete_days(times))
    return table.nights(complete & (table.days > predicted.min(initial=table.days[-1])))


def _tried(recipe: Recipe, trials: Search | None) -> float:
    if trials is None:
        return float(max(1, recipe.trials))
    return effective_trials(trials.predictions.to_numpy())


def _predictions(dataset: Dataset, recipe: Recipe, walk: tuple[Fold, ...]) -> Floats:
    """Out of sample in the test blocks of a walk, (N,); NaN elsewhere."""
    from engine import families

    return out_of_sample(
        families.family(recipe.family),
        dataset.features,
        dataset.target,
        walk,
        hyperparameters=recipe.hyperparameters,
        seed=recipe.seed,
        seeds=recipe.seeds,
    )


def tune(task: Task) -> SearchResult:
    """Search the family's hyperparameters; the task's recipe is ignored.

    Raises:
        TrainingError, NotEnoughBarsError: no trial succeeded.
    """
    return SearchResult(
        task.dataset.symbol, task.family, search(task.dataset, task.family, task.plan)
    )


def training_call(task: Task) -> Call:
    """:func:`train` for a worker."""
    return Call(train, task, _failure, TrainingError, _cost(task), _labels(task))


def tuning_call(task: Task) -> Call:
    """:func:`tune` for a worker."""
    return Call(tune, task, _failure, TrainingError, _cost(task), _labels(task))


def _labels(task: Task) -> dict[str, str]:
    return {"symbol": task.dataset.symbol, "family": task.family}


def _cost(task: Task) -> int:
    return _COST[task.family] * len(task.dataset)


def _failure(task: Task, error: BrainError) -> Failure:
    return Failure(task.dataset.symbol, error, task.family, symbol=task.dataset.symbol)
