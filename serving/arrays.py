"""Arrays of kernels' states as JSON, to the last bit."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["from_json", "to_json"]


def to_json(arrays: Mapping[str, NDArray[Any]]) -> dict[str, list[Any]]:
    """Each array as its type, its shape and its bytes."""
    return {
        name: [
            array.dtype.str,
            list(array.shape),
            base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(),
        ]
        for name, array in arrays.items()
    }


def from_json(entry: Mapping[str, list[Any]]) -> dict[str, NDArray[Any]]:
    """The inverse of :func:`to_json`."""
    return {
        name: np.frombuffer(base64.b64decode(data), dtype=dtype).reshape(shape).copy()
        for name, (dtype, shape, data) in entry.items()
    }
