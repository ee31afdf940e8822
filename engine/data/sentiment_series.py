"""The sentiment on a symbol's coin, from the series store and for the kernel."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from brain.brief import Brief
from brain.coins import coin_of
from brain.errors import InputError
from engine.data.row_columns import TIMES, times_of, values_of
from engine.kernels.sentiment import IndexRows, PostRows

if TYPE_CHECKING:
    from brain.series.store.store import SeriesStore

__all__ = ["SentimentSeries", "read_sentiment"]

_SCORER = ("scorer", "scorer_version")
_INDEX = "fear_greed"


@dataclass(frozen=True, eq=False, repr=False)
class SentimentSeries(Brief):
    """Scores of posts on a coin, and the Fear & Greed index.

    Attributes:
        posts: a row a post: publisher, time (of publication), available (when it had arrived too),
            score (-1 to 1; NaN is unknown), scorer and scorer_version. Times are in UTC with a
            zone; rows in any order.
        index: a row a day: time, available, value (0 to 100).

    Raises:
        InputError: a column is missing, or a time has no zone.
    """

    posts: pd.DataFrame
    index: pd.DataFrame

    def __post_init__(self) -> None:
        columns = {"posts": ("publisher", *TIMES, "score", *_SCORER), "index": (*TIMES, "value")}
        for part, names in columns.items():
            frame = getattr(self, part)
            if missing := [name for name in names if name not in frame.columns]:
                raise InputError(
                    f"the sentiment's {part} have no column {missing[0]!r}; give {', '.join(names)}"
                )
            for name in TIMES:
                if not isinstance(frame[name].dtype, pd.DatetimeTZDtype):
                    raise InputError(
                        f"the sentiment's {name} is {frame[name].dtype}; give moments with a zone"
                    )

    @property
    def digest(self) -> str:
        """SHA-256 of the rows that count, whatever their order, in hexadecimal."""
        digest = hashlib.sha256()
        index = self.index_rows()
        parts = {**self.post_rows(), **({} if index is None else {_INDEX: index})}
        for name, rows in parts.items():
            columns = list(vars(rows).values())
            order = np.lexsort(columns)
            digest.update(json.dumps([name, len(order)]).encode())
            for column in columns:
                digest.update(column[order].tobytes())
        return digest.hexdigest()

    def at(self, moment: pd.Timestamp) -> SentimentSeries | None:
        """What had arrived at a moment; None if nothing had."""
        posts, index = (
            frame[frame["available"] <= moment].reset_index(drop=True)
            for frame in (self.posts, self.index)
        )
        return None if posts.empty and index.empty else SentimentSeries(posts, index)

    def post_rows(self) -> dict[str, PostRows]:
        """The kernel's rows by publisher, in one order.

        Scores of different scorers don't compare: those of the scorer, by name and version, of the
        post that arrived last count, and the others don't.
        """
        posts = self.posts.dropna(subset=list(TIMES))
        if posts.empty:
            return {}
        last = posts.sort_values(["available", "time", *_SCORER], kind="stable").iloc[-1]
        same = (posts["scorer"] == last["scorer"]) & (
            posts["scorer_version"] == last["scorer_version"]
        )
        return {
            str(publisher): PostRows(*times_of(rows), values_of(rows, "score"))
            for publisher, rows in posts[same].groupby("publisher", sort=True)
        }

    def index_rows(self) -> IndexRows | None:
        """The kernel's rows of the index; None if there are none."""
        rows = self.index.dropna(subset=list(TIMES)).sort_values(list(TIMES), kind="stable")
        return None if rows.empty else IndexRows(*times_of(rows), values_of(rows, "value"))

    def __repr__(self) -> str:
        return f"SentimentSeries({len(self.posts)} posts, {len(self.index)} days of the index)"


def read_sentiment(
    store: SeriesStore, symbol: str, publishers: Sequence[str]
) -> SentimentSeries | None:
    """The store's rows on a symbol's coin; None without any.

    Args:
        store: the series store.
        symbol: ``BTC/USDT``; symbols of one coin share its sentiment.
        publishers: whose rows; ``fear_greed`` is the index.

    Raises:
        InputError: the symbol is none.
        SeriesStoreError: the store can't be read.
    """
    if not publishers:
        return None
    try:
        coin = coin_of(store.present_name(symbol))
    except InputError:  # no perpetual, which a coin need not have
        coin = coin_of(symbol)
    posts = store.read(
        "sentiment",
        where={"publisher": [name for name in publishers if name != _INDEX], "coin": coin},
        columns=["publisher", *TIMES, "score", *_SCORER],
    )
    indices = [_INDEX] if _INDEX in publishers else []
    index = store.read("indices", where={"index": indices}, columns=[*TIMES, "value"])
    return None if posts.empty and index.empty else SentimentSeries(posts, index)
