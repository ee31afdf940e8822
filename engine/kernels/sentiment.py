"""What a model sees of the market's mood: five numbers of each bar.

A kernel on NumPy arrays, with the promises of :mod:`engine.kernels.features`:

* **Nothing looks ahead.** A post is of the bar in which it was published, and counts from the first
  bar that closes at or after its ``available``, when it had arrived: so what was published by a
  bar's close and had not arrived is not there yet.
* **Nothing looks back further than** :data:`SENTIMENT_LOOK_BACK` bars. A window of w bars holds
  what was published after the close of the bar w before; until there is one it is unknown.
* **NaN is unknown.** A mean over no posts is unknown, and never 0; a missing bar's row is NaN in
  every column. A post without a score does not count. The index is stale, and so unknown, two days
  after its day's beginning.

Scores are whole multiples of 1/10,000, so that sums over posts are exact in any order. The formulas
(:mod:`engine.kernels.dictionary`) are of each publisher first; then comes the mean over the
publishers that are known, so that one with many posts does not drown the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from engine.kernels.across import mean_across
from engine.kernels.as_of import AsOf
from engine.kernels.columns import Floats, Times, check_shapes, valid_prices
from engine.kernels.dictionary import SENTIMENT_ENTRIES

__all__ = [
    "INDEX_PERIOD_NS",
    "SCALE",
    "SENTIMENT_FEATURES",
    "SENTIMENT_FEATURE_SET",
    "SENTIMENT_LOOK_BACK",
    "WINDOWS",
    "IndexRows",
    "PostRows",
    "sentiment_features",
]

#: Names this list of features and their formulas; a change of either needs a new name.
SENTIMENT_FEATURE_SET = "sentiment-1"
#: Their formulas are in :data:`engine.kernels.dictionary.SENTIMENT_ENTRIES`.
SENTIMENT_FEATURES: tuple[str, ...] = tuple(entry.name for entry in SENTIMENT_ENTRIES)
#: Bars of the windows.
WINDOWS = (4, 24, 168)
#: Bars that a row depends on, its own included.
SENTIMENT_LOOK_BACK = max(WINDOWS) + 1
#: Of the index, from one value to the next.
INDEX_PERIOD_NS = 24 * 3_600_000_000_000.0
#: Parts of a score of 1.
SCALE = 10_000.0
_SPREAD_WINDOW = 24
_TOP = 100.0


@dataclass(frozen=True, repr=False)
class PostRows(Brief):
    """One publisher's posts, in any order.

    Attributes:
        time_ns, available_ns: (M,) of publication and arrival, nanoseconds since 1970 UTC.
        score: (M,) -1 to 1; NaN and what is beyond is unknown.
    """

    time_ns: Times
    available_ns: Times
    score: Floats


@dataclass(frozen=True, repr=False)
class IndexRows(Brief):
    """An index of the market's mood, in any order.

    Attributes:
        time_ns, available_ns: (M,) of the day's beginning and of publication.
        value: (M,) 0 to 100; NaN and what is beyond is unknown.
    """

    time_ns: Times
    available_ns: Times
    value: Floats


def sentiment_features(
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    close_time_ns: Times,
    posts: Sequence[PostRows],
    index: IndexRows | None = None,
) -> Floats:
    """All sentiment features of every bar.

    Args:
        open_, high, low, close: (N,) prices on the full time grid, which tell missing bars.
        close_time_ns: (N,) the bars' closes, ascending, nanoseconds since 1970 UTC.
        posts: of each publisher, always in the same order of publishers.
        index: Fear & Greed; None if there is none.

    Returns:
        (N, F) in the order of :data:`SENTIMENT_FEATURES`; NaN is unknown.

    Raises:
        InputError: the arrays differ in length.
    """
    check_shapes(close_time_ns, open=open_, high=high, low=low, close=close)
    means: dict[int, list[Floats]] = {window: [] for window in WINDOWS}
    spreads: list[Floats] = []
    for rows in posts:
        check_shapes(rows.time_ns, available=rows.available_ns, score=rows.score)
        counted = _Posts(rows, close_time_ns)
        for window in WINDOWS:
            means[window].append(counted.mean(window))
        spreads.append(counted.spread(_SPREAD_WINDOW))
    shape = close_time_ns.shape
    features = {f"mood_{window}": mean_across(columns, shape) for window, columns in means.items()}
    features[f"mood_spread_{_SPREAD_WINDOW}"] = mean_across(spreads, shape)
    features["fear_greed"] = _index(index, close_time_ns)
    rows_of_bars = np.column_stack([features[name] for name in SENTIMENT_FEATURES])
    rows_of_bars[~valid_prices(open_, high, low, close)] = np.nan
    return rows_of_bars


class _Posts:
    """The sums of a publisher's scores over the windows of every bar."""

    def __init__(self, rows: PostRows, close_time_ns: Times) -> None:
        known = np.abs(rows.score) <= 1.0
        self._units = np.rint(rows.score[known] * SCALE).astype(np.int64)
        # The bar in which a post was published, and the first that it counts in.
        self._bar = np.searchsorted(close_time_ns, rows.time_ns[known], side="left")
        arrival = np.searchsorted(close_time_ns, rows.available_ns[known], side="left")
        self._first = np.maximum(self._bar, arrival)
        self._bars = len(close_time_ns)

    def mean(self, window: int) -> Floats:
        count, total = self._sums(window, np.ones_like(self._units), self._units)
        return np.where(count > 0.0, total / np.maximum(count, 1.0) / SCALE, np.nan)

    def spread(self, window: int) -> Floats:
        """The standard deviation; unknown for a single post."""
        sums = (np.ones_like(self._units), self._units, self._units * self._units)
        count, total, squares = self._sums(window, *sums)
        some = np.maximum(count, 1.0)
        variance = np.maximum((squares - total * total / some) / some, 0.0)
        return np.where(count > 1.0, np.sqrt(variance) / SCALE, np.nan)

    def _sums(self, window: int, *columns: NDArray[np.int64]) -> list[Floats]:
        """Each column's sum over the posts in the window of every bar, (N,); 0 without any.

        Whole numbers don't drift, so running totals are allowed here.
        """
        end = np.minimum(self._bar + window, self._bars)
        counts = self._first < end
        first, end = self._first[counts], end[counts]
        sums = []
        for column in columns:
            steps = np.zeros(self._bars + 1, dtype=np.int64)
            np.add.at(steps, first, column[counts])
            np.subtract.at(steps, end, column[counts])
            total = np.cumsum(steps[:-1]).astype(np.float64)
            total[:window] = 0.0  # the window is not whole
            sums.append(total)
        return sums


def _index(rows: IndexRows | None, at_ns: Times) -> Floats:
    if rows is None:
        return np.full(at_ns.shape, np.nan)
    check_shapes(rows.time_ns, available=rows.available_ns, value=rows.value)
    period = np.full(rows.time_ns.shape, INDEX_PERIOD_NS)
    value = AsOf(rows.time_ns, rows.available_ns, period, at_ns).take(rows.value)
    return np.where((value >= 0.0) & (value <= _TOP), value, np.nan) / _TOP
