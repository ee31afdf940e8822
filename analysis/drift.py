"""Are the recent bars like those that the models were trained on?

People look at Evidently's report. Its default tests mean nothing on autocorrelated features (on
stationary ones with a persistence of .98 they call 91 % of the columns drifted), so what may alert
is another statistic: the population stability index of the recent window against the training
window, compared with what the same index of the same feature was at earlier times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.sampling import Array, Rows, spread
from brain.brief import Brief
from brain.errors import NotEnoughBarsError
from engine.kernels.features import LOOK_BACK

__all__ = [
    "MIN_HISTORY",
    "ColumnDrift",
    "DriftAnalysis",
    "WindowExtent",
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
class WindowExtent:
    """Consecutive rows, by the close times of the first and the last (ISO 8601, UTC)."""

    start: str
    end: str
    rows: int


@dataclass(frozen=True)
class ColumnDrift:
    """How far a feature's recent values are from those of the training.

    Attributes:
        feature: its name.
        psi: population stability index; NaN where neither window has a value of the feature.
        threshold: 95 % quantile of the feature's index at earlier times; NaN if these are too few.
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


@dataclass(frozen=True, repr=False)
class DriftAnalysis(Brief):
    """A symbol's recent window against the training window.

    Attributes:
        symbol: whose data.
        recent, training: the two windows; the training window ends where that of the model ends
            that was trained longest ago, or where the recent window begins.
        columns: every feature, the most unusual first.
        reported: features in Evidently's report.
        unknown: features without any value in one of the windows, which the report can't show.
        seconds: by stage of the work.
    """

    symbol: str
    recent: WindowExtent
    training: WindowExtent
    columns: tuple[ColumnDrift, ...]
    reported: tuple[str, ...]
    unknown: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def comparable(self) -> int:
        """How many features have an index and a threshold."""
        return sum(column.drifted is not None for column in self.columns)

    @property
    def drifted(self) -> tuple[str, ...]:
        """The features that are further from training than they mostly were."""
        return tuple(column.feature for column in self.columns if column.drifted)

    def __str__(self) -> str:
        return f"{self.symbol} data compared in {sum(self.seconds.values()):.0f} s"


