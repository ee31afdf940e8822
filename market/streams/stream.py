"""The stream: all routes of all exchanges, until it is stopped."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from brain.errors import InputError, MarketError
from brain.naming import perpetual
from brain.series.store.store import SeriesStore
from market.exchanges.base import Exchange, Instrument
from market.exchanges.feed import Market, Route
from market.exchanges.feeds import FEEDS
from market.http.sockets import Sockets
from market.streams.connection import Hub, LiveConnection
from market.streams.connection_state import Opening
from market.streams.keeper import RouteKeeper
from market.streams.listening import SeriesName
from market.streams.normaliser import Normaliser
from market.streams.pace import Pace
from market.streams.recording import Entry, Recording
from market.streams.writer import Stored, Writer, recover

__all__ = ["Source", "Stream"]

logger = logging.getLogger(__name__)

_NOT_RUNNING = "the stream was not running"
_STOPPED = "the stream was stopped"
# By which a clock may have been set back.
_CLOCK_MICROSECONDS = 60_000_000
# Listening is remembered in the store too, where the recording has been deleted.
_LOOK_BACK = pd.Timedelta(days=35)


@dataclass(frozen=True)
class Source:
    """An exchange to stream from.

    Attributes:
        exchange: its client, for its instruments; closed by the stream.
        url: of its WebSockets; its own if None.
    """

    exchange: Exchange
    url: str | None = None


class Stream:
    """Streams symbols from exchanges into a series store.

    Args:
        store: the series store, by its own names.
        sources: the exchanges.
        symbols: linear perpetuals.
        timeframe: of the candles.
        folder: of the recording.
        pace: its times.
        stored: called, in a thread of its own, with what was stored.

    Attributes:
        keepers: of the routes that are kept connected, by exchange and route.
        failures: why symbols or exchanges are not streamed, by exchange and symbol.
    """

    def __init__(
        self,
        store: SeriesStore,
        sources: Sequence[Source],
        symbols: Sequence[str],
        timeframe: str,
        folder: Path,
        *,
        pace: Pace | None = None,
        stored: Stored | None = None,
    ) -> None:
        self._store, self._sources = store, tuple(sources)
        self._symbols = tuple(dict.fromkeys(perpetual(symbol) for symbol in symbols))
        self._timeframe, self._folder = timeframe, folder
        self._pace = pace or Pace()
        self._stored = stored
        self._received = 0
        self._number = 0
        self.normaliser = Normaliser()
        self.writer: Writer | None = None
        self.keepers: dict[tuple[str, str], RouteKeeper] = {}
        self.failures: dict[tuple[str, str], str] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Stream until stopped, then store what is left.

        Raises:
            InputError: another stream records into the folder, its recording ends in the future, or
                an exchange has no candles of the timeframe.
            SeriesStoreError: the recording or the store can't be written when it begins or ends.
        """
        for source in self._sources:
            FEEDS[source.exchange.name]().routes(Market((), self._timeframe))
        async with AsyncExitStack() as stack:
            for source in self._sources:
                await stack.enter_async_context(source.exchange)
            recording = Recording(self._folder)
            stack.callback(recording.close)
            await self._recover()
            self.writer = Writer(recording, self._store, self.normaliser, self._pace, self._stored)
            await self.writer.start_segment(self._now())
            for number in list(self.normaliser.connections):
                self._emit("close", number, json.dumps({"reason": "the stream was killed"}))
            await self._work(stop)
            self._emit("end", 0, json.dumps({"reason": _STOPPED}))
            await self.writer.finish()

    async def _work(self, stop: asyncio.Event) -> None:
        """Stream until stopped; then everything is taken that was underway, and written."""
        assert self.writer is not None
        writing = asyncio.create_task(self.writer.run(self._now))
        streaming = [asyncio.create_task(self._stream(source)) for source in self._sources]
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait(
                [writing, *streaming, stopped], return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
        finally:
            for task in (*streaming, stopped):
                task.cancel()
            await asyncio.gather(*streaming, stopped, return_exceptions=True)
            self.writer.stop()
            await asyncio.gather(writing, return_exceptions=True)

    async def _recover(self) -> None:
        def work() -> Entry | None:
            return recover(self._folder, self.normaliser, self._store)

        last = await asyncio.get_running_loop().run_in_executor(None, work)
        if last is None:
            return
        if last.received > time.time_ns() // 1000 + _CLOCK_MICROSECONDS:
            when = pd.Timestamp(last.received, unit="us", tz="UTC")
            raise InputError(
                f"the recording {self._folder} ends at {when:%Y-%m-%d %H:%M}, which is yet to "
                "come; set this machine's clock, or name another folder (BRAIN_FRAMES)"
            )
        self._received = last.received

    # --- one exchange -----------------------------------------------------------------------------

    async def _stream(self, source: Source) -> None:
        """Stream from one exchange until cancelled."""
        name = source.exchange.name
        instruments = await self._instruments(source.exchange)
        market = Market(tuple(instruments), self._timeframe)
        feed = FEEDS[name]()
        await self._begin(name, market)
        sockets = Sockets(source.url or feed.url, service=name, timeout=self._pace.answer)
        try:
            async with asyncio.TaskGroup() as group:
                for route in feed.routes(market):
                    keeper = self._keeper(name, route, market, sockets)
                    self.keepers[name, route.name] = keeper
                    group.create_task(keeper.run())
                await asyncio.Event().wait()
        finally:
            await sockets.close()

    async def _instruments(self, exchange: Exchange) -> list[Instrument]:
        """The instruments of the symbols, asked for until the exchange answers."""
        wait = self._pace.first_wait
        while True:
            try:
                listed = await exchange.instruments()
                break
            except MarketError as error:
                self.failures[exchange.name, ""] = str(error)
                logger.warning("%s can't be streamed yet: %s", exchange.name, error)
            await asyncio.sleep(wait)
            wait = min(2 * wait, self._pace.longest_wait)
        self.failures.pop((exchange.name, ""), None)
        now = pd.Timestamp.now("UTC")
        found = []
        for symbol in self._symbols:
            one = listed.get(symbol)
            if one is None or (one.delisted is not None and one.delisted <= now):
                reason = f"{exchange.name} does not trade {symbol}"
                self.failures[exchange.name, symbol] = reason
                logger.warning("%s; it is not streamed from there", reason)
            else:
                found.append(one)
        return found

    async def _begin(self, exchange: str, market: Market) -> None:
        """Take up the record of listening where it ended, here or in the store."""
        since = pd.Timestamp.now("UTC") - _LOOK_BACK
        columns = ["symbol", "kind", "end"]
        read = partial(
            self._store.read, "listening", exchange=exchange, start=since, columns=columns
        )
        known = await asyncio.get_running_loop().run_in_executor(None, read)
        ends: Mapping[tuple[str, str], pd.Timestamp] = (
            known.groupby(["symbol", "kind"])["end"].max().to_dict()  # type: ignore[assignment]
        )
        feed, rows, now = FEEDS[exchange](), [], self._now() // 1000
        channels = [channel for route in feed.routes(market) for channel in route.channels]
        for symbol, kind in dict.fromkeys(one for channel in channels for one in channel.series):
            series: SeriesName = (exchange, symbol, kind)
            until = self.normaliser.listening.until(series)
            end = ends.get((symbol, kind))
            if until is None and end is not None:
                until = min(now, end.value // 1_000_000)
            reason = "the connection is not open yet" if until is None else _NOT_RUNNING
            rows.append([*series, now if until is None else until, reason])
        self._emit("begin", 0, json.dumps({"series": rows}, ensure_ascii=False))

    def _keeper(self, exchange: str, route: Route, market: Market, sockets: Sockets) -> RouteKeeper:
        feed = FEEDS[exchange]()
        opening = Opening(
            exchange,
            route.name,
            self._timeframe,
            market.instruments,
            lag=round(1000 * self._pace.lag(feed)),
            patience=round(1000 * self._pace.patience(route)),
        )

        def connect() -> LiveConnection:
            assert self.writer is not None
            self._number = max(self._number + 1, self._now())
            return LiveConnection(
                feed,
                route,
                opening,
                sockets=sockets,
                hub=Hub(self._emit, self.normaliser, self.writer.room, self._pace),
                number=self._number,
            )

        return RouteKeeper(connect, self._pace)

    def _emit(self, event: str, connection: int, text: str) -> None:
        assert self.writer is not None
        self.writer.take(Entry(self._now(), event, connection, text))

    def _now(self) -> int:
        """This machine's clock in microseconds, always later than before."""
        self._received = max(self._received + 1, time.time_ns() // 1000)
        return self._received
