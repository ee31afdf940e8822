"""LightGBM: its C API's fast prediction of a single row, equal to its own to the last bit."""

from __future__ import annotations

from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int64, c_void_p

from brain.artifacts import LIGHTGBM
from brain.errors import InputError
from serving.predictors.native import Library, check_width, library

__all__ = ["LightGbmModel", "shared_library"]

_FLOAT64 = 1
_NORMAL = 0
_ALL = -1
_PARAMETERS = b"num_threads=1 verbosity=-1"


def shared_library() -> Library:
    """LightGBM's shared library, loaded once.

    Raises:
        LibraryError: it is not installed, or can't be loaded.
    """
    return library("lightgbm", "LGBM_GetLastError")


class LightGbmModel:
    """A LightGBM booster of one output.

    Args:
        model: the bytes of its text format, whose digest was checked: others end the process.
        width: F, the number of its inputs.

    Raises:
        ModelIntegrityError: LightGBM refuses them, or the model has another number of inputs.
        LibraryError: LightGBM is not installed.
    """

    def __init__(self, model: bytes, width: int) -> None:
        self._booster, self._row_of = c_void_p(), c_void_p()
        self._library = shared_library()
        slow, quick = self._library.slow, self._library.quick
        rounds, features = c_int(), c_int()
        load = slow.LGBM_BoosterLoadModelFromString
        self._check(load(c_char_p(model), byref(rounds), byref(self._booster)))
        self._check(slow.LGBM_BoosterGetNumFeature(self._booster, byref(features)))
        check_width(LIGHTGBM, features.value, width)
        prepare = slow.LGBM_BoosterPredictForMatSingleRowFastInit
        row_of = (_NORMAL, 0, _ALL, _FLOAT64, width, c_char_p(_PARAMETERS), byref(self._row_of))
        self._check(prepare(self._booster, *row_of))
        self._predict = quick.LGBM_BoosterPredictForMatSingleRowFast
        self._predict.argtypes = (c_void_p, c_char_p, c_void_p, POINTER(c_double))
        self._count = byref(c_int64())  # of outputs, always 1

    def score(self, window: bytes) -> float:
        result = c_double()
        if self._predict(self._row_of, window, self._count, result):
            raise InputError(f"LightGBM refuses the row: {self._library.error()}; give another")
        return result.value

    def _check(self, code: int) -> None:
        self._library.check(code, LIGHTGBM)

    def __del__(self) -> None:
        if self._row_of.value:
            self._library.slow.LGBM_FastConfigFree(self._row_of)
        if self._booster.value:
            self._library.slow.LGBM_BoosterFree(self._booster)
