"""The server: a socket, as many connections as there can be, uvicorn, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from brain.errors import SettingsError
from serving.http.application import Application
from serving.http.busy_polling import BusyPolling
from serving.http.connections import Connections, HttpConnection
from serving.http.handshake import Handshake, tls_context
from serving.http.metrics import Metrics
from serving.http.settings import ServeSettings

__all__ = ["Server", "bind", "possible_connections"]

logger = logging.getLogger(__name__)

# Connections that the kernel accepts before we do. All of them may be ours at once, before the
# first is counted, so as many files are kept free; and these for journals, models and the like.
_BACKLOG, _OTHER_FILES = 256, 64
_SWEEP_SECONDS = 0.25
_GRACE_SECONDS = 5.0


def bind(settings: ServeSettings) -> socket.socket:
    """The socket of the settings' address, which does not listen yet.

    Raises:
        SettingsError: the address can't be used.
    """
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        raise SettingsError(
            f"host={settings.host!r} and port={settings.port} can't be used: {error.strerror}; "
            "name a free port and an address of this machine"
        ) from error
    return bound


def possible_connections(wanted: int) -> int:
    """How many connections may be open, so that the process never runs out of files.

    The process's own limit is raised as far as it may be.

    Raises:
        SettingsError: there can be none.
    """
    try:
        import resource
    except ModuleNotFoundError:  # of Unix alone
        return wanted
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    reserved = len(os.listdir(folder)) + _BACKLOG + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    needed = wanted + reserved
    raised = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
    if soft < raised:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    possible = min(wanted, soft - reserved)
    if possible < 1:
        raise SettingsError(
            f"this process may have {soft} open files, {reserved} of which are kept for other "
            f"uses; raise the limit (ulimit -n) above {reserved}"
        )
    if possible < wanted:
        logger.warning(
            "%d connections may be open, and not %d: this process may have %d files (ulimit -n)",
            possible,
            wanted,
            soft,
        )
    return possible


class Server:
    """Serves an application until a signal or :meth:`stop`.

    Args:
        application: that answers.
        settings: how.
        metrics: that count connections.
        bound: of :func:`bind`; it is closed in the end.

    Raises:
        SettingsError: the certificate can't be used, or there can be no connections.
    """

    def __init__(
        self,
        application: Application,
        settings: ServeSettings,
        metrics: Metrics,
        bound: socket.socket,
    ) -> None:
        self._bound = bound
        self.connections = Connections(
            possible_connections(settings.connections),
            settings.request_seconds,
            settings.idle_seconds,
            metrics.refused,
            BusyPolling(settings.polling_us / 1e6),
        )
        metrics.watch_connections(lambda: len(self.connections))
        protocol: Callable[..., Any] = partial(HttpConnection, everyone=self.connections)
        if settings.tls_certificate is not None and settings.tls_key is not None:
            context = tls_context(settings.tls_certificate, settings.tls_key)
            protocol = partial(
                _handshake, protocol, self.connections, context, settings.request_seconds
            )
        secure = settings.tls_certificate is not None
        self._scheme = "https" if secure else "http"
        config = uvicorn.Config(
            application,
            loop="asyncio" if secure else "auto",  # see Handshake
            http=protocol,  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            interface="asgi3",
            backlog=_BACKLOG,
            log_config=None,
            log_level=logging.ERROR,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=math.ceil(settings.idle_seconds),
            timeout_graceful_shutdown=math.ceil(settings.request_seconds + _GRACE_SECONDS),
        )
        self._uvicorn = _Uvicorn(config, self.connections)

    @property
    def address(self) -> str:
        """Where it is reached on this machine, ``http://127.0.0.1:8000``."""
        host, port = self._bound.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"{self._scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def run(self, ready: Callable[[], object] = lambda: None) -> None:
        """Serve until SIGINT, SIGTERM or :meth:`stop`; requests under way are answered first.

        Args:
            ready: called once it listens.
        """
        self._uvicorn.ready = ready
        try:
            self._uvicorn.run(sockets=[self._bound])
        finally:
            self._bound.close()

    def stop(self) -> None:
        """End :meth:`run`, from any thread."""
        self._uvicorn.should_exit = True


def _handshake(
    protocol: Callable[..., HttpConnection],
    everyone: Connections,
    context: Any,
    seconds: float,
    **arguments: Any,
) -> Handshake:
    """A connection's protocol where there is TLS, as uvicorn makes it."""
    return Handshake(
        everyone=everyone, context=context, seconds=seconds, make=partial(protocol, **arguments)
    )


class _Uvicorn(uvicorn.Server):
    """uvicorn's server, which sweeps connections, and whose end is no interruption."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self.ready: Callable[[], object] = lambda: None
        self._connections = connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._connections.now = asyncio.get_running_loop().time()
        await super().startup(sockets)
        self._sweeps = asyncio.get_running_loop().create_task(self._sweep())
        self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._sweeps.cancel()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._connections.sweep(loop.time())
            await asyncio.sleep(_SWEEP_SECONDS)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End orderly; uvicorn raises the signal again, which would make it an error."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
