"""TLS: a connection counts from its first byte, before its handshake is done."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from brain.errors import SettingsError
from serving.http.connections import Connections, HttpConnection

__all__ = ["Handshake", "tls_context"]

# In which a client confirms the end; 30 are usual, for which a file would be held.
_SHUTDOWN_SECONDS = 1.0


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """The context of a server, TLS 1.2 or newer.

    Raises:
        SettingsError: a file can't be read, or the two don't belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # A password that is given, and wrong, is not asked for on a terminal.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"tls_certificate={str(certificate)!r} and tls_key={str(key)!r} can't be used: "
            f"{error}; give a certificate and its key in PEM, without a password"
        ) from None
    return context


class Handshake(asyncio.Protocol):
    """Makes a connection secure, and then gives it to uvicorn's protocol.

    uvicorn's own way takes no notice of a connection before its handshake is done: clients that
    begin none would use up the process's files. It needs asyncio's own loop: uvloop reads, and
    gives to nobody, what a client sends before ``loop.start_tls`` is under way.

    Args:
        everyone: all connections.
        context: of TLS.
        seconds: that the handshake may take.
        make: makes uvicorn's protocol.
    """

    def __init__(
        self,
        *,
        everyone: Connections,
        context: ssl.SSLContext,
        seconds: float,
        make: Callable[[], HttpConnection],
    ) -> None:
        self._everyone, self._context, self._seconds = everyone, context, seconds
        self._make = make
        self._early: list[bytes] = []
        self._gone = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        if not self._everyone.room():
            transport.abort()
            return
        self._everyone.handshake(1)
        transport.pause_reading()
        self._task = asyncio.get_running_loop().create_task(self._secure(transport))

    def data_received(self, data: bytes) -> None:
        self._early.append(data)  # of the first request, before we are told of the handshake's end

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True

    async def _secure(self, raw: asyncio.Transport) -> None:
        secure = None
        try:
            with suppress(OSError, asyncio.TimeoutError):  # ssl's errors are OSErrors
                secure = await asyncio.get_running_loop().start_tls(
                    raw,
                    self,
                    self._context,
                    server_side=True,
                    ssl_handshake_timeout=self._seconds,
                    ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
                )
        finally:
            self._everyone.handshake(-1)
        if secure is None or self._gone:
            self._everyone.refused("malformed")
            raw.abort()
            return
        connection = self._make()
        secure.set_protocol(connection)
        connection.connection_made(secure)
        if self._early:
            connection.data_received(b"".join(self._early))
