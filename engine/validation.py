"""Walk-forward validation: the plan, and the out-of-sample predictions that it yields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.families.base import ModelFamily
from engine.splits import Fold, walk_forward

__all__ = ["Plan", "out_of_sample"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """How a symbol's rows are walked through and searched.

    Attributes:
        folds: test blocks of the walk-forward.
        first_test: share of the rows before the first test row.
        embargo: rows left out between training and test, beyond the label's horizon.
        trials: hyperparameter trials, the family's defaults being the first.
        tuning_folds: test blocks inside the first training fold.
        cost: paid on each unit traded, as a share.
        seed: of every fit and search.
    """

    folds: int = 5
    first_test: float = 0.5
    embargo: int = 24
    trials: int = 8
    tuning_folds: int = 2
    cost: float = 0.0005
    seed: int = 7

    def walk(self, rows: int, horizon: int) -> tuple[Fold, ...]:
        """The folds on which a model of that many rows is judged.

        Raises:
            NotEnoughBarsError: the rows are too few for the plan.
        """
        return walk_forward(
            rows,
            folds=self.folds,
            first_test=self.first_test,
            horizon=horizon,
            embargo=self.embargo,
        )


def out_of_sample(
    model: ModelFamily,
    rows: Array,
    target: Array,
    folds: tuple[Fold, ...],
    *,
    params: Mapping[str, Any],
    seed: int,
) -> Array:
    """Walk forward: fit on each fold's past, predict its test rows.

    Args:
        rows: (N, F) features, NaN missing.
        target: (N,) labels, NaN unknown.
        folds: disjoint test blocks.

    Returns:
        (N,) predictions; NaN outside the test blocks.
    """
    prediction = np.full(len(rows), np.nan)
    for fold in folds:
        fitted = model.fit(
            rows[: fold.train_end], target[: fold.train_end], params=params, seed=seed
        )
        context = max(0, fold.test_start - fitted.look_back + 1)
        values = fitted.predict(rows[context : fold.test_end])
        prediction[fold.test_start : fold.test_end] = values[fold.test_start - context :]
    return prediction
