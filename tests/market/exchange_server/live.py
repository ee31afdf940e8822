"""The fakes' live side: three WebSocket protocols, liquidations at random, and faults on purpose.

Written from the exchanges' documentation and recorded frames, independently of our feeds. Its clock
is this machine's. All times of the exchanges (keep-alives, pauses between frames, the delay of a
liquidation) are multiplied by ``scale``.

A frame of a mark price at a moment follows all liquidations that were due by then, whatever the
machine does meanwhile: so what a connection was sent is known exactly.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import random
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from tests.market.exchange_server.catalogue import Listing
from tests.market.exchange_server.truth import Truth

__all__ = ["Event", "Live", "LiveFaults", "LiveProtocol", "Session"]


@dataclass(frozen=True, order=True)
class Event:
    """A liquidation that happened, whether or not anybody was told.

    Attributes:
        time: in milliseconds.
        size: in the exchange's own units, as text, as ``price``.
    """

    time: int
    exchange: str
    symbol: str
    side: str
    size: str
    price: str
    number: int = 0


@dataclass
class LiveFaults:
    """The faults of one exchange's live side; every attribute may be set at any time.

    Attributes:
        down: no connection is accepted, and those that there are were reset.
        silent: connections are accepted and acknowledged, pings answered, and nothing is sent.
        deaf: as silent, but only liquidations are not sent.
        unanswered: what is subscribed to is not acknowledged.
        duplicated: share of frames that are sent twice.
        unsorted: share of liquidations that come after later ones, within the exchange's delay.
        malformed: share of frames of which half is sent.
    """

    down: bool = False
    silent: bool = False
    deaf: bool = False
    unanswered: bool = False
    duplicated: float = 0.0
    unsorted: float = 0.0
    malformed: float = 0.0

    @property
    def healthy(self) -> bool:
        """Whether all that happens is told, in a form that can be read."""
        return not (self.down or self.silent or self.deaf or self.unanswered or self.malformed)


@dataclass(eq=False)
class Session:
    """A connection as the exchange sees it.

    Attributes:
        channels: that it is subscribed to.
        opened: when, in seconds of the monotonic clock, as ``heard``, when the client last spoke.
        pulses: moments of the mark prices that it was sent, in milliseconds, with whether all was
            well between the one before and this one.
    """

    socket: web.WebSocketResponse
    request: web.Request
    route: str
    channels: set[str] = field(default_factory=set)
    opened: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)
    messages: list[float] = field(default_factory=list)
    pulses: list[tuple[int, bool]] = field(default_factory=list)

    async def send(self, text: str) -> None:
        with suppress(ConnectionError, RuntimeError):  # it is gone, as its handler will notice
            await self.socket.send_str(text)

    def reset(self) -> None:
        if self.request.transport is not None:
            self.request.transport.abort()


class LiveProtocol(ABC):
    """How one exchange speaks.

    Attributes:
        name: of the exchange.
        delay: seconds by which a liquidation may be pushed after its time.
        unknown: ids of instruments that it does not know, although they are listed.
        roots: paths at which it is silent.
    """

    name: str
    delay: float
    roots: tuple[str, ...] = ()

    def __init__(self, live: Live) -> None:
        self.live = live
        self.unknown: set[str] = set()

    async def notice(self) -> None:  # noqa: B027 (most exchanges don't)
        """Say that connections will be closed."""

    def knows(self, name: str) -> bool:
        return name not in self.unknown and self.live.truth.by_id(self.name, name) is not None

    @abstractmethod
    def route_of(self, path: str) -> str | None:
        """The route of a path; None: there is none, empty: one that is silent for ever."""

    @abstractmethod
    async def told(self, session: Session, text: str) -> None:
        """Answer what a client has sent."""

    @abstractmethod
    def overdue(self, session: Session) -> str:
        """Why the exchange hangs up on a client by its keep-alive rules; empty: it doesn't."""

    @abstractmethod
    def marks(self, session: Session, now: int) -> Iterable[str]:
        """The frames of mark prices, and of all else that comes regularly."""

    @abstractmethod
    def candles(self, session: Session, start: int, step: int) -> Iterable[str]:
        """The frames of candles that have just closed."""

    @abstractmethod
    def liquidations(self, session: Session, events: list[Event], now: int) -> Iterable[str]:
        """The frames of some liquidations."""


