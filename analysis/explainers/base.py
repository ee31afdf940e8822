"""A fitted model on a series of rows, asked about single moments.

A moment is the row at which a look-back ends. To ask about one, an LSTM gets all of its look-back,
a boosted tree that row alone; whoever explains them need not know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from analysis.sampling import Array, Rows
from brain.errors import AnalysisError

if TYPE_CHECKING:
    from engine.families.base import FittedModel

__all__ = ["Contributions", "Explainer"]


@dataclass(frozen=True)
class Contributions:
    """What each feature adds to each prediction, in the target's unit.

    Attributes:
        values: (n, F); an LSTM's are summed over the steps of the look-back.
        base: (n,) what the prediction is without any feature.
    """

    values: Array
    base: Array

    def error(self, prediction: Array) -> float:
        """The largest deviation of their sum from the predictions (n,)."""
        return float(np.abs(self.values.sum(axis=1) + self.base - prediction).max())


class Explainer(ABC):
    """A fitted model and the rows (N, F) that it is explained on.

    Attributes:
        samples: how many moments are worth explaining: ``"rows"`` or ``"windows"``.
        prediction: (N,) as :meth:`engine.families.base.FittedModel.predict`.
        moments: rows with a prediction and some input to explain it by.
    """

    samples: ClassVar[str]

    def __init__(self, fitted: FittedModel, rows: Array) -> None:
        self.fitted = fitted
        self.rows = rows
        self.prediction = fitted.predict(rows)
        seen = np.cumsum(~np.isnan(rows).all(axis=1))
        before = np.concatenate([np.zeros(fitted.look_back, seen.dtype), seen])[: len(rows)]
        self.moments: Rows = np.flatnonzero(np.isfinite(self.prediction) & (seen > before))
        known = self.prediction[self.moments]
        if known.size == 0 or known.min() == known.max():
            raise AnalysisError(
                f"the model predicts {known[0] if known.size else 'nothing'} at all of "
                f"{len(self.moments)} moments, so there is nothing to explain; train it anew"
            )

    @abstractmethod
    def contributions(self, moments: Rows, references: Rows) -> Contributions:
        """Split the predictions at these moments up among the features.

        Args:
            references: moments of the training to compare with; trees carry their own.
        """

    def exact(self, moments: Rows) -> Array:
        """What contributions must add up to: the predictions (n,), as exactly as they are known."""
        return self.prediction[moments]

    @abstractmethod
    def tolerance(self, moments: Rows) -> tuple[float, float]:
        """The largest error of additivity that is accepted at these moments, and its unit."""

    @abstractmethod
    def shuffled(self, moments: Rows, donors: Rows, feature: int) -> Array:
        """Predictions (n,) with one feature's values taken from other moments' look-backs."""
