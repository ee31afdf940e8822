"""The boosted trees' contributions, by the boosters themselves."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np

from analysis.explainers.base import Contributions, Explainer
from analysis.sampling import Array, Rows

__all__ = ["TreeExplainer", "XgBoostExplainer"]

_TREES = 20  # as many are added up in single precision


class TreeExplainer(Explainer):
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


class XgBoostExplainer(TreeExplainer):
    """XGBoost adds its trees up in single precision, which costs a prediction near 1 up to 1e-6.

    So a few trees at a time predict, and their sums are added up in double precision, contributions
    and predictions alike. The two then agree to some 1e-7, and a larger error is a fault.
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
        """Predictions (parts, n, …) of a few trees each; every part includes the start value."""
        import xgboost as xgb

        booster = self.fitted.booster
        data = xgb.DMatrix(rows, feature_names=booster.feature_names, nthread=1)
        rounds = booster.num_boosted_rounds()
        slices = (booster[at : min(at + _TREES, rounds)] for at in range(0, rounds, _TREES))
        return np.stack([part.predict(data, **options) for part in slices]).astype(np.float64)

    @property
    def _start(self) -> float:
        learner = json.loads(self.fitted.booster.save_config())["learner"]
        (start,) = json.loads(learner["learner_model_param"]["base_score"])
        return float(np.float32(start))
