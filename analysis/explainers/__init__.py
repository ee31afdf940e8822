"""Explainers: a fitted model on a series of rows, its predictions split up among its features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain.naming import Family

if TYPE_CHECKING:
    from analysis.explainers.base import Explainer
    from analysis.sampling import Array
    from engine.families.base import FittedModel

__all__ = ["explainer"]


def explainer(fitted: FittedModel, rows: Array) -> Explainer:
    """The fitted model on these rows.

    Raises:
        AnalysisError: it predicts the same everywhere, or nowhere.
    """
    if fitted.family is Family.LSTM:
        from analysis.explainers.lstm import LstmExplainer

        return LstmExplainer(fitted, rows)
    from analysis.explainers.trees import TreeExplainer, XgBoostExplainer

    tree = XgBoostExplainer if fitted.family is Family.XGBOOST else TreeExplainer
    return tree(fitted, rows)
