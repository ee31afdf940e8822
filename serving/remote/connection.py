"""One connection to a server: a socket on which a whole answer has a deadline and a bound.

A socket's own time limit is of one read: a server that sends a byte now and then would never
exceed it. Here each read is given what is left of the whole answer's time.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

__all__ = ["Answer", "Connection", "Deadline", "Origin", "Request", "TooLargeError"]

_CHUNK = 65_536
# Headers, and what frames a body's chunks, beside the body itself.
_FRAME = 1_048_576


class TooLargeError(OSError):
    """An answer has more bytes than it may have."""


@dataclass(frozen=True)
class Origin:
    """A server, as connections are made to it.

    Attributes:
        scheme: ``http`` or ``https``.
        host: name or number.
        port: of the server.
    """

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    @property
    def netloc(self) -> str:
        """Host and port as an address and the header ``Host`` write them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"
        )


@dataclass(frozen=True)
class Answer:
    """A whole answer.

    Attributes:
        status: of HTTP.
        headers: in lower case.
        body: its bytes.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Deadline:
    """A moment until which an answer must be whole.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left.

        Raises:
            TimeoutError: none are.
        """
        left = self._end - time.monotonic()
        if left <= 0.0:
            raise TimeoutError(f"{self.seconds:g} s are over")
        return left


@dataclass(frozen=True)
class Request:
    """A GET.

    Attributes:
        origin: the server.
        target: path and query, percent-encoded.
        headers: beside those that every request has.
        limit: bytes that the body may have.
        deadline: until which the answer must be whole.
    """

    origin: Origin
    target: str
    headers: Mapping[str, str]
    limit: int
    deadline: Deadline


class _Stream(io.RawIOBase):
    """What a socket receives, until the deadline and up to so many bytes."""

    def __init__(self, sock: socket.socket, deadline: Deadline, most: int) -> None:
        self._sock, self._deadline, self._most = sock, deadline, most
        self.received = 0
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.ended:
            return 0
        self._sock.settimeout(self._deadline.left())
        size = self._sock.recv_into(buffer)
        self.received += size
        if self.received > self._most:
            raise TooLargeError(f"more than {self._most} bytes")
        return size


class _Reader(io.BufferedReader):
    """Stays open when an answer is whole, to tell whether more came."""

    def close(self) -> None:
        pass


class _Socket:
    """What :class:`http.client.HTTPResponse` asks of a socket."""

    def __init__(self, stream: _Stream) -> None:
        self.stream = stream
        self.reader = _Reader(stream, _CHUNK)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return self.reader

    def has_more(self) -> bool:
        """Whether something was received beyond what was read."""
        self.stream.ended = True
        return bool(self.reader.peek(1))


class Connection:
    """A connection, used by one thread at a time.

    Args:
        origin: of the server.
        deadline: until which it must be made.
        context: of TLS; None without.

    Raises:
        OSError: it can't be made.
    """

    def __init__(self, origin: Origin, deadline: Deadline, context: ssl.SSLContext | None) -> None:
        self.used = False
        self._origin = origin
        plain = _connect(origin, deadline)
        try:
            plain.settimeout(deadline.left())
            self._sock = (
                context.wrap_socket(plain, server_hostname=origin.host) if context else plain
            )
        except BaseException:
            plain.close()
            raise
        self._plain = context is None

    def get(self, request: Request) -> tuple[Answer, bool]:
        """An answer, and whether the connection may be used again.

        Raises:
            ConnectionError, http.client.BadStatusLine: the server closed the connection before it
                answered.
            TooLargeError: the body is larger than its limit.
            OSError, http.client.HTTPException, ValueError: there is no whole answer.
        """
        deadline, limit = request.deadline, request.limit
        lines = {"Host": self._origin.netloc, "User-Agent": "brain-library", **request.headers}
        lines["Accept-Encoding"] = "identity"
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._sock.settimeout(deadline.left())
        self._sock.sendall(f"GET {request.target} HTTP/1.1\r\n{text}\r\n".encode("latin-1"))
        stream = _Stream(self._sock, deadline, limit + limit // 8 + _FRAME)
        source: Any = _Socket(stream)
        response = http.client.HTTPResponse(source, method="GET")
        try:
            response.begin()
            body = _body(response, limit)
            self.used = True
            names = {name.lower(): value for name, value in response.headers.items()}
            keep = not response.will_close and not source.has_more()
            return Answer(response.status, names, body), keep
        finally:
            response.close()

    def is_fresh(self) -> bool:
        """Whether nothing came since the last answer: neither an end nor what was not asked for."""
        if not self._plain:
            return True  # TLS has messages of its own
        try:
            self._sock.settimeout(0.0)
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def interrupt(self) -> None:
        """End the answer that another thread is waiting for."""
        with suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()


def _body(response: http.client.HTTPResponse, limit: int) -> bytes:
    """The whole body; :class:`http.client.HTTPResponse` doesn't tell if it was cut off."""
    expected = response.length
    if expected is not None and expected > limit:
        raise TooLargeError(f"{expected} bytes, more than {limit}")
    # With a length, read1 of some Pythons goes beyond it; without one, read waits for more.
    read = response.read1 if expected is None else response.read
    body = io.BytesIO()  # whose bytes are taken out without a copy, which would hold up decisions
    while part := read(_CHUNK):
        if body.tell() + len(part) > limit:
            raise TooLargeError(f"more than {limit} bytes")
        body.write(part)
    if expected is not None and body.tell() != expected:
        raise http.client.IncompleteRead(b"", expected - body.tell())
    return body.getvalue()


def _connect(origin: Origin, deadline: Deadline) -> socket.socket:
    """A connection to the first address of a host that takes one; each has its share of time."""
    # As bytes: of a text Python imports the tables of international names, and the host has ASCII.
    host = origin.host.encode("ascii")
    addresses = socket.getaddrinfo(host, origin.port, type=socket.SOCK_STREAM)
    fault: OSError | None = None
    for place, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(deadline.left() / (len(addresses) - place))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            fault = error
        else:
            return sock
    raise fault or OSError(f"{origin.host} has no address")
