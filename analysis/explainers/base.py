"""The explainer of a fitted model: its predictions at single moments split up among the features.

A moment is the row at which a look-back ends. There an LSTM predicts from all rows of its look-back
and a boosted tree from that row alone; the interface is the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from analysis.sampling import Array, Rows
from brain.brief import Brief
from brain.errors import AnalysisError

if TYPE_CHECKING:
    from engine.families.base import FittedModel

__all__ = ["Contributions", "Explainer"]


@dataclass(frozen=True, repr=False)
class Contributions(Brief):
    """What each feature adds to each prediction, in the target's unit.

    Attributes:
        values: (n, F); an LSTM's are summed over the steps of the look-back.
        base: (n,) the prediction without any feature.
    """

    values: Array
    base: Array

    def error(self, prediction: Array) -> float:
        """The largest deviation of their sum from the predictions (n,)."""
        return float(np.abs(self.values.sum(axis=1) + self.base - prediction).max())


class Explainer(ABC):
    """A fitted model and the rows (N, F) that it is explained on.

    Args:
        fitted: the model.
        rows: (N, F) consecutive bars, NaN missing.

    Attributes:
        samples: what the number of explained moments depends on: ``"rows"`` or ``"windows"``.
        prediction: (N,) as :meth:`engine.families.base.FittedModel.predict`.
        moments: rows with a prediction and some input to explain it by.

    Raises:
        AnalysisError: the model predicts the same everywhere, or nowhere.
    """

    samples: ClassVar[str]

    def __init__(self, fitted: FittedModel, rows: Array) -> None:
        self.fitted = fitted
        self.rows = rows
        self.prediction = fitted.predict(rows)
        inputs = np.cumsum(~np.isnan(rows).all(axis=1))
        before = np.concatenate([np.zeros(fitted.look_back, inputs.dtype), inputs])[: len(rows)]
        self.moments: Rows = np.flatnonzero(np.isfinite(self.prediction) & (inputs > before))
        predictions = self.prediction[self.moments]
        if predictions.size == 0 or predictions.min() == predictions.max():
            raise AnalysisError(
                f"the model predicts {predictions[0] if predictions.size else 'nothing'} at all of "
                f"{len(self.moments)} moments, so there is nothing to explain; train it anew"
            )

    @abstractmethod
    def contributions(self, moments: Rows, references: Rows) -> Contributions:
        """Split the predictions at these moments up among the features.

        Args:
            moments: (n,) to explain.
            references: moments of the training to compare with; trees hold theirs.
        """

    def exact(self, moments: Rows) -> Array:
        """The predictions (n,) that contributions must add up to, as exactly as they can be."""
        return self.prediction[moments]

    @abstractmethod
    def tolerance(self, moments: Rows) -> tuple[float, float]:
        """The largest error of additivity that is accepted at these moments, and its unit."""

    @abstractmethod
    def shuffled(self, moments: Rows, donors: Rows, feature: int) -> Array:
        """Predictions (n,) with one feature's values from the look-backs of other moments.

        Args:
            moments: (n,) to predict at.
            donors: (n,) moments whose values of the feature are used.
            feature: its column.
        """
