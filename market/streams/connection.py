"""One WebSocket from its opening to its end: subscribed, kept alive, and watched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import aiohttp

from brain.errors import MarketError
from market.exchanges.feed import Feed, Route
from market.http.sockets import Sockets
from market.streams.connection_state import Connection, Opening
from market.streams.normaliser import Normaliser
from market.streams.pace import Pace

__all__ = ["Emit", "Hub", "LiveConnection"]

#: Makes an entry of an event, a connection's number and a text, and has it taken.
Emit = Callable[[str, int, str], None]


@dataclass(frozen=True)
class Hub:
    """What all connections of a stream share.

    Attributes:
        emit: takes what happens.
        normaliser: that reads what is emitted, and knows what was answered.
        room: is set while there is room for more.
        pace: how long what is waited for.
    """

    emit: Emit
    normaliser: Normaliser
    room: asyncio.Event
    pace: Pace


class LiveConnection:
    """A connection to one route. What happens on it becomes entries.

    Args:
        feed, route: where it goes.
        opening: what the recording says of it.
        sockets: open it.
        hub: of the stream.
        number: of the connection.

    Attributes:
        listened: set with the first pulse.
        proved: set once something is proved to be listened to: what came before the first pulse may
            still have been on its way on an older connection until then.
        retiring: set when the exchange is about to close it.
    """

    def __init__(
        self,
        feed: Feed,
        route: Route,
        opening: Opening,
        *,
        sockets: Sockets,
        hub: Hub,
        number: int,
    ) -> None:
        self.feed, self.route, self.opening = feed, route, opening
        self.number = number
        self.listened = asyncio.Event()
        self.proved = asyncio.Event()
        self.retiring = asyncio.Event()
        self._sockets, self._emit, self._normaliser = sockets, hub.emit, hub.normaliser
        self._room, self._pace = hub.room, hub.pace
        self._pulse_at = 0.0
        self._pulse = 0

    @property
    def _known(self) -> Connection:
        return self._normaliser.connections[self.number]

    async def run(self) -> str:
        """Stay connected for as long as it goes; returns why it ended."""
        try:
            socket = await self._sockets.open(self.route.path)
        except MarketError as error:
            return str(error)
        self._emit("open", self.number, self.opening.text())
        reason = "stopped"
        try:
            reason = await _first(
                self._read(socket), self._send(socket), self._watch(), self._retire()
            )
        finally:
            self._emit("close", self.number, json.dumps({"reason": reason}))
            await socket.close()
        return reason

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        """Take every frame; what is not text is a frame that can't be read."""
        emit, number, loop = self._emit, self.number, asyncio.get_running_loop()
        known = self._known
        while True:
            if not self._room.is_set():
                await self._room.wait()
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                emit("frame", number, message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                emit("frame", number, message.data.decode(errors="replace"))
            else:
                return _end_of(socket, message)
            if known.last != self._pulse:
                self._pulse, self._pulse_at = known.last, loop.time()
                self.listened.set()
                if known.start is not None and known.until > known.start:
                    self.proved.set()

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        """Subscribe, and keep the connection alive."""
        pause = self._pace.scale / self.feed.requests_per_second
        try:
            for subscription in self.route.subscriptions:
                await socket.send_str(subscription.text)
                await asyncio.sleep(pause)
            keep_alive = self.feed.keep_alive
            while keep_alive.text is not None:
                await asyncio.sleep(keep_alive.seconds * self._pace.scale)
                await socket.send_str(keep_alive.text)
        except (aiohttp.ClientError, OSError) as error:
            return f"nothing can be sent: {type(error).__name__}"
        await asyncio.Event().wait()
        return ""

    async def _watch(self) -> str:
        """End a connection that is not answered, or silent; whatever else it does."""
        loop, silence = asyncio.get_running_loop(), self._pace.silence(self.route)
        sending = len(self.route.subscriptions) * self._pace.scale / self.feed.requests_per_second
        deadline = loop.time() + sending + self._pace.answer
        while self._known.waiting:
            if loop.time() > deadline:
                canaries = {channel.name for channel in self.route.channels if channel.canary}
                if canaries <= self._known.waiting:
                    return "what was subscribed to was not acknowledged"
                refused = dict.fromkeys(sorted(self._known.waiting), "not acknowledged")
                self._emit("lack", self.number, json.dumps({"refused": refused}))
                break
            await asyncio.sleep(silence / 50)
        self._pulse_at = max(self._pulse_at, loop.time())
        while True:
            if self._room.is_set() and loop.time() - self._pulse_at > silence:
                state = "silent" if self.listened.is_set() else "acknowledged, but silent"
                return f"{state} for {silence:g} s"
            await asyncio.sleep(silence / 50)

    async def _retire(self) -> str:
        """Say when it has to be handed over, by its age or because the exchange says so."""
        loop, lifetime = asyncio.get_running_loop(), self._pace.lifetime(self.feed)
        end = None if lifetime is None else loop.time() + lifetime
        while not (self._known.closing or (end is not None and loop.time() > end)):
            await asyncio.sleep(self._pace.patience(self.route))
        self.retiring.set()
        await asyncio.Event().wait()
        return ""


def _end_of(socket: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage) -> str:
    if message.type is aiohttp.WSMsgType.ERROR:
        return f"the connection broke: {type(message.data).__name__}"
    code = "no code" if socket.close_code is None else f"code {socket.close_code}"
    return f"the connection was closed, {code}"


async def _first(*works: Coroutine[Any, Any, str]) -> str:
    """What the first to end returns; the others are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
