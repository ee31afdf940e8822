"""Explainers: a fitted model's predictions split up among its features, a class per library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain.naming import Family

if TYPE_CHECKING:
    from analysis.explainers.base import Explainer
    from analysis.sampling import Array
    from engine.families.base import FittedModel

__all__ = ["explainer"]


def explainer(fitted: FittedModel, rows: Array) -> Explainer:
    """The explainer of a fitted model.

    Args:
        fitted: the model.
        rows: (N, F) consecutive bars, NaN missing.

    Raises:
        AnalysisError: the model predicts the same everywhere, or nowhere.
    """
    if fitted.family is Family.LSTM:
        from analysis.explainers.lstm import LstmExplainer

        return LstmExplainer(fitted, rows)
    from analysis.explainers.trees import TreeExplainer, XgBoostExplainer

    tree = XgBoostExplainer if fitted.family is Family.XGBOOST else TreeExplainer
    return tree(fitted, rows)
