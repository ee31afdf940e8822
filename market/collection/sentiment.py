"""Collecting sentiment: posts are fetched, scored and dropped; ids, times and scores are stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from brain.errors import BrainError, LibraryError, MarketError
from brain.series.store.store import SeriesStore
from brain.settings import Settings
from market.collection.batches import Batches
from market.collection.plan import SENTIMENT
from market.collection.request import CollectionRequest, Tally
from market.collection.results import SeriesResult
from market.sentiment.coins import coins_in, present_coin
from market.sentiment.deletions import deleted_ids, expire_posts, forget_deleted
from market.sentiment.opening import open_scorer
from market.sentiment.posts import Post
from market.sentiment.publishers.base import Publisher, Slice
from market.sentiment.publishers.catalogue import publisher_of
from market.sentiment.publishers.fear_greed import FearGreed
from market.sentiment.scorers import Scorer

__all__ = ["SentimentCollection", "sentiment_collections"]

logger = logging.getLogger(__name__)

# The index has a value a day since then.
_FIRST_INDEX = pd.Timestamp("2018-02-01", tz="UTC")


@dataclass
class _Coins:
    """A publisher's posts on the coins of a collection.

    Attributes:
        since: the first moment that is asked for, by coin.
        oldest: posts that are older don't count.
        new: how many rows this collection has stored, by coin.
        notes: why posts may be missing, by coin.
        done: coins on which nothing is left to be asked, whatever fails later.
    """

    since: dict[str, pd.Timestamp]
    oldest: pd.Timestamp
    new: dict[str, int] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)


class SentimentCollection:
    """One collection from one publisher.

    Args:
        publisher: of posts, or of the index.
        request: of the collection.
        scorer: of the posts.
        batches: whose thread works with the store.
        store: the series store, used in that thread alone.
        tally: gathers the results.
        days: that rows are kept.
    """

    def __init__(
        self,
        publisher: Publisher | FearGreed,
        request: CollectionRequest,
        scorer: Scorer,
        batches: Batches,
        store: SeriesStore,
        tally: Tally,
        days: int,
    ) -> None:
        self.publisher = publisher
        self.request = request
        self.scorer = scorer
        self._batches = batches
        self._store = store
        self._tally = tally
        self._days = days

    async def run(self) -> None:
        """Collect everything; faults of the publisher become results.

        Raises:
            SeriesStoreError: the store can't be read or written.
        """
        now = pd.Timestamp.now("UTC").floor("s")
        until = now if self.request.until is None else min(self.request.until, now)
        names = self._names_by_coin()
        if not names:
            return
        if isinstance(self.publisher, FearGreed):
            await self._index(self.publisher, names, until)
        else:
            await self._posts(self.publisher, names, until)
            await self._batches.call(
                partial(expire_posts, self._store, self.publisher.name, self._days, now)
            )

    def _names_by_coin(self) -> dict[str, list[str]]:
        """The request's names by coin; a name that is no symbol fails."""
        by_coin: dict[str, list[str]] = {}
        for name in self.request.names:
            try:
                coin = present_coin(name, self.request.renamed)
                by_coin.setdefault(coin, []).append(name)
            except BrainError as error:
                result = SeriesResult(
                    "", self._who, SENTIMENT, "", None, 0, None, None, failure=error
                )
                self._add([name], result)
        return by_coin

    @property
    def _who(self) -> str:
        return self.publisher.name

    def _add(self, names: Sequence[str], result: SeriesResult) -> None:
        self._tally.add(names, result)

    # --- posts ------------------------------------------------------------------------------------

    async def _posts(
        self, publisher: Publisher, names: Mapping[str, Sequence[str]], until: pd.Timestamp
    ) -> None:
        coins = await self._batches.call(partial(self._plan, publisher, list(names), until))
        failure: BrainError | None = None
        try:
            async for part in publisher.slices(coins.since, until):
                await self._keep(publisher, part, coins, until)
                coins.done |= set(part.coins) if part.last else set()
        except LibraryError:
            raise
        except Exception as error:  # noqa: BLE001 (it is told in the result, without a post's text)
            failure = _typed(error, self._who)
        counts = await self._batches.call(partial(self._count, publisher, coins, until))
        for coin, symbols in names.items():
            result = SeriesResult(
                "",
                self._who,
                SENTIMENT,
                "",
                rows_stored=counts[coin],
                rows_new=coins.new.get(coin, 0),
                expected=None,
                missing=None,
                failure=None if coin in coins.done else failure,
                note="; ".join(dict.fromkeys(coins.notes.get(coin, []))),
                start=coins.oldest,
                end=until,
            )
            self._add(symbols[:1], result)
            # Other symbols of the coin have the same rows, which are new but once.
            self._add(symbols[1:], _again(result))

    def _plan(self, publisher: Publisher, coins: Sequence[str], until: pd.Timestamp) -> _Coins:
        """From when on each coin's posts are asked for: since the last that is stored."""
        kept = until - pd.Timedelta(days=self._days)
        begin = max(until - pd.Timedelta(hours=self.request.hours), kept)
        first = begin if publisher.first is None else max(begin, until - publisher.first)
        reach = kept if publisher.reach is None else max(kept, until - publisher.reach)
        rows = self._read(publisher, coins, min(begin, reach), until, ["coin", "time"])
        last = rows.groupby("coin")["time"].max()
        since = {coin: max(last.get(coin, first), reach) for coin in coins}
        return _Coins(since, min([begin, *since.values()]))

    def _read(
        self,
        publisher: Publisher,
        coins: Sequence[str],
        start: pd.Timestamp,
        end: pd.Timestamp,
        columns: Sequence[str],
    ) -> pd.DataFrame:
        where = {"publisher": publisher.name, "coin": coins}
        return self._store.read(SENTIMENT, where=where, start=start, end=end, columns=columns)

    def _count(self, publisher: Publisher, coins: _Coins, until: pd.Timestamp) -> dict[str, int]:
        rows = self._read(publisher, list(coins.since), coins.oldest, until, ["coin"])
        counts = rows["coin"].value_counts()
        return {coin: int(counts.get(coin, 0)) for coin in coins.since}

    async def _keep(
        self, publisher: Publisher, part: Slice, coins: _Coins, until: pd.Timestamp
    ) -> None:
        """Score and store a slice's posts on the coins; their texts end here."""
        arrival = max(pd.Timestamp.now("UTC").floor("us"), until)
        if part.note:
            for coin in part.coins:
                coins.notes.setdefault(coin, []).append(part.note)
        posts = {p.id: p for p in part.posts if coins.oldest <= p.time < until}
        about = [
            (coin, post)
            for post in posts.values()
            for coin in coins_in(post.text, list(coins.since))
        ]
        if about:
            stored = await self._batches.call(partial(self._stored, publisher, about))
            about = [one for one in about if (one[0], one[1].id) not in stored]
        if not about:
            return
        rows = await asyncio.to_thread(self._rows, about, arrival)
        new = await self._batches.call(partial(self._store_rows, rows))
        for coin in new["coin"]:
            coins.new[coin] = coins.new.get(coin, 0) + 1

    def _stored(
        self, publisher: Publisher, about: Sequence[tuple[str, Post]]
    ) -> set[tuple[str, str]]:
        """Coins and ids of the posts that are stored, of the time of some posts."""
        times = [post.time for _, post in about]
        columns = ["coin", "id"]
        coins = sorted({coin for coin, _ in about})
        end = max(times) + pd.Timedelta(microseconds=1)
        rows = self._read(publisher, coins, min(times), end, columns)
        return set(rows.itertuples(index=False, name=None))

    def _rows(self, about: Iterable[tuple[str, Post]], arrival: pd.Timestamp) -> pd.DataFrame:
        about = list(about)
        posts = {post.id: post for _, post in about}
        scores = self.scorer.scores([post.text for post in posts.values()])
        score = dict(zip(posts, np.asarray(scores).tolist(), strict=True))
        times = pd.DatetimeIndex([post.time for _, post in about]).as_unit("us")
        return pd.DataFrame(
            {
                "publisher": self._who,
                "coin": [coin for coin, _ in about],
                "time": times,
                "id": [post.id for _, post in about],
                "score": [score[post.id] for _, post in about],
                "scorer": self.scorer.name,
                "scorer_version": self.scorer.version,
                "available": arrival.as_unit("us"),
            }
        )

    def _store_rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows[~rows["id"].isin(deleted_ids(self._store, self._who, rows["id"]))]
        if len(rows):
            self._store.append(SENTIMENT, rows)
            # Of a request that came between those two lines.
            forget_deleted(self._store, self._who, list(rows["id"]))
        return rows

    # --- the index --------------------------------------------------------------------------------

    async def _index(
        self, publisher: FearGreed, names: Mapping[str, Sequence[str]], until: pd.Timestamp
    ) -> None:
        new = 0
        failure: BrainError | None = None
        stored = await self._batches.call(
            partial(self._store.read, "indices", where={"index": publisher.name}, columns=["time"])
        )
        since = _FIRST_INDEX if stored.empty else stored["time"].max()
        try:
            rows = await publisher.days(since, until)
            counts = await self._batches.call(partial(self._store.upsert, "indices", rows))
            new = counts.inserted
        except LibraryError:
            raise
        except Exception as error:  # noqa: BLE001 (it is told in the result, without a post's text)
            failure = _typed(error, self._who)
        result = SeriesResult(
            "", self._who, SENTIMENT, "", len(stored) + new, new, None, None, failure=failure
        )
        symbols = [name for aliases in names.values() for name in aliases]
        self._add(symbols[:1], result)
        self._add(symbols[1:], _again(result))


