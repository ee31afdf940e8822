"""Collecting market history: candles, funding, open interest, snapshots; and sentiment.

What should exist is compared with what is stored, and only holes are fetched. They are in the gap
record before anything is fetched; rows are stored as they come; what is missing in the end is
recorded with its reason. So a collection may be killed at any moment, run again, or run beside
another one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pandas as pd

from brain.errors import InputError
from brain.series.bars import parse_timeframe
from brain.series.source import SeriesLibrary
from brain.series.store.queries import to_timestamp
from brain.settings import Settings, load_settings
from brain.work import Progress
from market.collection.batches import Batches
from market.collection.exchange_collection import ExchangeCollection, run_all
from market.collection.former_names import former_names
from market.collection.kinds import MARKET, kinds_of, publishers_of
from market.collection.request import CollectionRequest, Tally
from market.collection.results import CollectionResult
from market.exchanges import EXCHANGES, exchange_of
from market.exchanges.feeds import FEEDS
from market.liquidations.collector import LiquidationCollector

__all__ = ["DataCollector"]

# Hours: more would be read for nothing but a sum.
_LONGEST_SUMMARY = 24.0


class DataCollector:
    """Makes market history complete in the Brain Library's series store.

    Args:
        brain_library: a :class:`registry.library.BrainLibrary`; its ``series`` are written.
        exchanges: by name, ``binance``, ``bybit``, ``okx`` or another one that ccxt knows.
        settings: for addresses, timeouts, the timeframe and renamed symbols; as
            :func:`brain.settings.load_settings` returns them if None.
        commit_after: seconds that rows wait for others at most, to be stored with them.

    Raises:
        InputError: ``exchanges`` is a single text or empty, the setting ``timeframe`` is none, or
            ``renamed`` goes in a circle.
        SettingsError: the settings can't be read.
    """

    def __init__(
        self,
        brain_library: SeriesLibrary,
        exchanges: Sequence[str] = EXCHANGES,
        *,
        settings: Settings | None = None,
        commit_after: float = 5.0,
    ) -> None:
        self.exchanges = tuple(dict.fromkeys(_as_list(exchanges, "exchanges", "binance")))
        self.settings = load_settings() if settings is None else settings
        self._library = brain_library
        self._commit_after = commit_after
        former_names(self.settings.renamed)  # refuses a circle
        parse_timeframe(self.settings.candle_timeframe)

    def __repr__(self) -> str:
        return f"DataCollector({self._library!r}, exchanges={list(self.exchanges)})"

    def collect_all_data(
        self,
        symbols: Sequence[str],
        hours: float = 24,
        *,
        until: object = None,
        renew: object = None,
        kinds: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> CollectionResult:
        """Make the last hours of the symbols complete, of every kind and at every exchange.

        Kinds: candles and open interest at the setting ``timeframe``, funding, and a snapshot of
        the present; and sentiment, where the setting ``sentiment`` names publishers. A history that
        was last collected longer ago than that is made complete from then on; gaps on record are
        fetched again, wherever they are, unless the exchange no longer keeps such rows. Posts are
        asked for since the last ones that are stored, as far back as their publisher answers.

        Args:
            symbols: linear perpetuals, ``BTC/USDT`` or ``BTC/USDT:USDT``; former names of the
                setting ``renamed`` stand for the present ones.
            hours: of history before ``until``.
            until: the end of it, exclusive, whatever pandas takes as a time, in UTC without a
                zone; the exchange's present time if None or later than that.
            renew: since when stored rows are requested too, and replaced where the exchange has
                corrected them, whatever pandas takes as a time; the range begins there if that is
                earlier. None: stored rows are not requested.
            kinds: ``market``, all that exchanges have, and ``sentiment``, which takes the feeds
                where no publisher is named; the setting ``kinds``, or all that is configured, if
                None.
            progress: called as each series is done, with its result.

        Returns:
            A result for each symbol, exchange and kind. A symbol's or an exchange's fault is a
            typed failure there, and the others go on. Liquidations have no history to collect:
            ``liquidations`` is what streams have stored of the last day of the range.

        Raises:
            InputError: ``symbols`` is a single text or empty, an exchange, a publisher, a kind or
                the scorer is unknown, an exchange has no history of the timeframe, ``hours`` is not
                positive, or ``until`` or ``renew`` is no time.
            SeriesStoreError: the store can't be read or written; then nothing can go on.
        """
        request = CollectionRequest(
            names=tuple(dict.fromkeys(_as_list(symbols, "symbols", "BTC/USDT"))),
            hours=_positive(hours),
            until=to_timestamp(until, "until"),
            timeframe=self.settings.candle_timeframe,
            renamed=self.settings.renamed,
            renew=to_timestamp(renew, "renew"),
        )
        chosen = kinds_of(self.settings, kinds, self.exchanges)
        exchanges = self.exchanges if MARKET in chosen else ()
        publishers = publishers_of(self.settings, chosen)
        collected = _run(self._collect(request, exchanges, publishers, progress))
        found = self._liquidations(request) if MARKET in chosen else None
        return collected if found is None else replace(collected, liquidations=found)

    def get_liquidation_features(self, symbol: str, hours: float = 24) -> dict[str, float]:
        """What the liquidations of the last hours say of a symbol, over all exchanges streamed.

        Args:
            symbol: a linear perpetual.
            hours: before now.

        Returns:
            As of :meth:`market.liquidations.collector.LiquidationCollector.features`: NaN is what
            nobody has listened to, and 0 that nothing came.

        Raises:
            InputError: no exchange of the collector is streamed from, or ``hours`` is not positive.
            SeriesStoreError: the store can't be read.
        """
        return self._liquidation_collector().features(symbol, hours)

    def _liquidation_collector(self) -> LiquidationCollector:
        streamed = [name for name in self.exchanges if name in FEEDS]
        return LiquidationCollector(self._library, streamed, settings=self.settings)

    def _liquidations(self, request: CollectionRequest) -> pd.DataFrame | None:
        """A summary of what streams have stored; None where no exchange is streamed from."""
        symbols, _ = request.names_by_symbol()
        if not symbols or not set(self.exchanges) & set(FEEDS):
            return None
        hours = min(request.hours, _LONGEST_SUMMARY)
        found = self._liquidation_collector().collect_liquidations(
            list(symbols), hours, until=request.until
        )
        return found.summary()

    async def _collect(
        self,
        request: CollectionRequest,
        exchanges: Sequence[str],
        publishers: Sequence[str],
        progress: Progress | None,
    ) -> CollectionResult:
        tally = Tally(request, exchanges, progress, publishers)
        # Histories under former names are taken over, so these must mean their own rows.
        store = self._library.series.by_own_names()
        async with AsyncExitStack() as stack, Batches(store, seconds=self._commit_after) as batches:
            opened = [
                await stack.enter_async_context(exchange_of(self.settings, name))
                for name in exchanges
            ]
            collections = [
                ExchangeCollection(exchange, request, batches, store, tally).run()
                for exchange in opened
            ]
            if publishers:
                # Whoever collects no sentiment need not import what scores it.
                from market.collection.sentiment import sentiment_collections

                collections += await sentiment_collections(
                    self.settings, publishers, request, batches, store, tally, stack
                )
            await run_all(*collections)
        return CollectionResult(tally.results())


def _run(work: Coroutine[Any, Any, CollectionResult]) -> CollectionResult:
    """Run to the end; in another thread where an event loop is running, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1, thread_name_prefix="collector") as thread:
        return thread.submit(asyncio.run, work).result()


def _as_list(texts: Sequence[str], name: str, example: str) -> list[str]:
    if isinstance(texts, str):
        raise InputError(f"{name} is the text {texts!r}; give a list, as [{texts!r}]")
    if not (items := list(texts)):
        raise InputError(f"{name} is empty; name at least one, as [{example!r}]")
    return items


def _positive(hours: float) -> float:
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours < math.inf:
        raise InputError(f"hours={hours!r} is no length of time; give a positive number")
    return hours
