"""Made-up posts and an index, with posts that arrive late and in no order, as real ones do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain.series.bars import Bars
from engine.data.sentiment_series import SentimentSeries
from engine.kernels.columns import Floats
from engine.kernels.sentiment import IndexRows, PostRows, sentiment_features
from tests.engine.paths import HOUR, Path

__all__ = ["Mood", "mood_rows", "random_mood", "sentiment_of"]

DAY = 24 * HOUR


@dataclass(frozen=True)
class Mood:
    """The kernel's rows of some publishers, and of an index."""

    posts: Sequence[PostRows]
    index: IndexRows | None

    def published(self, until_ns: int) -> Mood:
        """What was published and had arrived by then."""
        posts = [
            _taken(rows, np.maximum(rows.time_ns, rows.available_ns) <= until_ns)
            for rows in self.posts
        ]
        index = self.index
        if index is not None:
            public = index.available_ns <= until_ns
            index = IndexRows(*(column[public] for column in vars(index).values()))
        return Mood(posts, index)

    def shuffled(self, seed: int) -> Mood:
        """The same rows in another order."""
        draw = np.random.default_rng(seed)
        posts = [_taken(rows, draw.permutation(len(rows.score))) for rows in self.posts]
        return Mood(posts, self.index)


def _taken(rows: PostRows, places: NDArray[np.generic]) -> PostRows:
    return PostRows(*(column[places] for column in vars(rows).values()))


def mood_rows(path: Path, mood: Mood) -> NDArray[np.float64]:
    """The kernel's features."""
    return sentiment_features(*path.prices(), path.close_time_ns, mood.posts, mood.index)


def random_mood(path: Path, seed: int, *, an_hour: Sequence[float] = (3.0, 0.2)) -> Mood:
    """One publisher a rate, with posts of which many arrive late, and some have no score."""
    rng = np.random.default_rng(seed)
    start = int(path.close_time_ns[0]) - 200 * HOUR if len(path) else 0
    end = int(path.close_time_ns[-1]) + 9 * HOUR if len(path) else 0
    posts = []
    for rate in an_hour:
        count = rng.poisson(rate * (end - start) / HOUR)
        time = rng.integers(start, end + 1, count)
        on_close = rng.random(count) < 0.1  # to the nanosecond
        time[on_close] = time[on_close] // HOUR * HOUR
        late = rng.random(count) < 0.4
        delay = (rng.exponential(20.0, count) * HOUR).astype(np.int64)
        score: Floats = np.clip(rng.normal(0.1, 0.5, count), -1.0, 1.0).round(4)
        score[rng.random(count) < 0.1] = np.nan
        posts.append(PostRows(time, time + np.where(late, delay, 0), score))
    days = np.arange(start // DAY * DAY, end, DAY)
    days = days[rng.random(len(days)) < 0.7]
    value = np.round(rng.uniform(0, 100, len(days)))
    return Mood(posts, IndexRows(days, days + HOUR, value))


def sentiment_of(
    bars: Bars, seed: int = 0, *, a_bar: float = 3.0, first: int = 0
) -> SentimentSeries:
    """Posts of two publishers on the bars' coin, and an index, from the ``first`` bar on."""
    rng = np.random.default_rng(seed)
    start, end = bars.close_time[first], bars.close_time[-1]
    posts = []
    for publisher, share in (("feeds", 0.2), ("x", 1.0)):
        count = rng.poisson(a_bar * share * ((end - start) / bars.step))
        time = start + (end - start) * rng.random(count)
        late = pd.to_timedelta(rng.exponential(2.0, count) * (rng.random(count) < 0.5), unit="h")
        score = np.clip(rng.normal(0.1, 0.5, count), -1.0, 1.0).round(4)
        posts.append(
            pd.DataFrame(
                {
                    "publisher": publisher,
                    "coin": bars.symbol.partition("/")[0],
                    "time": pd.DatetimeIndex(time),
                    "id": [f"{publisher}-{k}" for k in range(count)],
                    "available": pd.DatetimeIndex(time) + late,
                    "score": np.where(rng.random(count) < 0.1, np.nan, score),
                    "scorer": "lexicon",
                    "scorer_version": "1",
                }
            )
        )
    days = pd.date_range(start.floor("D"), end, freq="D")
    index = pd.DataFrame(
        {
            "index": "fear_greed",
            "time": days,
            "value": rng.uniform(0, 100, len(days)).round(),
            "available": days + pd.Timedelta(hours=1),
        }
    )
    times = dict.fromkeys(("time", "available"), "datetime64[us, UTC]")
    frame = pd.concat(posts, ignore_index=True).astype(times)
    return SentimentSeries(frame.iloc[rng.permutation(len(frame))], index.astype(times))
