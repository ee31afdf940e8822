"""Are the recent bars like those that the models were trained on?

For the eyes there is Evidently's report. Its default tests mean nothing on autocorrelated features
(on stationary ones with a persistence of .98 they call 91 % of the columns drifted), so what may
alert is a statistic of ours: the population stability index of the recent window against the
training window, compared with what the same index of the same feature was at earlier times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.sampling import Array, Rows, spread
from brain.errors import NotEnoughBarsError
from engine.kernels.features import LOOK_BACK

__all__ = [
    "MIN_HISTORY",
    "ColumnDrift",
    "DriftAnalysis",
    "Span",
    "Windows",
    "choose_windows",
    "stability",
    "trailing_thresholds",
]

#: Earlier times below which no 95 % quantile is taken: it would be the largest value.
MIN_HISTORY = 20

_BINS = 10
_PRIOR = 5
_QUANTILE = 0.95
# Rows of the training window that stand for it, evenly spread over it.
_REFERENCE = 2000
_MIN_RECENT = 30
_MOST_HISTORY = 200


@dataclass(frozen=True)
class Span:
    """Consecutive rows, by the close times of the first and the last (ISO 8601, UTC)."""

    start: str
    end: str
    rows: int


@dataclass(frozen=True)
class ColumnDrift:
    """How far a feature's recent values are from those of the training.

    Attributes:
        psi: population stability index; NaN where the feature is known in neither window.
        threshold: 95 % quantile of the feature's own index at earlier times; NaN while there are
            too few of them.
        history: how many earlier times that quantile is from.
    """

    feature: str
    psi: float
    threshold: float
    history: int

    @property
    def drifted(self) -> bool | None:
        """Whether the index exceeds its threshold; None if that is unknown."""
        if math.isnan(self.psi) or math.isnan(self.threshold):
            return None
        return self.psi > self.threshold


@dataclass(frozen=True)
class DriftAnalysis:
    """A symbol's recent window against the training window.

    Attributes:
        recent, training: the two windows; the training window ends where that of the model ends
            that was trained longest ago, or where the recent window begins.
        columns: every feature, the most unusual first.
        reported: features in Evidently's report.
        unknown: features without any value in one of the windows, which the report can't show.
    """

    symbol: str
    recent: Span
    training: Span
    columns: tuple[ColumnDrift, ...]
    reported: tuple[str, ...]
    unknown: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def judged(self) -> int:
        """How many features could be judged."""
        return sum(column.drifted is not None for column in self.columns)

    @property
    def drifted(self) -> tuple[str, ...]:
        """The features that are further from training than they mostly were."""
        return tuple(column.feature for column in self.columns if column.drifted)

    def __str__(self) -> str:
        return f"{self.symbol} data compared in {sum(self.seconds.values()):.0f} s"


@dataclass(frozen=True)
class Windows:
    """Row numbers of the two windows.

    Attributes:
        first: the first row with full look-backs.
        trained: end (exclusive) of the training window, which begins at ``first``.
        recent: begin of the recent window.
        end: end (exclusive) of the recent window, and number of rows.
    """

    first: int
    trained: int
    recent: int
    end: int

    @property
    def size(self) -> int:
        """Rows of the recent window."""
        return self.end - self.recent

    def reference(self) -> Rows:
        """Rows that stand for the training window, at most 2,000."""
        return spread(np.arange(self.first, self.trained), _REFERENCE)

    def earlier(self) -> list[Windows]:
        """The same two windows as they were at earlier times, none touching the recent window.

        A quarter of a window apart, at most 200; as far from each other as the two are now.
        """
        gap = self.recent - self.trained
        soonest = self.first + 3 * self.size + gap
        ends = range(self.recent, soonest - 1, -max(1, self.size // 4))[:_MOST_HISTORY]
        return [
            Windows(self.first, end - self.size - gap, end - self.size, end) for end in ends[::-1]
        ]


def choose_windows(
    features: Array, close_time: pd.DatetimeIndex, *, trained_until: str, recent_bars: int
) -> Windows:
    """Where the recent and the training window lie.

    The recent window is the last ``recent_bars`` rows, or a tenth of the history if that is less,
    whether or not tonight's refit has seen them; the training window is what was trained on before.

    Args:
        features: (N, F), NaN missing.
        close_time: (N,) of the rows.
        trained_until: close time of the last row of the training, ISO 8601.

    Raises:
        NotEnoughBarsError: there are no or too few rows in one of the windows.
    """
    rows, first = len(features), LOOK_BACK - 1
    size = min(recent_bars, (rows - first) // 10)
    if close_time[-1] < pd.Timestamp(trained_until):
        raise NotEnoughBarsError(
            f"the recent window is empty: the bars end at {close_time[-1].isoformat()} and the "
            f"training at {trained_until}; bring the bars up to date"
        )
    known = int((~np.isnan(features[rows - size :]).all(axis=1)).sum()) if size > 0 else 0
    if known < _MIN_RECENT:
        raise NotEnoughBarsError(
            f"the recent window has {known} known bars among its last {max(size, 0)}, and "
            f"{_MIN_RECENT} are needed; bring the missing bars, or a longer history"
        )
    trained = int(close_time.searchsorted(pd.Timestamp(trained_until), side="right"))
    found = Windows(first, min(trained, rows - size), rows - size, rows)
    if found.trained - first < 2 * size:
        raise NotEnoughBarsError(
            f"the training window has {max(found.trained - first, 0)} bars and the recent one "
            f"{size}, and it needs twice as many; bring the bars that the model was trained on"
        )
    return found


def stability(features: Array, windows: Windows) -> Array:
    """Population stability index of each feature, recent window against training window.

    ``sum((p - q) log(p / q))`` over the shares p and q of both windows in the tenths of the
    training window and in a bin for missing values (Siddiqi 2006, "Credit risk scorecards"). Five
    rows of the two windows' common distribution are added to either, so that a bin that is empty in
    one of them is not infinitely surprising, and two equal distributions have the index 0.

    Args:
        features: (N, F), NaN missing.

    Returns:
        (F,), 0 or more; NaN where the feature is known in neither window.
    """
    # Sorted, missing values come last.
    then = np.sort(features[windows.reference()], axis=0)
    now = np.sort(features[windows.recent : windows.end], axis=0)
    columns = zip(then.T, now.T, strict=True)
    return np.array([_index(of_then, of_now) for of_then, of_now in columns])


def _index(then: Array, now: Array) -> float:
    known = int(np.searchsorted(then, np.inf, side="right"))
    if known == 0 and np.isnan(now[0]):
        return float("nan")
    edges = np.unique(then[np.arange(1, _BINS) * known // _BINS]) if known else np.empty(0)
    p, q = _shares(now, edges), _shares(then, edges)
    used = p + q > 0
    p, q = p[used], q[used]
    pooled = (p + q) / 2
    p, q = (
        (share * rows + _PRIOR * pooled) / (rows + _PRIOR)
        for share, rows in ((p, len(now)), (q, len(then)))
    )
    return float(((p - q) * np.log(p / q)).sum())


def _shares(ordered: Array, edges: Array) -> Array:
    """Shares of sorted values up to each edge, beyond the last, and missing."""
    known = int(np.searchsorted(ordered, np.inf, side="right"))
    cuts = np.searchsorted(ordered[:known], edges, side="right")
    return np.diff(np.concatenate([[0], cuts, [known, len(ordered)]])) / len(ordered)


def trailing_thresholds(features: Array, windows: Windows) -> tuple[Array, NDArray[np.intp]]:
    """What each feature's index exceeded one time in twenty, at earlier times.

    Returns:
        Thresholds (F,), NaN where there are fewer than :data:`MIN_HISTORY` earlier times, and the
        number of these (F,).
    """
    width = features.shape[1]
    earlier = [stability(features, before) for before in windows.earlier()]
    indices = np.array(earlier).reshape(-1, width)
    history = (~np.isnan(indices)).sum(axis=0)
    thresholds = np.full(width, np.nan)
    for column in np.flatnonzero(history >= MIN_HISTORY):
        values = indices[:, column]
        thresholds[column] = np.quantile(values[~np.isnan(values)], _QUANTILE)
    return thresholds, history
