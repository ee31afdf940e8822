"""Collecting from one exchange: instruments, plans, gaps on record, then all its series at once."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import pandas as pd

from brain.errors import BrainError, LibraryError, MarketError
from brain.series.store.store import SeriesStore
from market.collection.batches import Batches
from market.collection.fetch import Fetch, Outage
from market.collection.gaps import revise_gaps
from market.collection.instruments import instruments_of, memory_of
from market.collection.plan import HISTORIES, Range, Symbol, plan_symbol
from market.collection.preparation import Preparation
from market.collection.request import CollectionRequest, Tally
from market.collection.results import SeriesResult
from market.exchanges.base import Exchange, Instrument

__all__ = ["ExchangeCollection", "together"]

logger = logging.getLogger(__name__)

# Series that are fetched at once from one exchange: enough to keep its client busy, few enough
# that series get done one after another.
_AT_ONCE = 12


class ExchangeCollection:
    """One collection from one exchange.

    Nothing at all is written for an exchange whose clock and instruments can't be had.

    Args:
        exchange: Whom to ask.
        asked: What.
        batches: Where rows go.
        store: Used through ``batches`` alone, in its thread.
        tally: Where results go.
    """

    def __init__(
        self,
        exchange: Exchange,
        asked: CollectionRequest,
        batches: Batches,
        store: SeriesStore,
        tally: Tally,
    ) -> None:
        self.exchange = exchange
        self.asked = asked
        self.batches = batches
        self.store = store
        self.tally = tally
        self.outage = Outage()
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Collect everything; faults of the exchange become results.

        Raises:
            SeriesStoreError: the store can't be read or written.
        """
        names, wrong = self.asked.canonical()
        for name, error in wrong.items():
            self.tally.fail([name], self.exchange.name, error)
        try:
            with self.batches.giving():
                listed, now = await together(
                    self.exchange.instruments(), self.exchange.server_time()
                )
        except MarketError as error:
            self.tally.fail([n for each in names.values() for n in each], self.exchange.name, error)
            return
        symbols, seen = await self._symbols(names, listed, now)
        self._tell_lacks(symbols, names)
        span = self.asked.range(now)
        fetches = await self.batches.call(lambda: self._prepare(symbols, span, seen))
        snapshots = (self._snapshot(symbol, names[symbol.name], now) for symbol in symbols)
        histories = (self._history(fetch, names[fetch.series.symbol], now) for fetch in fetches)
        await together(*histories, *snapshots)

    # --- what to do -------------------------------------------------------------------------------

    async def _symbols(
        self,
        names: Mapping[str, Sequence[str]],
        listed: Mapping[str, Instrument],
        now: pd.Timestamp,
    ) -> tuple[list[Symbol], dict[str, pd.Timestamp]]:
        """The symbols that the exchange has or had, and when it last listed them."""
        exchange = self.exchange.name
        memory = await self.batches.call(lambda: self.store.read("instruments", exchange=exchange))
        remembered, seen = instruments_of(memory)
        symbols: list[Symbol] = []
        for name, asked in names.items():
            try:
                former = self.asked.former.get(name, ())
                symbols.append(plan_symbol(name, former, listed, remembered, exchange, now))
            except BrainError as error:
                self.tally.fail(asked, exchange, error)
        return symbols, seen

    def _prepare(
        self, symbols: Sequence[Symbol], span: Range, seen: Mapping[str, pd.Timestamp]
    ) -> list[Fetch]:
        """Compare what should exist with what is stored, and record the holes ahead.

        Only then are the instruments remembered: a killed collection has either recorded its
        whole range, or is made good by the next one, which begins where this one did.
        """
        prepared = Preparation(self.store, self.exchange, self.asked.timeframe, span, seen)
        fetches = [f for f in prepared.fetches(symbols) if not self.exchange.lacks(f.series.kind)]
        ahead = [revision for fetch in fetches if (revision := fetch.ahead()) is not None]
        revise_gaps(self.store, self.exchange.name, ahead, span.now)
        self.store.upsert("instruments", memory_of(symbols, span.now))
        return fetches

    def _tell_lacks(self, symbols: Sequence[Symbol], names: Mapping[str, Sequence[str]]) -> None:
        """What the exchange has no history of is told, and not asked for: no fault of tonight."""
        for kind in HISTORIES:
            if why := self.exchange.lacks(kind):
                frame = "" if kind == "funding" else self.asked.timeframe
                none = SeriesResult(
                    "", self.exchange.name, kind, frame, None, 0, None, None, note=why
                )
                for symbol in symbols:
                    self.tally.add(names[symbol.name], none)

    # --- doing it ---------------------------------------------------------------------------------

    async def _history(self, fetch: Fetch, names: Sequence[str], now: pd.Timestamp) -> None:
        if not fetch.idle:
            async with self._gate:
                with self.batches.giving():
                    await self._guarded(fetch)
        await self.batches.settle(fetch.revision(), now)
        self.tally.add(names, _result(fetch))

    async def _guarded(self, fetch: Fetch) -> None:
        """A fault in our own reading of one series must not cost the others theirs."""
        try:
            await fetch.run(self.exchange, self.batches.add, self.outage)
        except LibraryError:
            raise
        except Exception as error:
            fetch.failure = _unexpected(error)
            logger.exception("%s failed", " ".join(fetch.series.key))

    async def _snapshot(self, symbol: Symbol, names: Sequence[str], now: pd.Timestamp) -> None:
        result = SeriesResult(symbol.name, self.exchange.name, "snapshots", "", 0, 0, 0, 0)
        live = symbol.live(now)
        if live is None:
            self.tally.add(names, dataclasses.replace(result, note="it trades no more"))
            return
        result = dataclasses.replace(result, expected=1, missing=1)
        async with self._gate:
            with self.batches.giving():
                failure: BrainError | None = await self.outage.standing()
                if failure is None:
                    failure = await self._take_snapshot(live)
        if failure is None:
            await self.batches.settle(None, now)
            result = dataclasses.replace(result, rows_stored=1, rows_new=1, missing=0)
        self.tally.add(names, dataclasses.replace(result, failure=failure))

    async def _take_snapshot(self, instrument: Instrument) -> BrainError | None:
        try:
            row = await self.exchange.snapshot(instrument)
            await self.batches.add("snapshots", row)
        except LibraryError:
            raise
        except BrainError as error:
            self.outage.note(instrument.symbol, error)
            return error
        except Exception as error:
            logger.exception("%s %s snapshots failed", instrument.symbol, self.exchange.name)
            return _unexpected(error)
        return None


async def together(*works: Coroutine[Any, Any, Any]) -> list[Any]:
    """Do all of them at once; the first error ends the others and is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _unexpected(error: Exception) -> MarketError:
    return MarketError(f"{type(error).__name__}: {error}; the log has the details, report it")


def _result(fetch: Fetch) -> SeriesResult:
    series = fetch.series
    stored, gaps = fetch.outcome()
    missing = sum(gap.count for gap in gaps)
    late = f"{fetch.late:,} rows filled in outside the range" if fetch.late else ""
    return SeriesResult(
        series.symbol,
        series.exchange,
        series.kind,
        series.timeframe,
        rows_stored=stored,
        rows_new=fetch.new,
        expected=stored + missing,
        missing=missing,
        gaps=tuple(gaps),
        failure=fetch.failure,
        note="; ".join(filter(None, (series.note, late))),
        start=series.start,
        end=series.end,
    )
