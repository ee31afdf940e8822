"""Loading: a version's bytes become a predictor that is proven on the version's golden rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from brain.artifacts import LIGHTGBM, LSTM_WINDOW, XGBOOST
from brain.errors import ModelIntegrityError
from brain.naming import Family, parse_family
from engine.kernels.executor_data import ExecutorData
from serving.predictors.base import Model, Predictor

__all__ = ["load"]

#: How far a score may be from pyfunc's: ONNX Runtime adds up one window in another order than many.
_TOLERANCE = {Family.LIGHTGBM: 0.0, Family.XGBOOST: 0.0, Family.LSTM: 1e-6}


def load(files: Mapping[str, bytes] | Callable[[str], bytes], data: ExecutorData) -> Predictor:
    """A predictor of a version's model, which scores the golden rows as pyfunc does.

    Args:
        files: a model folder's files by name, whose digests were checked
            (:func:`brain.manifest.check_bytes`): corrupt ones can end the process. The model's own
            alone is read.
        data: the version's executor data.

    Raises:
        ModelIntegrityError: the file is missing or unreadable, its inputs are not the data's, or a
            golden row has another score: of trees to the last bit, of the LSTM beyond 1e-6.
        LibraryError: the family's library is not installed.
    """
    family = parse_family(data.family)
    model = _model(family, files if callable(files) else _reader(files), data)
    predictor = Predictor(model, data.names, data.look_back)
    _prove(predictor, family, data)
    return predictor


def _model(family: Family, read: Callable[[str], bytes], data: ExecutorData) -> Model:
    # Each family imports its own library alone.
    if family is Family.LIGHTGBM:
        from serving.predictors.lightgbm import LightGbmModel

        return LightGbmModel(read(LIGHTGBM), len(data.names))
    if family is Family.XGBOOST:
        from serving.predictors.xgboost import XgBoostModel

        return XgBoostModel(read(XGBOOST), len(data.names))
    from serving.predictors.lstm import LstmModel

    return LstmModel(read(LSTM_WINDOW), data.look_back, len(data.names))


def _reader(files: Mapping[str, bytes]) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        if name not in files:
            raise ModelIntegrityError(f"there is no {name} among the files; fetch the model again")
        return files[name]

    return read


def _prove(predictor: Predictor, family: Family, data: ExecutorData) -> None:
    if not len(data.golden_rows):
        raise ModelIntegrityError(
            "the version has no golden rows, so its scores can't be proven; register it anew"
        )
    pairs = zip(data.golden_rows, data.golden_predictions, strict=True)
    for place, (rows, expected) in enumerate(pairs):
        score = predictor.predict(np.ascontiguousarray(rows))
        both_unknown = math.isnan(score) and math.isnan(expected)
        if not both_unknown and not abs(score - expected) <= _TOLERANCE[family]:
            raise ModelIntegrityError(
                f"golden row {place} of {data.symbol}'s {family} model scores {score!r} here and "
                f"{float(expected)!r} in MLflow; install the versions of the model's "
                "requirements.txt, or register it anew"
            )
