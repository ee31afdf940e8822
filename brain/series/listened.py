"""What was listened to, and which share of each stretch of a grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["heard_liquidations", "listened_shares", "stretches_of"]

_Floats = npt.NDArray[np.float64]
_Times = npt.NDArray[np.int64]


def heard_liquidations(listening: pd.DataFrame) -> pd.DataFrame:
    """Of rows of ``listening`` those of liquidations that were listened to."""
    return listening[(listening["kind"] == "liquidations") & (listening["reason"] == "")]


def stretches_of(listening: pd.DataFrame) -> _Times:
    """The stretches of one series, (M, 2) starts and ends in microseconds, sorted and apart.

    Where two streams have listened, those of either count.

    Args:
        listening: start and end of each.
    """
    starts, ends = (
        pd.DatetimeIndex(listening[name]).as_unit("us").asi8 for name in ("start", "end")
    )
    order = np.argsort(starts, kind="stable")
    starts, reached = starts[order], np.maximum.accumulate(ends[order])
    first = np.concatenate([[True], starts[1:] > reached[:-1]])[: len(starts)]
    last = np.concatenate([first[1:], [True]])[: len(starts)]
    return np.stack([starts[first], reached[last]], axis=1)


def listened_shares(stretches: _Times, opens: pd.DatetimeIndex, step: pd.Timedelta) -> _Floats:
    """The share of each bar that lies in stretches.

    Args:
        stretches: (M, 2) starts and ends in microseconds, sorted, none overlapping another.
        opens: of the bars.
        step: their length.
    """
    first = opens.as_unit("us").asi8
    length = step // pd.Timedelta(microseconds=1)
    if not len(stretches):
        return np.zeros(len(first))
    starts, ends = stretches.T
    total = np.concatenate([[0], np.cumsum(ends - starts)])

    def covered(times: _Times) -> _Floats:
        """Microseconds in stretches before each time."""
        place = np.searchsorted(starts, times, side="right")
        within = np.where(place > 0, np.minimum(times, ends[place - 1]) - starts[place - 1], 0)
        return np.asarray(total[np.maximum(place - 1, 0)] + within, dtype=np.float64)

    return (covered(first + length) - covered(first)) / length
