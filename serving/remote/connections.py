"""GET over HTTP: connections that are kept, a deadline and a bound for every answer.

>>> connections = Connections(timeout=10.0)
>>> connections.get("http://127.0.0.1:5000/health", limit=1000).body    # doctest: +SKIP
b'OK'

No redirect is followed: the credentials of one host are for no other. Proxies of the environment
are not used. Looking a host's name up is the system's, with the system's patience.
"""

from __future__ import annotations

import http.client
import os
import re
import ssl
import threading
from collections.abc import Mapping
from functools import cached_property
from urllib.parse import urlsplit

from brain.errors import LibraryError, SettingsError, TrackingUnreachableError
from brain.redact import redact
from serving.remote.connection import (
    Answer,
    Connection,
    Deadline,
    Origin,
    Request,
    TooLargeError,
)

__all__ = ["Answer", "Connections", "origin_of"]

_IDLE = 8  # connections to a server that are kept
_BUSY = {408, 425, 429}
_PORTS = {"http": 80, "https": 443}
_UNSAFE = re.compile(r"[^\x21-\x7e]")
_BUNDLES = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE")


class Connections:
    """Connections to any servers, for any number of threads.

    Args:
        timeout: seconds until an answer must be whole, from the connection on.
    """

    def __init__(self, *, timeout: float) -> None:
        self.timeout = timeout
        self._lock = threading.Lock()
        self._idle: dict[Origin, list[Connection]] = {}
        self._busy: set[Connection] = set()
        self._closed = False

    def get(
        self,
        url: str,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        unreachable: type[LibraryError] = TrackingUnreachableError,
    ) -> Answer:
        """An answer of any status but those that say that the server is at fault or busy.

        Args:
            url: ``http://`` or ``https://``, percent-encoded, without user and password.
            limit: bytes that the body may have.
            headers: of the request.
            timeout: seconds; those of the connections if None.
            unreachable: the error of a server that does not answer.

        Raises:
            SettingsError: the address is none, or a header can't be sent.
            LibraryError: refused, no whole answer in time, broken off, 5xx, or too busy: of the
                class ``unreachable``; or the answer is larger than its limit.
        """
        origin, target = origin_of(url)
        for name, value in (headers or {}).items():
            if _UNSAFE.search(value.replace(" ", "")):
                raise SettingsError(f"the header {name} has a character that can't be sent")
        deadline = Deadline(self.timeout if timeout is None else timeout)
        try:
            answer = self._answer(Request(origin, target, headers or {}, limit, deadline))
        except TooLargeError as error:
            raise LibraryError(
                f"{origin} answers {_path(target)} with {error}; look at what it serves there"
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, ssl.SSLCertVerificationError):
                raise unreachable(
                    f"{origin} has a certificate that is not trusted ({error.verify_message}); "
                    "name its authority's file in REQUESTS_CA_BUNDLE or SSL_CERT_FILE"
                ) from error
            raise unreachable(
                f"no answer from {origin} ({_reason(error, deadline)}); start the server, or "
                "correct its address"
            ) from error
        if answer.status >= 500 or answer.status in _BUSY:
            raise unreachable(
                f"{origin} answers {_path(target)} with {answer.status}{_excerpt(answer)}; look "
                "into its log"
            )
        return answer

    def close(self) -> None:
        """Close all connections; answers that are under way end with an error."""
        with self._lock:
            self._closed = True
            idle = [connection for connections in self._idle.values() for connection in connections]
            self._idle.clear()
            for connection in self._busy:
                connection.interrupt()
        for connection in idle:
            connection.close()

    def _answer(self, request: Request) -> Answer:
        connection = self._take(request.origin) or self._connect(request)
        used = connection.used
        try:
            return self._send(connection, request)
        except (ConnectionError, ssl.SSLError, http.client.BadStatusLine):
            # Servers drop connections that are idle for long. More than once it is no such one.
            if not used:
                raise
        return self._send(self._connect(request), request)

    def _send(self, connection: Connection, request: Request) -> Answer:
        keep = False
        try:
            answer, keep = connection.get(request)
        finally:
            self._put_back(request.origin, connection, keep=keep)
        return answer

    def _take(self, origin: Origin) -> Connection | None:
        """A kept connection that still stands; None if there is none."""
        while True:
            with self._lock:
                idle = self._idle.get(origin)
                if self._closed or not idle:
                    return None
                connection = idle.pop()
                self._busy.add(connection)
            if connection.is_fresh():
                return connection
            self._put_back(origin, connection, keep=False)

    def _connect(self, request: Request) -> Connection:
        context = self._context if request.origin.scheme == "https" else None
        connection = Connection(request.origin, request.deadline, context)
        with self._lock:
            self._busy.add(connection)
            closed = self._closed
        if closed:
            self._put_back(request.origin, connection, keep=False)
            raise ConnectionError("the connections were closed")
        return connection

    def _put_back(self, origin: Origin, connection: Connection, *, keep: bool) -> None:
        with self._lock:
            self._busy.discard(connection)
            idle = self._idle.setdefault(origin, [])
            keep = keep and not self._closed and len(idle) < _IDLE
            if keep:
                idle.append(connection)
        if not keep:
            connection.close()

    @cached_property
    def _context(self) -> ssl.SSLContext:
        bundle = next(filter(None, map(os.environ.get, _BUNDLES)), None)
        if bundle is None:
            return ssl.create_default_context()  # which honours SSL_CERT_FILE
        try:
            if os.path.isdir(bundle):
                return ssl.create_default_context(capath=bundle)
            return ssl.create_default_context(cafile=bundle)
        except OSError as error:
            raise SettingsError(
                f"the certificates in {bundle} can't be read ({error.strerror or error}); correct "
                f"{' or '.join(_BUNDLES)}"
            ) from error


def origin_of(url: str) -> tuple[Origin, str]:
    """The server of an address, and the target of a request to it.

    Raises:
        SettingsError: it is no such address.
    """
    fault = f"{url!r} is no server's address; write http://HOST:PORT or https://HOST"
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(fault) from error
    if scheme not in _PORTS or not host or "@" in parts.netloc or _UNSAFE.search(url):
        raise SettingsError(fault)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Origin(scheme, host, port or _PORTS[scheme]), target


def _path(target: str) -> str:
    return target.partition("?")[0]


def _reason(error: Exception, deadline: Deadline) -> str:
    if isinstance(error, TimeoutError):
        return f"not whole within {deadline.seconds:g} s"
    return _first_line(str(getattr(error, "strerror", None) or error)) or type(error).__name__


def _excerpt(answer: Answer) -> str:
    """The first line of what the server says, if it says anything."""
    text = _first_line(answer.body[:2000].decode(errors="replace"))
    return f" ({text})" if text else ""


def _first_line(text: str) -> str:
    # Masked before it is cut: a part of a secret is not recognised.
    return (redact(text).strip().splitlines() or [""])[0][:200]
