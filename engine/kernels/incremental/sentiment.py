"""The sentiment features of the newest bar, to the bits of :mod:`engine.kernels.sentiment`.

A post counts from the first bar that is pushed after it and closes at or after its ``available``.
So a post that comes late is as one that arrived late.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from operator import itemgetter
from typing import Self

import numpy as np
from numpy.typing import NDArray

from brain.errors import InputError, did_you_mean
from engine.kernels.columns import Floats
from engine.kernels.incremental.as_of import Rows, age
from engine.kernels.incremental.recent_bars import Arrays, RecentBars, array_of
from engine.kernels.incremental.scalars import INF, NAN, mean_known, root
from engine.kernels.sentiment import (
    INDEX_PERIOD_NS,
    SCALE,
    SENTIMENT_FEATURES,
    SENTIMENT_LOOK_BACK,
    WINDOWS,
)

__all__ = ["IncrementalSentiment"]

_SPREAD = WINDOWS.index(24)
_ORDER = itemgetter(*SENTIMENT_FEATURES)


class _Window:
    """Sums over the posts that were published after a moment that moves on."""

    def __init__(self) -> None:
        self.posts: list[tuple[int, int]] = []  # a heap of publication and score
        self.count = self.total = self.squares = 0

    def add(self, time_ns: int, units: int) -> None:
        heapq.heappush(self.posts, (time_ns, units))
        self._count(units, 1)

    def move(self, edge_ns: int) -> None:
        """Leave out what was published by a moment."""
        while self.posts and self.posts[0][0] <= edge_ns:
            self._count(heapq.heappop(self.posts)[1], -1)

    def _count(self, units: int, sign: int) -> None:
        self.count += sign
        self.total += sign * units
        self.squares += sign * units * units

    def mean(self) -> float:
        return self.total / self.count / SCALE if self.count else NAN

    def spread(self) -> float:
        if self.count < 2:
            return NAN
        # As floats, as in the batch.
        count, total, squares = float(self.count), float(self.total), float(self.squares)
        return root(max((squares - total * total / count) / count, 0.0)) / SCALE


class _Publisher:
    """One publisher's posts: those to come, and those that are public, by window."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, int, int]] = []  # a heap of arrival, publication and score
        self.windows = [_Window() for _ in WINDOWS]

    def add(self, time_ns: int, available_ns: int, units: int) -> None:
        heapq.heappush(self.waiting, (max(available_ns, time_ns), time_ns, units))

    def move(self, at_ns: int) -> None:
        """Let what has arrived by a bar's close count."""
        while self.waiting and self.waiting[0][0] <= at_ns:
            _, time_ns, units = heapq.heappop(self.waiting)
            for window in self.windows:
                window.add(time_ns, units)

    def posts(self) -> list[tuple[int, int, int]]:
        """All that may count at bars to come; what is public arrived when it was published."""
        public = [(time_ns, time_ns, units) for time_ns, units in self.windows[-1].posts]
        return sorted([*public, *self.waiting])


