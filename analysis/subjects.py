"""A fitted model on a series of rows, asked about single moments.

A moment is the row at which a look-back ends. To ask about one, an LSTM gets all of its look-back,
a boosted tree that row alone; whoever explains them need not know.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from analysis.sampling import Array, Rows
from registry.errors import AnalysisError
from registry.naming import Family

if TYPE_CHECKING:
    from engine.families.base import Fitted

__all__ = ["Contributions", "Subject", "TreeSubject", "XgBoostSubject", "subject"]

_TREES = 20  # that are added up in single precision


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


class Subject(ABC):
    """A fitted model and the rows (N, F) that it is explained on.

    Attributes:
        samples: how many moments are worth explaining: ``"rows"`` or ``"windows"``.
        prediction: (N,) as :meth:`engine.families.base.Fitted.predict`.
        moments: rows with a prediction and some input to explain it by.
    """

    samples: ClassVar[str]

    def __init__(self, fitted: Fitted, rows: Array) -> None:
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


class TreeSubject(Subject):
    """Boosted trees. Their contributions are exact Shapley values of the path-dependent game.

    Both libraries compute them natively (Lundberg et al. 2020, "From local explanations to global
    understanding with explainable AI for trees"), as ``shap.TreeExplainer`` would, which calls
    them.
    """

    samples: ClassVar = "rows"
    fitted: Any  # its booster is untyped

    def contributions(self, moments: Rows, references: Rows) -> Contributions:
        table = self._contributions(self.rows[moments])
        return Contributions(table[:, :-1], table[:, -1])

    def _contributions(self, rows: Array) -> Array:
        """(n, F + 1), the base last."""
        table = self.fitted.booster.predict(rows, pred_contrib=True, num_threads=1)
        return np.asarray(table, dtype=np.float64)

    def tolerance(self, moments: Rows) -> tuple[float, float]:
        # Rounding is relative to what is added up.
        return 1e-6 * max(1.0, float(np.abs(self.prediction[moments]).max())), 1.0

    def shuffled(self, moments: Rows, donors: Rows, feature: int) -> Array:
        rows = self.rows[moments]
        rows[:, feature] = self.rows[donors, feature]
        return np.asarray(self.fitted.predict(rows))


class XgBoostSubject(TreeSubject):
    """XGBoost adds its trees up in single precision, which costs a prediction near 1 up to 1e-6.

    So a few trees at a time are asked and added up in double precision, contributions and
    predictions alike: their sums then meet to some 1e-7, and an error is an error.
    """

    def _contributions(self, rows: Array) -> Array:
        parts = self._parts(rows, pred_contribs=True)
        parts[1:, :, -1] -= self._start
        return np.asarray(parts.sum(axis=0))

    def exact(self, moments: Rows) -> Array:
        parts = self._parts(self.rows[moments])
        parts[1:] -= self._start
        return np.asarray(parts.sum(axis=0))

    def _parts(self, rows: Array, **options: bool) -> Array:
        """What the trees predict, a few at a time; each part holds the start value, too."""
        import xgboost as xgb

        booster = self.fitted.booster
        data = xgb.DMatrix(rows, feature_names=booster.feature_names, nthread=1)
        rounds = booster.num_boosted_rounds()
        slices = (booster[at : min(at + _TREES, rounds)] for at in range(0, rounds, _TREES))
        return np.stack([one.predict(data, **options) for one in slices]).astype(np.float64)

    @property
    def _start(self) -> float:
        learner = json.loads(self.fitted.booster.save_config())["learner"]
        (start,) = json.loads(learner["learner_model_param"]["base_score"])
        return float(np.float32(start))


def subject(fitted: Fitted, rows: Array) -> Subject:
    """The fitted model on these rows.

    Raises:
        AnalysisError: it predicts the same everywhere, or nowhere.
    """
    if fitted.family is Family.LSTM:
        from analysis.gradients import LstmSubject

        return LstmSubject(fitted, rows)
    kind = XgBoostSubject if fitted.family is Family.XGBOOST else TreeSubject
    return kind(fitted, rows)