@dataclass(frozen=True)
class Windows:
    """The rows of the two windows.

    Attributes:
        start: the first row with full look-backs, and of the training window.
        training_end: end (exclusive) of the training window.
        recent_start: the first row of the recent window.
        end: end (exclusive) of the recent window, and number of rows.
    """

    start: int
    training_end: int
    recent_start: int
    end: int

    @property
    def training(self) -> slice:
        """Rows of the training window."""
        return slice(self.start, self.training_end)

    @property
    def recent(self) -> slice:
        """Rows of the recent window."""
        return slice(self.recent_start, self.end)

    @property
    def size(self) -> int:
        """How many rows the recent window has."""
        return self.end - self.recent_start

    def reference(self) -> Rows:
        """Rows that stand for the training window, at most 2,000."""
        return spread(np.arange(self.start, self.training_end), _REFERENCE)

    def earlier(self) -> list[Windows]:
        """The same two windows as they were at earlier times, none touching the recent window.

        A quarter of a window apart, at most 200; as far from each other as the two are now.
        """
        gap = self.recent_start - self.training_end
        soonest = self.start + 3 * self.size + gap
        ends = range(self.recent_start, soonest - 1, -max(1, self.size // 4))[:_MOST_HISTORY]
        return [
            Windows(self.start, end - self.size - gap, end - self.size, end) for end in ends[::-1]
        ]


def choose_windows(
    features: Array, close_time: pd.DatetimeIndex, *, trained_until: str, recent_bars: int
) -> Windows:
    """Where the recent and the training window lie.

    The recent window is the last ``recent_bars`` rows, or a tenth of the history if that is less,
    whether or not tonight's refit was trained on them; the training window is what was trained on
    before.

    Args:
        features: (N, F), NaN missing.
        close_time: (N,) of the rows.
        trained_until: close time of the last row of the training, ISO 8601.
        recent_bars: rows of the recent window at most.

    Raises:
        NotEnoughBarsError: there are no or too few rows in one of the windows.
    """
    rows, start = len(features), LOOK_BACK - 1
    size = min(recent_bars, (rows - start) // 10)
    if close_time[-1] < pd.Timestamp(trained_until):
        raise NotEnoughBarsError(
            f"the recent window is empty: the bars end at {close_time[-1].isoformat()} and the "
            f"training at {trained_until}; bring the bars up to date"
        )
    bars = int((~np.isnan(features[rows - size :]).all(axis=1)).sum()) if size > 0 else 0
    if bars < _MIN_RECENT:
        raise NotEnoughBarsError(
            f"the recent window has {bars} known bars among its last {max(size, 0)}, and "
            f"{_MIN_RECENT} are needed; bring the missing bars, or a longer history"
        )
    training_end = int(close_time.searchsorted(pd.Timestamp(trained_until), side="right"))
    windows = Windows(start, min(training_end, rows - size), rows - size, rows)
    if windows.training_end - start < 2 * size:
        raise NotEnoughBarsError(
            f"the training window has {max(windows.training_end - start, 0)} bars and the recent "
            f"one {size}, and it needs twice as many; bring the bars that the model was trained on"
        )
    return windows


def stability(features: Array, windows: Windows) -> Array:
    """Population stability index of each feature, recent window against training window.

    ``sum((p - q) log(p / q))`` over the shares p and q of both windows in the tenths of the
    training window and in a bin for missing values (Siddiqi 2006, "Credit risk scorecards"). Five
    rows of the two windows' common distribution are added to either, so that a bin that is empty in
    one of them has no infinite term, and two equal distributions have the index 0.

    Args:
        features: (N, F), NaN missing.
        windows: of the N rows.

    Returns:
        (F,), 0 or more; NaN where neither window has a value of the feature.
    """
    # Sorted, missing values come last.
    training = np.sort(features[windows.reference()], axis=0)
    recent = np.sort(features[windows.recent], axis=0)
    return np.array([_index(*columns) for columns in zip(training.T, recent.T, strict=True)])


def _index(training: Array, recent: Array) -> float:
    """The index of one feature, whose values are sorted."""
    count = _count(training)
    if count == 0 and np.isnan(recent[0]):
        return float("nan")
    edges = np.unique(training[np.arange(1, _BINS) * count // _BINS]) if count else np.empty(0)
    p, q = _shares(recent, edges), _shares(training, edges)
    occupied = p + q > 0
    p, q = p[occupied], q[occupied]
    pooled = (p + q) / 2
    p, q = (
        (share * rows + _PRIOR * pooled) / (rows + _PRIOR)
        for share, rows in ((p, len(recent)), (q, len(training)))
    )
    return float(((p - q) * np.log(p / q)).sum())


def _shares(values: Array, edges: Array) -> Array:
    """Shares of sorted values up to each edge, beyond the last, and missing."""
    count = _count(values)
    ends = np.searchsorted(values[:count], edges, side="right")
    return np.diff(np.concatenate([[0], ends, [count, len(values)]])) / len(values)


def _count(values: Array) -> int:
    """How many of the sorted values are not NaN."""
    return int(np.searchsorted(values, np.inf, side="right"))


def trailing_thresholds(features: Array, windows: Windows) -> tuple[Array, NDArray[np.intp]]:
    """The 95 % quantile of each feature's index at earlier times.

    Args:
        features: (N, F), NaN missing.
        windows: of the N rows.

    Returns:
        Thresholds (F,), NaN where there are fewer than :data:`analysis.drift.MIN_HISTORY` earlier
        times, and the number of these (F,).
    """
    width = features.shape[1]
    indices = np.array([stability(features, earlier) for earlier in windows.earlier()])
    indices = indices.reshape(-1, width)
    valid = ~np.isnan(indices)
    history = valid.sum(axis=0)
    thresholds = np.full(width, np.nan)
    for column in np.flatnonzero(history >= MIN_HISTORY):
        thresholds[column] = np.quantile(indices[valid[:, column], column], _QUANTILE)
    return thresholds, history
