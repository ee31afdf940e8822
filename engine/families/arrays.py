"""Checks of what goes into a model, written once for every family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from brain.errors import InputError, NotEnoughBarsError, TrainingError

__all__ = ["MIN_TARGETS", "Array", "check_rows", "check_seed", "check_target", "tame", "usable"]

Array = npt.NDArray[np.float64]

#: Fewer targets than this teach nothing that could be told from chance.
MIN_TARGETS = 50

# XGBoost and the LSTM compute in single precision, where a larger number is infinite.
_LARGEST = float(np.finfo(np.float32).max)


def _numbers(values: npt.ArrayLike, what: str) -> Array:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the {what} hold something that is no number ({error})") from error


def check_rows(rows: npt.ArrayLike, *, width: int | None = None) -> Array:
    """Feature rows as a C-contiguous float64 array (N, F); NaN stays, as "missing".

    Args:
        rows: (N, F), a frame or an array.
        width: the F that the model was fitted on, or None if any will do.

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


def check_target(target: npt.ArrayLike, rows: Array) -> Array:
    """One target per row as a float64 array (N,); NaN stays, as "no target".

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


def usable(rows: Array, target: Array, *, look_back: int = 1) -> npt.NDArray[np.intp]:
    """The rows to learn from: those with a target, a full look-back and some input in it.

    Raises:
        NotEnoughBarsError: there are fewer than :data:`MIN_TARGETS`.
        TrainingError: their targets are all the same.
    """
    seen = np.cumsum(~np.isnan(rows).all(axis=1))
    before = np.concatenate([np.zeros(min(look_back, len(seen)), seen.dtype), seen[:-look_back]])
    full = np.arange(len(rows)) >= look_back - 1
    chosen = np.flatnonzero(~np.isnan(target) & full & (seen > before))
    if len(chosen) < MIN_TARGETS:
        raise NotEnoughBarsError(
            f"{len(chosen)} of {len(rows)} rows can be learnt from (a target, {look_back} rows of "
            f"look-back and an input in them), and {MIN_TARGETS} are needed; give a longer history"
        )
    values = target[chosen]
    if values.min() == values.max():
        raise TrainingError(
            f"all {len(values)} targets are {values[0]}; give targets that vary, or train nothing"
        )
    return chosen


def tame(values: Array) -> tuple[Array, float, float]:
    """Targets whose wildest are drawn in, their median and their robust standard deviation.

    The latter is 1.4826 × the median absolute deviation, which estimates the standard deviation of
    a normal sample; where more than half of the values are equal it would be 0, and the standard
    deviation stands in. Values lie within ten of it afterwards: a Huber loss sees of those beyond
    no more than the side, but LightGBM starts from their mean.
    """
    centre = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - centre)))
    if spread == 0:
        spread = float(np.std(values))
    return np.clip(values, centre - 10 * spread, centre + 10 * spread), centre, spread


def check_seed(seed: int) -> int:
    """A seed that every library takes.

    Raises:
        InputError: it is negative or needs more than 31 bits.
    """
    if not 0 <= seed < 2**31:
        raise InputError(f"seed={seed} is out of range; give 0 to {2**31 - 1}")
    return int(seed)
