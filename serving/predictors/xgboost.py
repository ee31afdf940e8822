"""XGBoost: its C API's prediction from dense memory, equal to its own to the last bit."""

from __future__ import annotations

import json
from ctypes import POINTER, addressof, byref, c_char, c_char_p, c_float, c_uint64, c_void_p

from brain.artifacts import XGBOOST
from brain.errors import InputError
from serving.predictors.native import check_width, library

__all__ = ["XgBoostModel"]

_CONFIGURATION = json.dumps(
    {
        "type": 0,
        "training": False,
        "iteration_begin": 0,
        "iteration_end": 0,
        "strict_shape": False,
        "missing": float("nan"),
        "cache_id": 0,
    }
).encode()


class XgBoostModel:
    """An XGBoost booster of one output. It computes in single precision.

    Args:
        model: the bytes of its binary JSON, whose digest was checked: others may end the process.
        width: F, the number of its inputs.

    Raises:
        ModelIntegrityError: XGBoost refuses them, or the model has another number of inputs.
        LibraryError: XGBoost is not installed.
    """

    def __init__(self, model: bytes, width: int) -> None:
        self._booster, self._rows = c_void_p(), c_void_p()
        self._library = library("xgboost", "XGBGetLastError")
        slow, quick = self._library.slow, self._library.quick
        features = c_uint64()
        self._check(slow.XGBoosterCreate(None, c_uint64(0), byref(self._booster)))
        load = slow.XGBoosterLoadModelFromBuffer
        self._check(load(self._booster, c_char_p(model), c_uint64(len(model))))
        self._check(slow.XGBoosterSetParam(self._booster, b"nthread", b"1"))
        self._check(slow.XGBoosterGetNumFeature(self._booster, byref(features)))
        check_width(XGBOOST, features.value, width)
        self._check(slow.XGProxyDMatrixCreate(byref(self._rows)))  # else every call makes its own
        self._row = c_char * (8 * width)
        self._array = b'{"data":[%%d,true],"shape":[1,%d],"typestr":"<f8","version":3}' % width
        self._predict = quick.XGBoosterPredictFromDense
        types = (c_void_p, c_char_p, c_char_p, c_void_p, c_void_p, c_void_p)
        self._predict.argtypes = (*types, POINTER(POINTER(c_float)))
        # The shape of the predictions, (1,), which nobody reads.
        self._shape, self._dimensions = byref(c_void_p()), byref(c_uint64())

    def score(self, window: bytes) -> float:
        row = self._row.from_buffer_copy(window)
        array = self._array % addressof(row)
        result = POINTER(c_float)()  # becomes one to memory of XGBoost's for this thread
        shape = (self._shape, self._dimensions)
        if self._predict(self._booster, array, _CONFIGURATION, self._rows, *shape, result):
            raise InputError(f"XGBoost refuses the row: {self._library.error()}; give another")
        return result[0]

    def _check(self, code: int) -> None:
        self._library.check(code, XGBOOST)

    def __del__(self) -> None:
        if self._rows.value:
            self._library.slow.XGDMatrixFree(self._rows)
        if self._booster.value:
            self._library.slow.XGBoosterFree(self._booster)
