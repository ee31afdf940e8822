"""Checks of the rows and targets of a model, the same for every family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from brain.errors import InputError, NotEnoughBarsError, TrainingError
from engine.kernels.columns import Floats

__all__ = [
    "MIN_TARGETS",
    "check_rows",
    "check_seed",
    "check_target",
    "clip_outliers",
    "training_rows",
]

#: A fit on fewer targets than this could not be distinguished from chance.
MIN_TARGETS = 50

# XGBoost and the LSTM compute in single precision, where a larger number is infinite.
_LARGEST = float(np.finfo(np.float32).max)


def _numbers(values: npt.ArrayLike, name: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the {name} hold something that is no number ({error})") from error


def check_rows(rows: npt.ArrayLike, *, width: int | None = None) -> Floats:
    """Feature rows as a C-contiguous float64 array (N, F); NaN stays, as "missing".

    Args:
        rows: (N, F), a frame or an array.
        width: the F that the model was fitted on; None for any.

    Raises:
        InputError: the shape is wrong, or a value is infinite or beyond single precision.
    """
    array = _numbers(rows, "rows")
    if array.ndim != 2 or array.shape[1] == 0:
        raise InputError(f"rows have the shape {array.shape}; give (rows, features)")
    if width is not None and array.shape[1] != width:
        raise InputError(
            f"rows have {array.shape[1]} features, and the model was fitted on {width}; "
            "give the columns of its signature, in that order"
        )
    beyond = np.abs(array) > _LARGEST
    if beyond.any():
        row, column = (int(i) for i in np.argwhere(beyond)[0])
        names: Sequence[object] | None = getattr(rows, "columns", None)
        name = "" if names is None else f" ({names[column]})"
        raise InputError(
            f"feature {column}{name} is {array[row, column]} in row {row}; "
            "give NaN where a value is unknown"
        )
    return np.ascontiguousarray(array)


def check_target(target: npt.ArrayLike, rows: Floats) -> Floats:
    """One target per row as a float64 array (N,); NaN stays, as "no target".

    Args:
        target: (N,), a pandas Series or an array.
        rows: (N, F).

    Raises:
        InputError: the shape is wrong or a value is infinite.
    """
    array = _numbers(target, "targets")
    if array.shape != rows.shape[:1]:
        raise InputError(
            f"targets have the shape {array.shape} beside {len(rows)} rows; give one per row"
        )
    if np.isinf(array).any():
        row = int(np.flatnonzero(np.isinf(array))[0])
        raise InputError(
            f"the target of row {row} is {array[row]}; give NaN where there is no target"
        )
    return array


def training_rows(rows: Floats, target: Floats, *, look_back: int = 1) -> npt.NDArray[np.intp]:
    """The places of the rows to learn from, ascending.

    They have a target, a full look-back, and at least one feature in it that is not NaN.

    Args:
        rows: (N, F) features, NaN missing.
        target: (N,), NaN where there is none.
        look_back: rows that a prediction needs, its own included.

    Raises:
        NotEnoughBarsError: there are fewer than :data:`MIN_TARGETS`.
        TrainingError: their targets are all the same.
    """
    inputs = np.cumsum(~np.isnan(rows).all(axis=1))
    start = np.zeros(min(look_back, len(inputs)), inputs.dtype)
    before = np.concatenate([start, inputs[:-look_back]])
    full = np.arange(len(rows)) >= look_back - 1
    places = np.flatnonzero(~np.isnan(target) & full & (inputs > before))
    if len(places) < MIN_TARGETS:
        raise NotEnoughBarsError(
            f"{len(places)} of {len(rows)} rows can be learnt from (a target, {look_back} rows of "
            f"look-back and an input in them), and {MIN_TARGETS} are needed; give a longer history"
        )
    values = target[places]
    if values.min() == values.max():
        raise TrainingError(
            f"all {len(values)} targets are {values[0]}; give targets that vary, or train nothing"
        )
    return places


def clip_outliers(values: Floats) -> tuple[Floats, float, float]:
    """Targets clipped at ten robust standard deviations, their median, and that deviation.

    It is 1.4826 × the median absolute deviation, which estimates the standard deviation of a normal
    sample; where more than half of the values are equal it would be 0, and the standard deviation
    is used instead. A Huber loss depends on a value beyond ten by its side alone, but LightGBM
    starts from the mean.
    """
    centre = float(np.median(values))
    scale = 1.4826 * float(np.median(np.abs(values - centre)))
    if scale == 0:
        scale = float(np.std(values))
    return np.clip(values, centre - 10 * scale, centre + 10 * scale), centre, scale


def check_seed(seed: int) -> int:
    """A seed that every library takes.

    Raises:
        InputError: it is negative or needs more than 31 bits.
    """
    if not 0 <= seed < 2**31:
        raise InputError(f"seed={seed} is out of range; give 0 to {2**31 - 1}")
    return int(seed)