async def sentiment_collections(
    settings: Settings,
    publishers: Sequence[str],
    request: CollectionRequest,
    batches: Batches,
    store: SeriesStore,
    tally: Tally,
    stack: AsyncExitStack,
) -> list[Coroutine[Any, Any, None]]:
    """The collections from some publishers, to be run.

    Args:
        settings: with the publishers' addresses, the scorer, and for how long rows are kept.
        publishers: by name.
        request, batches, store, tally: see :class:`SentimentCollection`.
        stack: closes the publishers' connections.

    Raises:
        InputError: a publisher, an address of one, or the scorer is none.
        SettingsError: a package that the scorer needs is not installed.
    """
    opened = [publisher_of(settings, name) for name in publishers]
    for one in opened:
        stack.push_async_callback(one.close)
    # A transformer takes seconds to load.
    scorer = await asyncio.to_thread(open_scorer, settings.scorer)
    days = settings.sentiment_days
    return [
        SentimentCollection(one, request, scorer, batches, store, tally, days).run()
        for one in opened
    ]


def _again(result: SeriesResult) -> SeriesResult:
    return replace(result, rows_new=0)


def _typed(error: Exception, publisher: str) -> BrainError:
    """One of our errors; of an unexpected one neither text nor values, which may be a post's."""
    if isinstance(error, BrainError):
        return error
    logger.error("%s failed: %s", publisher, type(error).__name__)
    return MarketError(f"{publisher}: {type(error).__name__}; report this, for it is our fault")
