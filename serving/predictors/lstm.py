"""The LSTM: ONNX Runtime on its graph of one window, which scales and masks what is missing."""

from __future__ import annotations

import os
import threading
from ctypes import memmove
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
        self._session = _session(model)
        shape, expected = tuple(self._session.get_inputs()[0].shape), (look_back, width)
        if shape != expected:
            raise ModelIntegrityError(
                f"{LSTM_WINDOW} takes windows of the shape {shape}, and they are {expected}; "
                "register the version anew"
            )
        self._shape = expected
        self._local = threading.local()

    def score(self, window: bytes) -> float:
        try:
            binding = self._local.binding
        except AttributeError:
            binding = self._local.binding = _Binding(self._session, self._shape)
        return binding.run(window)


class _Binding:
    """A thread's own input and output, which every run of the session reads and writes anew."""

    def __init__(self, session: onnxruntime.InferenceSession, shape: tuple[int, int]) -> None:
        (output,) = session.get_outputs()
        self._rows = np.empty(shape)
        self._prediction = np.empty(output.shape)
        self._binding = session.io_binding()
        rows, prediction = self._rows, self._prediction
        self._binding.bind_input("rows", "cpu", 0, rows.dtype.type, shape, rows.ctypes.data)
        self._binding.bind_output(
            output.name, "cpu", 0, prediction.dtype.type, output.shape, prediction.ctypes.data
        )
        self._run, self._address = session.run_with_iobinding, rows.ctypes.data

    def run(self, window: bytes) -> float:
        memmove(self._address, window, len(window))
        self._run(self._binding)
        return float(self._prediction.item())


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
    # A graph may name files that hold its weights: nobody has checked those.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", os.devnull
    )
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # Its errors have no base of their own.
    except Exception as error:
        raise ModelIntegrityError(
            f"{LSTM_WINDOW} is unreadable: {error}; register the version anew"
        ) from error
