"""The LSTM: ONNX Runtime on its graph of one window, which scales and masks what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brain.artifacts import LSTM_WINDOW
from brain.errors import LibraryError, ModelIntegrityError

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["LstmModel"]

_ERRORS_ALONE = 3


class LstmModel:
    """An LSTM of one window; NaN where every input of the window is missing.

    Args:
        model: the bytes of the graph, whose digest was checked: others load, and predict otherwise.
        look_back, width: T and F, the shape of its windows.

    Raises:
        ModelIntegrityError: ONNX Runtime refuses them, or the graph takes other windows.
        LibraryError: ONNX Runtime is not installed.
    """

    def __init__(self, model: bytes, look_back: int, width: int) -> None:
        self._shape = (look_back, width)
        self._session = _session(model)
        shape = tuple(self._session.get_inputs()[0].shape)
        if shape != self._shape:
            raise ModelIntegrityError(
                f"{LSTM_WINDOW} takes windows of the shape {shape}, and they are {self._shape}; "
                "register the version anew"
            )

    def score(self, window: bytes) -> float:
        rows = np.frombuffer(window).reshape(self._shape)
        (prediction,) = self._session.run(None, {"rows": rows})
        return float(prediction)


def _session(model: bytes) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime
    except ImportError as error:
        raise LibraryError(f"ONNX Runtime can't be loaded: {error}; install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ALONE
    # Arenas grow by powers of two, and each session would have its own.
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # Its errors have no base of their own.
    except Exception as error:
        raise ModelIntegrityError(
            f"{LSTM_WINDOW} is unreadable: {error}; register the version anew"
        ) from error