class Live:
    """The live side of all three exchanges.

    Args:
        truth: whose instruments are traded.
        coins: that are liquidated.
        rate: liquidations a second, of one coin on one exchange; of the real second.
        scale: of the exchanges' times.
        seed: of all that is random.
        candle: milliseconds of the candles that close.

    Attributes:
        events: all liquidations that happened, in order of time.
        faults: by exchange.
        sessions: of now, by exchange; ``ended`` has those that were.
        sent: how many liquidations were sent, by exchange.
        price: of each coin's marks.
    """

    def __init__(
        self,
        truth: Truth,
        *,
        coins: tuple[str, ...] = ("BTC", "ETH", "SOL"),
        rate: float = 5.0,
        scale: float = 0.05,
        seed: int = 0,
        candle: int = 1000,
    ) -> None:
        from tests.market.exchange_server.live_binance import LiveBinance
        from tests.market.exchange_server.live_bybit import LiveBybit
        from tests.market.exchange_server.live_okx import LiveOkx

        self.truth, self.coins, self.rate = truth, coins, rate
        self.scale, self.candle = scale, candle
        self.random = random.Random(seed)
        self.events: list[Event] = []
        self.protocols: dict[str, LiveProtocol] = {
            protocol.name: protocol
            for protocol in (LiveBinance(self), LiveBybit(self), LiveOkx(self))
        }
        self.faults = {name: LiveFaults() for name in self.protocols}
        self.sessions: dict[str, list[Session]] = {name: [] for name in self.protocols}
        self.ended: dict[str, list[Session]] = {name: [] for name in self.protocols}
        self.hung_up: Counter[str] = Counter()
        self._due: dict[str, list[tuple[float, int, Event]]] = {n: [] for n in self.protocols}
        self._tasks: list[asyncio.Task[None]] = []
        self._number = 0
        self._well = dict.fromkeys(self.protocols, True)

    def listing(self, exchange: str, coin: str) -> Listing:
        return self.truth.listing(exchange, f"{coin}/USDT")

    @property
    def clock(self) -> int:
        """Now, in milliseconds."""
        return time.time_ns() // 1_000_000

    def start(self) -> None:
        """Begin; in the event loop of the server."""
        self._tasks = [asyncio.create_task(self._run(name)) for name in self.protocols]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for name in self.protocols:
            self.cut(name)

    def cut(self, exchange: str) -> None:
        """Reset the exchange's connections."""
        for session in list(self.sessions[exchange]):
            session.reset()

    async def close(self, exchange: str) -> None:
        """Close the exchange's connections as before a restart of its servers."""
        for session in list(self.sessions[exchange]):
            await session.socket.close(code=WSCloseCode.GOING_AWAY)

    # --- connections ------------------------------------------------------------------------------

    async def handle(self, exchange: str, request: web.Request) -> web.StreamResponse:
        """Serve one connection to its end."""
        protocol, faults = self.protocols[exchange], self.faults[exchange]
        route = protocol.route_of(request.path)
        if faults.down or route is None:
            return web.Response(status=503 if faults.down else 404)
        socket = web.WebSocketResponse(autoping=True, timeout=0.1)
        await socket.prepare(request)
        session = Session(socket, request, route)
        self.sessions[exchange].append(session)
        try:
            async for message in socket:
                session.heard = time.monotonic()
                if message.type is WSMsgType.TEXT:
                    session.messages.append(session.heard)
                    await protocol.told(session, message.data)
        finally:
            self.sessions[exchange].remove(session)
            self.ended[exchange].append(session)
        return socket

    # --- what happens -----------------------------------------------------------------------------

    async def _run(self, exchange: str) -> None:
        """Let time pass on one exchange."""
        protocol, faults = self.protocols[exchange], self.faults[exchange]
        last, closed = self.clock, self.clock // self.candle
        while True:
            await asyncio.sleep(self.scale)
            now = self.clock
            self._happen(exchange, last, now)
            events = self._take_due(exchange, now)
            # A machine that stands still is an exchange that does.
            beats = now - last <= 2000 * self.scale
            well, self._well[exchange] = (
                self._well[exchange] and faults.healthy and beats,
                faults.healthy,
            )
            for session in list(self.sessions[exchange]):
                reason = protocol.overdue(session)
                if reason:
                    self.hung_up[reason] += 1
                    await session.socket.close(code=WSCloseCode.POLICY_VIOLATION)
                elif session.route and not faults.silent and not faults.down:
                    await self._tell(protocol, session, events, (now, well))
                    if now // self.candle > closed:
                        start = closed * self.candle
                        for text in protocol.candles(session, start, self.candle):
                            await session.send(text)
            if faults.down:
                self.cut(exchange)
            last, closed = now, now // self.candle

    def _happen(self, exchange: str, since: int, until: int) -> None:
        """Liquidations of a stretch of time, spread over it."""
        protocol = self.protocols[exchange]
        for coin in self.coins:
            listing, chance = self.listing(exchange, coin), self.rate * (until - since) / 1000
            for _ in range(int(chance) + (self.random.random() < chance % 1)):
                self._number += 1
                moment = self.random.randrange(since, max(until, since + 1))
                event = Event(
                    moment,
                    exchange,
                    listing.symbol,
                    self.random.choice(("long", "short")),
                    str(self.random.randrange(1, 10_000)),
                    f"{listing.coin.price * self.random.uniform(0.9, 1.1):.4f}",
                    self._number,
                )
                self.events.append(event)
                delay = protocol.delay * self.scale * self.random.random()
                heapq.heappush(self._due[exchange], (moment / 1000 + delay, self._number, event))

    def _take_due(self, exchange: str, now: int) -> list[Event]:
        due, events = self._due[exchange], []
        while due and due[0][0] * 1000 <= now:
            events.append(heapq.heappop(due)[2])
        return events

    async def _tell(
        self,
        protocol: LiveProtocol,
        session: Session,
        events: list[Event],
        moment: tuple[int, bool],
    ) -> None:
        """Send liquidations, and then the mark prices of now."""
        now, well = moment
        faults = self.faults[protocol.name]
        if not faults.deaf:
            if self.random.random() < faults.unsorted:
                events = self.random.sample(events, len(events))
            for text in protocol.liquidations(session, events, now):
                await self._send(session, text, faults)
        marks = list(protocol.marks(session, now))
        for text in marks:
            await self._send(session, text, faults)
        if marks:
            session.pulses.append((now, well and bool(session.pulses)))

    async def _send(self, session: Session, text: str, faults: LiveFaults) -> None:
        if self.random.random() < faults.malformed:
            text = text[: len(text) // 2]
        await session.send(text)
        if self.random.random() < faults.duplicated:
            await session.send(text)


def dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
