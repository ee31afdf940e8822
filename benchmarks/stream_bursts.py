"""Bursts of liquidations from three loopback exchanges, in a process of their own.

Frames have the shapes of recorded ones. They are written to the sockets in one piece every few
milliseconds, so that the exchanges cost little of the machine that they are measured on.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Self

from tests.market.exchange_server import EXCHANGES, Event, ExchangeServer, Live
from tests.market.exchange_server.live import LiveProtocol, Session

__all__ = ["COINS", "BurstServer", "Sent"]

COINS = ("BTC", "ETH", "SOL")
_TICK = 0.02
_BEATS = 25  # ticks between mark prices: twice a second
_DUPLICATED = 0.1


@dataclass(frozen=True)
class Sent:
    """What was sent in a burst.

    Attributes:
        frames: with those that were sent twice.
        events: liquidations, each once, by exchange.
    """

    frames: int
    events: Mapping[str, int]


class _Bursts(Live):
    """The live side of exchanges on which nothing happens, until it bursts."""

    def __init__(self, server: ExchangeServer) -> None:
        super().__init__(server.truth, coins=COINS, rate=0.0, scale=1.0)
        self.frames_per_second = 0.0
        self.frames = 0
        self.counts = dict.fromkeys(EXCHANGES, 0)
        self._size = 0
        for protocol in self.protocols.values():
            protocol.route_of = lambda path: path  # type: ignore[method-assign]  # other clients'

    async def _run(self, exchange: str) -> None:
        protocol, loop = self.protocols[exchange], asyncio.get_running_loop()
        tick, due, debt = 0, loop.time(), 0.0
        while True:
            due += _TICK
            await asyncio.sleep(max(0.0, due - loop.time()))
            tick += 1
            debt += self.frames_per_second / len(EXCHANGES) * _TICK
            frames, debt = int(debt), debt % 1
            sessions = [one for one in self.sessions[exchange] if one.channels]
            if tick % _BEATS == 0:
                for session in sessions:
                    for text in protocol.marks(session, self.clock):
                        await session.send(text)
            if frames and sessions:
                self._burst(protocol, sessions, frames)

    def _burst(self, protocol: LiveProtocol, sessions: list[Session], frames: int) -> None:
        """Write so many frames, some of them twice, each to who subscribed to it."""
        now = self.clock
        groups = [self._events(protocol.name, now) for _ in range(frames)]
        self.counts[protocol.name] += sum(map(len, groups))
        groups += random.sample(groups, round(_DUPLICATED * frames))
        self.frames += len(groups)
        for session in sessions:
            texts = [
                text for group in groups for text in protocol.liquidations(session, group, now)
            ]
            if session.request.transport is not None:
                session.request.transport.write(b"".join(map(_frame, texts)))

    def _events(self, exchange: str, now: int) -> list[Event]:
        """Liquidations of one frame: one on Binance, where the others may have several."""
        number = 1 if exchange == "binance" else random.choice((1, 1, 2, 3))
        listing = self.listing(exchange, random.choice(self.coins))
        events = []
        for _ in range(number):
            self._size = self._size % 900_000 + 1
            side, size = random.choice(("long", "short")), f"{self._size / 1000:.3f}"
            price = f"{listing.coin.price * random.uniform(0.99, 1.01):.2f}"
            events.append(Event(now, exchange, listing.symbol, side, size, price))
        return events


def _frame(text: str) -> bytes:
    """A WebSocket frame of text from a server."""
    data = text.encode()
    if len(data) < 126:
        return bytes((0x81, len(data))) + data
    return struct.pack("!BBH", 0x81, 126, len(data)) + data


class BurstServer:
    """The exchanges' process; a context manager.

    Attributes:
        urls: base URL by exchange.
    """

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        self.urls: dict[str, str] = self._pipe.recv()
        return self

    def __exit__(self, *_error: object) -> None:
        self._pipe.send(None)
        self._process.join(10)

    def start(self, frames_per_second: float) -> None:
        """Begin a burst."""
        self._pipe.send(frames_per_second)
        self._pipe.recv()

    def stop(self) -> Sent:
        """End it."""
        self._pipe.send(0.0)
        sent: Sent = self._pipe.recv()
        return sent


def _serve(pipe: Connection) -> None:
    with ExchangeServer(fillers=0) as server:
        bursts = server.live = _Bursts(server)
        server.call(bursts.start)
        pipe.send(server.urls)
        while (frames_per_second := pipe.recv()) is not None:
            if frames_per_second:
                bursts.frames, bursts.counts = 0, dict.fromkeys(EXCHANGES, 0)
            bursts.frames_per_second = frames_per_second
            pipe.send(Sent(bursts.frames, dict(bursts.counts)))
