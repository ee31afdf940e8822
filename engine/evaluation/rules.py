"""The position rule as it was known before each fold, and as it is known after all of them.

Slopes come from out-of-sample predictions whose targets had ended, and the spread from bars that
were over, when the fold began. Before the first fold there are the predictions of an inner
walk-forward in its training rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from brain.brief import Brief
from brain.costs import Costs
from engine.data.dataset import Dataset
from engine.evaluation.calibration import slopes
from engine.evaluation.walk_forward import Fold, TrainingPlan
from engine.kernels.columns import Floats
from engine.kernels.position import PositionRule
from engine.kernels.spread import Spread

__all__ = ["Decisions", "OutOfSample", "decisions", "fold_rule", "later_decisions"]


@dataclass(frozen=True, repr=False)
class Decisions(Brief):
    """What a model's predictions decide.

    Attributes:
        position: (N,) of the rule known before each row's fold, see
            :meth:`engine.kernels.position.PositionRule.decide`; NaN before the first fold.
        cost: (N,) of each unit traded in each bar, as a share, as it was known then.
        rule: known after the last row, for the bars to come.
        costs: of each unit traded, by the settings.
        spread: estimated from all bars; None if the half spread is a setting.
    """

    position: Floats
    cost: Floats
    rule: PositionRule
    costs: Costs
    spread: Spread | None

    @property
    def half_spread(self) -> str:
        """The half spread that counts after the last row, and where it is from, in words."""
        if self.spread is None:
            return f"{self.costs.half_spread:g} bp by the settings"
        if self.spread.significant:
            return f"{self.spread.half_bp:.1f} ± {self.spread.error_bp:.1f} bp by the bars"
        if math.isnan(self.spread.square_error):
            return "0 bp: unknown, for the bars are too few; set it if it is known"
        below = f"below {self.spread.resolution_bp:.1f} bp"
        return f"0 bp: {below}, which the bars don't tell from none; set it if it is known"


@dataclass(frozen=True, repr=False)
class OutOfSample(Brief):
    """What a recipe predicted and decided on rows that its fits had not seen, (N,) each.

    Attributes:
        prediction: of the walk-forward, and of the shadows after it; NaN is none.
        earlier: in the first fold's training rows; NaN elsewhere.
        position: decided by the rule of the time; NaN is no decision.
        cost: of each unit traded, as a share, as it was known then.
    """

    prediction: Floats
    earlier: Floats
    position: Floats
    cost: Floats


def decisions(
    prediction: Floats,
    earlier: Floats,
    dataset: Dataset,
    folds: tuple[Fold, ...],
    plan: TrainingPlan,
) -> Decisions:
    """The decisions of a walk-forward.

    Args:
        prediction: (N,) out of sample in the folds' test blocks, NaN elsewhere.
        earlier: (N,) out of sample in the first fold's training rows, NaN elsewhere.
        dataset: of the predictions.
        folds: of the walk-forward.
        plan: what a position has to gain, and what trading costs.
    """
    position, cost = np.full(len(dataset), np.nan), np.full(len(dataset), np.nan)
    for fold in folds:
        rule = fold_rule(prediction, earlier, dataset, fold, plan)
        test = slice(fold.test_start, fold.test_end)
        before = position[test.start - dataset.horizon : test.start]
        position[test] = rule.decide(
            prediction[test], dataset.volatility[test], dataset.regimes[test], before
        )
        cost[fold.test_start :] = rule.cost / 10_000
    cost[: folds[0].test_start] = cost[folds[0].test_start]
    return later_decisions(OutOfSample(prediction, earlier, position, cost), dataset, plan)


def later_decisions(known: OutOfSample, dataset: Dataset, plan: TrainingPlan) -> Decisions:
    """Decisions that are made already, and the rule that they and their predictions teach by now.

    Args:
        known: on the dataset's rows.
        dataset: of the predictions.
        plan: what a position has to gain, and what trading costs.
    """
    spread = _spread(dataset, plan, len(dataset))
    predictions = np.where(np.isfinite(known.prediction), known.prediction, known.earlier)
    last = _rule(predictions, dataset, plan, len(dataset), spread)
    return Decisions(known.position, known.cost, last, plan.costs, spread)


def fold_rule(
    prediction: Floats, earlier: Floats, dataset: Dataset, fold: Fold, plan: TrainingPlan
) -> PositionRule:
    """The rule as it was known before a fold; arguments as of :func:`decisions`."""
    predictions = np.where(np.isfinite(prediction), prediction, earlier)
    spread = _spread(dataset, plan, fold.test_start)
    return _rule(predictions, dataset, plan, fold.train_end, spread)


def _rule(
    prediction: Floats, dataset: Dataset, plan: TrainingPlan, rows: int, spread: Spread | None
) -> PositionRule:
    """The rule of the first rows' predictions at that spread."""
    fitted = slopes(
        prediction[:rows], dataset.target[:rows], dataset.regimes[:rows], dataset.horizon
    )
    cost = plan.costs.total(_half_spread(plan, spread))
    return PositionRule(
        horizon=dataset.horizon,
        slope=fitted.common,
        slopes=fitted.regimes,
        cost=cost,
        threshold=2.0 * plan.threshold * cost,
        fill=dataset.fill,
    )


def _spread(dataset: Dataset, plan: TrainingPlan, bars: int) -> Spread | None:
    """The estimate from the first bars; None if the half spread is a setting."""
    return dataset.spread(bars) if plan.costs.half_spread is None else None


def _half_spread(plan: TrainingPlan, spread: Spread | None) -> float:
    """The half spread by the setting or the estimate, basis points; 0 if not told from none."""
    if plan.costs.half_spread is not None:
        return plan.costs.half_spread
    return spread.half_bp if spread is not None and spread.significant else 0.0
