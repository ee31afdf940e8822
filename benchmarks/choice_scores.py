"""Scores of a design choice out of sample, and their paired differences.

A score is the mean of one number a row, so two choices are compared by the mean of the differences
on the same rows, whose error :func:`engine.evaluation.metrics.paired_difference` gives:

* *rank IC*: the product of the standardised ranks of prediction and outcome. The outcome is the
  same for all choices of one horizon: the return from fill to fill in units of the volatility known
  at the time, not clipped.
* *gross and net Sharpe*: the return of each bar under the always-in sign rule, over its standard
  deviation, annualised.

The ranks' and returns' own spread counts as known; at values this small that is a rounding error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, zscore

from benchmarks.choice_bars import Series
from benchmarks.choice_list import GROUPS, Choice, price_volume_correlations
from brain.naming import Family
from brain.records import Estimate, Evidence
from engine.data.dataset import Dataset, make_dataset
from engine.data.frames import bar_volatility
from engine.evaluation.metrics import evaluate, net_returns, paired_difference
from engine.evaluation.trading import ALL, Trading, always_in, trading_of
from engine.evaluation.walk_forward import TrainingPlan, out_of_sample
from engine.families import family
from engine.kernels.columns import Floats
from engine.kernels.targets import in_volatility_units, scaled_target

__all__ = ["MEASURES", "Prediction", "Scores", "difference", "pooled", "predict"]

MEASURES = ("rank IC", "gross Sharpe", "net Sharpe")


@dataclass(frozen=True)
class Scores:
    """A choice's scores, with one family or as the mean of several.

    Attributes:
        horizon: bars.
        rows: (N,) numbers of each of :data:`MEASURES`; NaN outside the evaluation.
    """

    horizon: int
    rows: dict[str, Floats]

    @classmethod
    def mean(cls, several: Sequence[Scores]) -> Scores:
        """Of the same choice with several families."""
        rows = {m: np.mean([scores.rows[m] for scores in several], axis=0) for m in MEASURES}
        return cls(several[0].horizon, rows)


@dataclass(frozen=True)
class Prediction:
    """Out-of-sample predictions of a choice with one family.

    Attributes:
        dataset: of the series at the choice's horizon.
        outcome: (N,) the return to come in units of volatility, not clipped.
        values: (N,) in the same units; NaN outside the evaluation.
        cost: of each unit traded, as a share.
    """

    dataset: Dataset
    outcome: Floats
    values: Floats
    cost: float

    def evidence(self) -> Evidence:
        """The evaluation over all bars."""
        trading = trading_of(self.dataset, self.cost)
        return evaluate(self.values, self.outcome, self.dataset.forward_return, trading)[ALL]

    def scores(self) -> Scores:
        """The row by row numbers behind each measure."""
        trading, free = (trading_of(self.dataset, cost) for cost in (self.cost, 0.0))
        rows = {
            "rank IC": _rank_products(self.values, self.outcome),
            "gross Sharpe": _annual(net_returns(always_in(self.values), free), trading),
            "net Sharpe": _annual(net_returns(always_in(self.values), trading), trading),
        }
        return Scores(self.dataset.horizon, rows)


def predict(series: Series, choice: Choice, names: Iterable[Family]) -> dict[Family, Prediction]:
    """Walk forward with each family at its default hyperparameters.

    Raises:
        NotEnoughBarsError: the series is too short.
        TrainingError: a fold can't be fitted.
    """
    plan = TrainingPlan(first_test=series.first_test, seed=choice.seed)
    dataset = make_dataset(series.bars, horizon=choice.horizon)
    volatility = bar_volatility(series.bars)
    outcome = scaled_target(dataset.fill_price, volatility, choice.horizon, math.inf)
    target = np.clip(outcome, -choice.limit, choice.limit)
    if not choice.scaled:
        target = dataset.forward_return
    features = _features(series, dataset, choice)
    folds = plan.walk(len(dataset), dataset.reach)
    predictions = {}
    for name in names:
        values = out_of_sample(
            family(name),
            features,
            target,
            folds,
            hyperparameters={"elbow": choice.elbow},
            seed=plan.seed,
        )
        if not choice.scaled:
            values = in_volatility_units(values, volatility, choice.horizon, math.inf)
        predictions[name] = Prediction(dataset, outcome, values, plan.costs.total(0.0) / 10_000)
    return predictions


def difference(scores: Scores, other: Scores, measure: str) -> Estimate:
    """A measure of ``scores`` less that of ``other``, on the same rows.

    NaN for the rank ICs of two horizons, whose outcomes are not the same.
    """
    if measure == "rank IC" and scores.horizon != other.horizon:
        return Estimate(np.nan, np.nan)
    horizon = max(scores.horizon, other.horizon)
    return paired_difference(scores.rows[measure], other.rows[measure], horizon)


def pooled(estimates: Iterable[Estimate]) -> Estimate:
    """The mean of independent estimates, weighted by the inverse of their variance.

    Estimates without an error don't count; NaN without any.
    """
    known = [e for e in estimates if math.isfinite(e.value) and e.error > 0]
    if not known:
        return Estimate(np.nan, np.nan)
    weights = np.array([e.error**-2 for e in known])
    value = float(np.average([e.value for e in known], weights=weights))
    return Estimate(value, float(weights.sum() ** -0.5))


def _features(series: Series, dataset: Dataset, choice: Choice) -> Floats:
    prefixes = GROUPS[choice.without] if choice.without else ()
    stay = [not name.startswith(prefixes) for name in dataset.names]
    features = dataset.features[:, stay]
    if choice.correlations:
        features = np.column_stack([features, price_volume_correlations(series.bars)])
    return features


def _rank_products(prediction: Floats, outcome: Floats) -> Floats:
    products = np.full(len(prediction), np.nan)
    rows = np.isfinite(prediction) & np.isfinite(outcome)
    ranks = (zscore(rankdata(values[rows])) for values in (prediction, outcome))
    products[rows] = np.multiply(*ranks)
    return products


def _annual(returns: Floats, trading: Trading) -> Floats:
    """Returns whose mean is their annual Sharpe ratio."""
    annual: Floats = returns / np.nanstd(returns) * math.sqrt(trading.existing_per_year)
    return annual
