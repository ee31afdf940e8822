"""The server: a port for each exchange on 127.0.0.1, in a thread with an event loop."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.market.exchange_server.binance import FakeBinance
from tests.market.exchange_server.bybit import FakeBybit
from tests.market.exchange_server.catalogue import NOW
from tests.market.exchange_server.exchange import FakeExchange, Reply
from tests.market.exchange_server.faults import Faults
from tests.market.exchange_server.live import Live
from tests.market.exchange_server.okx import FakeOkx
from tests.market.exchange_server.truth import Truth

__all__ = ["Edit", "ExchangeServer", "Request"]

#: Another JSON than that of an answer, from exchange, path, query and the JSON.
Edit = Callable[[str, str, Mapping[str, str], Any], Any]

_ERRORS = (500, 502, 503)
_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>"
_BLOCKED = (
    b"<HTML><HEAD><TITLE>ERROR</TITLE></HEAD><BODY><H1>403 ERROR</H1>The Amazon CloudFront "
    b"distribution is configured to block access from your country.</BODY></HTML>"
)


@dataclass(frozen=True)
class Request:
    """A request, and its answer's status.

    Attributes:
        status: of the answer; 0 where there was none.
        fault: of the answer, if any.
        refused: whether it was beyond a rate limit.
        at: seconds of the monotonic clock.
    """

    exchange: str
    path: str
    query: Mapping[str, str]
    status: int
    fault: str | None
    refused: bool
    at: float


class ExchangeServer:
    """The server of three fake exchanges on loopback; a context manager.

    Args:
        now: the time at which they stand; ``truth.now`` moves it.
        scale: how many times as fast as ours the clock of the rate limits runs: with 60, a minute's
            weight is renewed in a second. Waits in ``Retry-After`` are in our seconds.
        budget: the share of the real rate limits that is granted, 1 for all of it.
        fillers: how many further perpetuals Bybit lists: with some 500 its list takes two pages.
        faults: none by default.
        live: arguments of :class:`Live` if the exchanges have a live side, at the same addresses.

    Attributes:
        urls: base URL by exchange.
        truth: what exists; holes and swaps are added there.
        faults: of the answers.
        requests: all of them, in order.
        edit: changes the JSON of a good answer before it is sent, from exchange, path, query and
            the whole JSON; None: no answer is changed.
    """

    def __init__(
        self,
        now: Any = NOW,
        *,
        scale: float = 1.0,
        budget: float = 1.0,
        fillers: int = 520,
        faults: Faults | None = None,
        live: Mapping[str, Any] | None = None,
    ) -> None:
        self.truth = Truth(now, fillers=fillers)
        self.live = None if live is None else Live(self.truth, **live)
        self.faults = Faults() if faults is None else faults
        self.requests: list[Request] = []
        self.edit: Edit | None = None
        self.urls: dict[str, str] = {}
        classes = (FakeBinance, FakeBybit, FakeOkx)
        exchanges = [c(self.truth, self.faults, scale=scale, budget=budget) for c in classes]
        self._exchanges: dict[str, FakeExchange] = {one.name: one for one in exchanges}
        self._runners: dict[str, web.AppRunner] = {}
        self._ports: dict[str, int] = {}
        self._errors: list[Exception] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        for name in self._exchanges:
            self._run(self._open(name))
            self.urls[name] = f"http://127.0.0.1:{self._ports[name]}"
        if self.live is not None:
            self.call(self._start_live)
        self.faults.attach(self._switch)
        self._switch(self.faults.down)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live is not None:
            self._run(self.live.stop())
        for name in list(self._runners):
            self._run(self._close(name))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._errors and error is None:
            raise self._errors[0]  # of the server itself, not a fault that a test has set

    @property
    def refused(self) -> list[Request]:
        """The requests that were beyond a rate limit."""
        return [request for request in self.requests if request.refused]

    def requests_to(self, exchange: str, path: str = "") -> list[Request]:
        """The requests to an exchange with paths of that ending."""
        return [r for r in self.requests if r.exchange == exchange and r.path.endswith(path)]

    @property
    def stream_urls(self) -> dict[str, str]:
        """Addresses of the exchanges' WebSockets."""
        return {name: url.replace("http", "ws", 1) for name, url in self.urls.items()}

    def call(self, work: Callable[[], Any]) -> None:
        """Do something in the server's event loop; what is returned is awaited if it can be."""
        self._run(_done(work))

    def call_soon(self, work: Callable[[], Any]) -> None:
        """As :meth:`call`, without waiting for it."""
        asyncio.run_coroutine_threadsafe(_done(work), self._loop)

    def _start_live(self) -> None:
        if self.live is not None:
            self.live.start()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _switch(self, down: frozenset[str]) -> None:
        for name in self._exchanges:
            if name in down and name in self._runners:
                self._run(self._close(name))
            elif name not in down and name not in self._runners:
                self._run(self._open(name))

    async def _open(self, name: str) -> None:
        app = web.Application()
        exchange = self._exchanges[name]

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                if self.live is not None and "Upgrade" in request.headers:
                    return await self.live.handle(exchange.name, request)
                return await self._handle(exchange, request)
            except ConnectionError:
                raise  # the client has hung up
            except Exception as error:
                self._errors.append(error)
                raise

        app.router.add_get("/{path:.*}", handle)
        # Clients that have given up waiting need not be waited for.
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._ports.get(name, 0), reuse_address=True)
        await site.start()
        self._ports[name] = runner.addresses[0][1]
        self._runners[name] = runner

    async def _close(self, name: str) -> None:
        await self._runners.pop(name).cleanup()

    async def _handle(self, exchange: FakeExchange, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        target = f"{request.path}?{sorted(query.items())}"
        fault = self.faults.draw(exchange.name, target)
        if (exchange.name, exchange.symbol_in(query)) in self.faults.failing:
            fault = "failing"
        if exchange.name in self.faults.blocked and query.get("symbol", query.get("instId")):
            fault = "blocked"
        counted = exchange.limited(request.path, query) if fault else None
        reply = counted or self._full_reply(exchange, request.path, query, fault, target)
        refused = counted is not None or (fault is None and reply.status in (418, 429, 403))
        silent = fault in ("timeout", "reset") and counted is None
        self.requests.append(
            Request(
                exchange.name,
                request.path,
                query,
                0 if silent else reply.status,
                fault,
                refused,
                time.monotonic(),
            )
        )
        return await self._send(request, reply, None if counted else fault, exchange, target)

    def _full_reply(
        self,
        exchange: FakeExchange,
        path: str,
        query: Mapping[str, str],
        fault: str | None,
        target: str,
    ) -> Reply:
        """The whole answer to a request within the rate limits."""
        if fault in ("too_many", "banned"):
            return exchange.fault_reply(fault)
        if fault == "failing":
            return Reply(_PAGE, 500)
        if fault == "blocked":
            return Reply(_BLOCKED, 403)
        if fault == "error":
            variant = self.faults.variant(exchange.name, target)
            return Reply(_PAGE, _ERRORS[int(variant * len(_ERRORS))])
        if fault == "malformed":
            return Reply(_PAGE)
        if fault in ("empty", "timeout", "reset"):
            return Reply(b"")
        reply = exchange.reply(path, query, counted=fault is not None)
        if self.edit is not None and reply.status == 200 and not isinstance(reply.body, bytes):
            reply.body = self.edit(exchange.name, path, query, json.loads(reply.content))
        return reply

    async def _send(
        self,
        request: web.Request,
        reply: Reply,
        fault: str | None,
        exchange: FakeExchange,
        target: str,
    ) -> web.StreamResponse:
        content = reply.content
        if fault == "timeout":
            await asyncio.sleep(self.faults.hang)
        if fault == "reset":
            _reset(request)
        if fault == "truncated":
            half = content[: len(content) // 2]
            if self.faults.variant(exchange.name, target) < 0.5:
                return await _truncate(request, content, half)
            content = half
        media_type = "text/html" if content.startswith(b"<") else "application/json"
        return web.Response(
            body=content, status=reply.status, headers=reply.headers, content_type=media_type
        )


async def _done(work: Callable[[], Any]) -> None:
    result = work()
    if asyncio.iscoroutine(result):
        await result


def _reset(request: web.Request) -> None:
    """End the connection with a reset, as after a crash."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


async def _truncate(request: web.Request, content: bytes, half: bytes) -> web.StreamResponse:
    """Send half of the announced length, and hang up."""
    response = web.StreamResponse()
    response.content_type = "application/json"
    response.content_length = len(content)
    await response.prepare(request)
    await response.write(half)
    if request.transport is not None:
        request.transport.close()
    return response
