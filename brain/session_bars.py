"""The bars in stretches of trading. NumPy alone: an executor has the stretches of its models."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["stretch_bars"]

_Ints = npt.NDArray[np.int64]


def stretch_bars(
    anchors: _Ints, starts: _Ints, ends: _Ints, step: int
) -> tuple[_Ints, _Ints, _Ints]:
    """Bars of that length from each anchor to its stretch's end: names, opens, closes.

    Args:
        anchors: (S,) the moments from which a stretch's bars are counted: its start or before.
        starts, ends: (S,) of the stretches, ascending; all in nanoseconds.
        step: length of a bar, nanoseconds.
    """
    counts = -((anchors - ends) // step)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    labels = np.repeat(anchors, counts) + within * step
    opens = np.maximum(labels, np.repeat(starts, counts))
    closes = np.minimum(labels + step, np.repeat(ends, counts))
    # Two stretches may share a bar on the clock: it opens with the earlier and ends with the later.
    first = np.concatenate([[True], labels[1:] > labels[:-1]])
    last = np.concatenate([labels[1:] > labels[:-1], [True]])
    return labels[first], opens[first], closes[last]
