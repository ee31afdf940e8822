"""Fast predictions of one row or one window, on the native libraries of the model families.

>>> from serving.predictors import load
>>> predictor = load(files, data)  # bytes by name, and the version's ExecutorData  # doctest: +SKIP
>>> predictor.predict_mapping({"return_1": 0.2, ...})                               # doctest: +SKIP

A predictor is proven when it is loaded: its scores of the version's golden rows are those of
``mlflow.pyfunc``. One thread, no pandas, no torch, no MLflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from serving.predictors.base import Predictor as Predictor
    from serving.predictors.loading import load as load

__all__, __getattr__, __dir__ = face(
    __name__,
    {"serving.predictors.base": "Predictor", "serving.predictors.loading": "load"},
)
