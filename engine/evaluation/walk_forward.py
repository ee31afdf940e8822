"""Purged and embargoed walk-forward: the plan, its folds, and the out-of-sample predictions.

Row t is known at bar t's close, and its target needs ``reach`` rows more. A row may therefore train
a model that is evaluated from row ``test_start`` on only if its target has ended before that: the
last ``reach`` rows are *purged*, and ``embargo`` rows more are left out, so that the rows of
the evaluation are no near copies of those of the training (López de Prado 2018, chapter 7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from brain.costs import Costs
from brain.errors import InputError, NotEnoughBarsError
from brain.naming import Family
from engine.families.base import ModelFamily
from engine.families.seeds import SEEDS
from engine.kernels.columns import Floats

__all__ = ["Fold", "TrainingPlan", "out_of_sample", "walk_forward"]


@dataclass(frozen=True)
class Fold:
    """One step: train on rows ``[0, train_end)``, evaluate on ``[test_start, test_end)``."""

    train_end: int
    test_start: int
    test_end: int


def walk_forward(
    rows: int, *, folds: int, first_test: float, reach: int, embargo: int
) -> tuple[Fold, ...]:
    """An expanding walk over ``rows`` rows in ``folds`` steps of equal length.

    Args:
        rows: number of consecutive rows, oldest first.
        folds: number of test blocks; together they cover every row from the first test row on.
        first_test: share of the rows before the first test row, in (0, 1).
        reach: rows after its own that a target needs. With too small a value the targets of the
            training reach into the test block.
        embargo: further rows left out between training and test.

    Raises:
        InputError: an argument is out of range.
        NotEnoughBarsError: a training or test block would be empty.
    """
    if folds < 1 or reach < 1 or embargo < 0 or not 0 < first_test < 1:
        raise InputError(
            f"folds={folds}, reach={reach}, embargo={embargo}, first_test={first_test}: "
            "folds and reach start at 1, embargo at 0, and first_test lies between 0 and 1"
        )
    edges = np.linspace(round(rows * first_test), rows, folds + 1).round().astype(int)
    steps = tuple(
        Fold(int(start) - reach - embargo, int(start), int(end)) for start, end in pairwise(edges)
    )
    if steps[0].train_end < 1 or any(step.test_end <= step.test_start for step in steps):
        raise NotEnoughBarsError(
            f"{rows} rows are too few for {folds} folds after {first_test:.0%} of the rows with "
            f"reach {reach} and embargo {embargo}; bring more bars or ask for fewer folds"
        )
    return steps


_COSTS = Costs(fee=5.0, half_spread=0.0)


@dataclass(frozen=True)
class TrainingPlan:
    """The plan of a symbol's search and walk-forward.

    Attributes:
        folds: test blocks of the walk-forward.
        first_test: share of the rows before the first test row.
        embargo: rows left out between training and test, beyond the target's reach.
        trials: hyperparameter trials, the family's defaults being the first.
        tuning_folds: test blocks inside the first training fold.
        costs: of each unit traded.
        threshold: least expected gain of a position, in costs of opening and closing it.
        seed: of every fit and search.
        seeds: number of fits whose mean each model predicts; by the family if None.
    """

    folds: int = 5
    first_test: float = 0.5
    embargo: int = 24
    trials: int = 8
    tuning_folds: int = 2
    costs: Costs = _COSTS
    threshold: float = 1.0
    seed: int = 7
    seeds: int | None = None

    def seeds_of(self, family: Family) -> int:
        """The number of fits whose mean a model of that family predicts."""
        return SEEDS[family] if self.seeds is None else self.seeds

    def walk(self, rows: int, reach: int) -> tuple[Fold, ...]:
        """The folds on which a model of that many rows is evaluated.

        Raises:
            InputError: a value of the plan is out of range.
            NotEnoughBarsError: the rows are too few for the plan.
        """
        return walk_forward(
            rows,
            folds=self.folds,
            first_test=self.first_test,
            reach=reach,
            embargo=self.embargo,
        )

    def inner_walk(self, rows: int, reach: int) -> tuple[Fold, ...]:
        """The folds inside the first training fold: for the search, and for the first slope.

        Raises:
            InputError, NotEnoughBarsError: as :meth:`walk`.
        """
        return walk_forward(
            self.walk(rows, reach)[0].train_end,
            folds=self.tuning_folds,
            first_test=self.first_test,
            reach=reach,
            embargo=self.embargo,
        )


def out_of_sample(
    family: ModelFamily,
    rows: Floats,
    target: Floats,
    folds: tuple[Fold, ...],
    *,
    hyperparameters: Mapping[str, Any],
    seed: int,
    seeds: int = 1,
) -> Floats:
    """Walk forward: fit on each fold's past, predict its test rows.

    Args:
        family: to fit.
        rows: (N, F) features, NaN missing.
        target: (N,) targets, NaN unknown.
        folds: disjoint test blocks.
        hyperparameters, seed, seeds: of every fit.

    Returns:
        (N,) predictions; NaN outside the test blocks.

    Raises:
        TrainingError, NotEnoughBarsError: a fold can't be fitted.
    """
    prediction = np.full(len(rows), np.nan)
    for fold in folds:
        train = slice(fold.train_end)
        fitted = family.fit(
            rows[train], target[train], hyperparameters=hyperparameters, seed=seed, seeds=seeds
        )
        context = max(0, fold.test_start - fitted.look_back + 1)
        values = fitted.predict(rows[context : fold.test_end])
        prediction[fold.test_start : fold.test_end] = values[fold.test_start - context :]
    return prediction
