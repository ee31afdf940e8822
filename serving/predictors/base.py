"""The contract of every predictor, and the checks of what it scores.

A call packs its values into bytes of its own, so nothing but the model is shared between threads,
and a model is only read. A buffer that threads share gives wrong scores in silence.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from math import hypot
from operator import itemgetter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from brain.errors import InputError, did_you_mean

__all__ = ["Model", "Predictor"]

# XGBoost and the LSTM compute in single precision, where a larger number is infinite.
_LARGEST = float(np.finfo(np.float32).max)
_NAMED = 3


class Model(Protocol):
    """A model in a native library's memory, which is freed with the object."""

    def score(self, window: bytes) -> float:
        """The prediction of T x F doubles, all of them numbers of single precision or NaN."""


class Predictor:
    """One version's model in memory. Safe from many threads.

    Args:
        model: the native one.

    Attributes:
        names: the F inputs, in the model's order.
        look_back: T, rows that a prediction needs, its own included.
    """

    def __init__(self, model: Model, names: Sequence[str], look_back: int = 1) -> None:
        self._model: Model | None = model
        self.names = tuple(names)
        self.look_back = look_back
        width = len(self.names)
        self._shape = (width,) if look_back == 1 else (look_back, width)
        self._pack = struct.Struct(f"={width}d").pack
        self._values: Callable[[Any], tuple[float, ...]] = itemgetter(*self.names)
        if width == 1:  # of one name, itemgetter makes no tuple
            self._values = lambda values: (values[self.names[0]],)

    def predict(self, window: NDArray[np.float64]) -> float:
        """The prediction at a window's last row, in the target's units; NaN is unknown.

        Args:
            window: (T, F) float64, oldest first, or (F,) where T is 1; NaN is missing.

        Raises:
            InputError: another shape or dtype, a value that is infinite in single precision, or
                the predictor is closed.
        """
        if (
            not isinstance(window, np.ndarray)
            or window.shape != self._shape
            or window.dtype != np.float64
        ):
            raise InputError(self._misfit(window))
        if not np.vdot(window, window) <= _LARGEST:  # or it is NaN
            self._check_finite(window)
        return self._score(window.tobytes())

    def predict_mapping(self, values: Mapping[str, float]) -> float:
        """The prediction of one row, by name; only where the model looks at no other row.

        Raises:
            InputError: the model looks back over several rows; or as of :meth:`row`.
        """
        if self.look_back > 1:
            raise InputError(
                f"one row is given, and the model looks back over {self.look_back}; give the last "
                f"{self.look_back} as an array of the shape {self._shape}"
            )
        return self._score(self._packed(values))

    def row(self, values: Mapping[str, float]) -> NDArray[np.float64]:
        """A row (F,) in the model's order, of values by name; NaN is missing. It is read-only.

        Raises:
            InputError: a name is missing or unknown, or a value is no number, or infinite in single
                precision.
        """
        return np.frombuffer(self._packed(values))

    def close(self) -> None:
        """Give the memory back as soon as no call uses it; later calls are refused."""
        self._model = None

    def _score(self, window: bytes) -> float:
        model = self._model  # which lives on in this call, whoever closes meanwhile
        if model is None:
            raise InputError("the predictor is closed; load the version again")
        return model.score(window)

    def _packed(self, values: Mapping[str, float]) -> bytes:
        try:
            numbers = self._values(values)
            packed = self._pack(*numbers)
            if len(values) != len(numbers):
                raise InputError(self._refusal(values))
            if not hypot(*numbers) <= _LARGEST:  # or it is NaN
                self._check_finite(np.frombuffer(packed))
        except (LookupError, TypeError, ValueError, OverflowError, struct.error) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(self._refusal(values)) from error
        return packed

    def _check_finite(self, window: NDArray[np.float64]) -> None:
        beyond = np.argwhere(np.abs(window) > _LARGEST)
        if len(beyond):
            place = tuple(int(number) for number in beyond[0])
            raise InputError(
                f"{self.names[place[-1]]!r} is {window[place]}; give NaN where a value is unknown"
            )

    def _misfit(self, window: object) -> str:
        if isinstance(window, np.ndarray):
            got = f"an array of {window.dtype}, shape {window.shape}, is given"
        else:
            got = f"a {type(window).__name__} is given"
        return f"{got}; give an array of float64, shape {self._shape}, NaN where a value is missing"

    def _refusal(self, values: object) -> str:
        if not isinstance(values, Mapping):
            return f"a {type(values).__name__} is given; give a mapping of names to numbers"
        if missing := [name for name in self.names if name not in values]:
            return f"{_some(missing)} missing; give all {len(self.names)} inputs, NaN if unknown"
        if unknown := [name for name in values if name not in self.names]:
            cure = did_you_mean(str(unknown[0]), self.names)
            return f"{_some(unknown)} no input of the model; {cure}"
        for name in self.names:
            try:
                self._pack(*[values[name]] * len(self.names))
            except (TypeError, ValueError, OverflowError, struct.error):
                return f"{name!r} is {values[name]!r}, no number; give NaN where it is unknown"
        return "the values can't be read; give a mapping of names to numbers"


def _some(names: Sequence[object]) -> str:
    """The first names, and how many others: a subject with its verb."""
    text = ", ".join(repr(name) for name in names[:_NAMED])
    if len(names) > _NAMED:
        text += f" and {len(names) - _NAMED} others"
    return f"{text} {'is' if len(names) == 1 else 'are'}"