class IncrementalSentiment:
    """The sentiment features of bars that come one at a time.

    Args:
        publishers: whose posts come, in the order in which a mean over them is taken; the batch of
            training has them by name.

    Raises:
        InputError: a publisher comes twice.
    """

    def __init__(self, publishers: Sequence[str]) -> None:
        self._publishers = {name: _Publisher() for name in publishers}
        if len(self._publishers) < len(publishers):
            raise InputError(f"a publisher comes twice in {list(publishers)}; name each once")
        self._index = Rows()
        self._recent = RecentBars(SENTIMENT_LOOK_BACK - 1)
        self._closes: deque[int] = deque(maxlen=SENTIMENT_LOOK_BACK)

    @property
    def publishers(self) -> tuple[str, ...]:
        """Whose posts come."""
        return tuple(self._publishers)

    def post(self, publisher: str, time_ns: int, available_ns: int, score: float) -> None:
        """Add a post.

        Args:
            publisher: whose.
            time_ns, available_ns: of publication and arrival, nanoseconds since 1970 UTC.
            score: -1 to 1; NaN and what is beyond is unknown.

        Raises:
            InputError: the publisher is none of those that were named.
        """
        if publisher not in self._publishers:
            raise InputError(
                f"posts of {publisher!r} don't count; {did_you_mean(publisher, self._publishers)}"
            )
        if abs(score) <= 1.0:
            units = int(np.rint(score * SCALE))
            self._publishers[publisher].add(int(time_ns), int(available_ns), units)

    def index(self, time_ns: int, available_ns: int, value: float) -> None:
        """Add a value of the index, 0 to 100, of the day that begins at ``time_ns``."""
        self._index.add(time_ns, available_ns, value, NAN)

    def push(
        self,
        open: float,  # noqa: A002 -- the column's name
        high: float,
        low: float,
        close: float,
        close_time_ns: int,
    ) -> Floats:
        """The sentiment features of the next bar.

        Args:
            open, high, low, close: prices; the bar is missing without four positive ones.
            close_time_ns: the bar's close, nanoseconds since 1970 UTC.

        Returns:
            (F,) in the order of :data:`engine.kernels.sentiment.SENTIMENT_FEATURES`; NaN is
            unknown.

        Raises:
            InputError: the bar does not close after the last one.
        """
        self._recent.push(close_time_ns)
        self._closes.appendleft(int(close_time_ns))
        self._move(close_time_ns)
        publishers = self._publishers.values()
        features = {
            f"mood_{bars}": self._mean([p.windows[place].mean() for p in publishers], bars)
            for place, bars in enumerate(WINDOWS)
        }
        spreads = [publisher.windows[_SPREAD].spread() for publisher in publishers]
        features["mood_spread_24"] = self._mean(spreads, WINDOWS[_SPREAD])
        features["fear_greed"] = self._index_at(close_time_ns)
        if not all(0.0 < price < INF for price in (open, high, low, close)):
            return np.full(len(SENTIMENT_FEATURES), NAN)
        return np.array(_ORDER(features))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What :meth:`from_arrays` goes on from: the last closes, and what may count yet.

        Of posts there are times and scores, and nothing else.
        """
        posts = [
            (place, *post)
            for place, publisher in enumerate(self._publishers.values())
            for post in publisher.posts()
        ]
        index = self._index.rows()
        return {
            **self._recent.arrays(),
            "publishers": np.array(list(self._publishers), dtype=np.str_),
            "posts": np.array(posts, dtype=np.int64).reshape(-1, 4),
            "index_ns": np.array([row[:2] for row in index], dtype=np.int64).reshape(-1, 2),
            "index": np.array([row.first for row in index], dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Go on after the bars and posts of :meth:`arrays`.

        Raises:
            InputError: the arrays are of something else.
        """
        features = cls(array_of(arrays, "publishers", np.str_, 1).tolist())
        for _, close_time_ns in RecentBars.replay(arrays, 0):
            features._recent.push(close_time_ns)
            features._closes.appendleft(close_time_ns)
        publishers = list(features._publishers.values())
        for place, available_ns, time_ns, units in array_of(arrays, "posts", np.int64, 2).tolist():
            publishers[place].add(time_ns, available_ns, units)
        if features._closes:
            features._move(features._closes[0])
        times = array_of(arrays, "index_ns", np.int64, 2).tolist()
        values = array_of(arrays, "index", np.float64, 1).tolist()
        for (time_ns, available_ns), value in zip(times, values, strict=True):
            features.index(time_ns, available_ns, value)
        return features

    def _move(self, at_ns: int) -> None:
        edges = [self._edge(bars) for bars in WINDOWS]
        for publisher in self._publishers.values():
            publisher.move(at_ns)
            for window, edge in zip(publisher.windows, edges, strict=True):
                if edge is not None:
                    window.move(edge)

    def _mean(self, values: Sequence[float], bars: int) -> float:
        return NAN if self._edge(bars) is None else mean_known(values)

    def _index_at(self, at_ns: int) -> float:
        row = self._index.public(at_ns)
        if row is None or math.isnan(age(row, INDEX_PERIOD_NS, at_ns)):
            return NAN
        return row.first / 100.0 if 0.0 <= row.first <= 100.0 else NAN

    def _edge(self, bars: int) -> int | None:
        """The close after which a window of so many bars begins; None: there is none yet."""
        return self._closes[bars] if bars < len(self._closes) else None
