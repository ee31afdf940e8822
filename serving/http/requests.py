"""A request as handlers see it, and the reading of its body, which has a largest size."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from serving.http.answers import Refusal

__all__ = ["Receive", "Request", "Send", "read_limited"]

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

_CLOSE = (b"connection", b"close")
# So many times a body's limit are read and thrown away, so that a client that sends all before it
# reads comes to see the refusal.
_THROWN = 4


@dataclass(slots=True)
class Request:
    """A request.

    Attributes:
        headers: by names in lower case.
        query: behind the path's question mark, as it came.
        parameters: of the path, decoded, in their order.
        trusted: whether it bears a token, or none is asked for.
        body: all of it.
    """

    headers: Mapping[bytes, bytes]
    query: bytes
    parameters: tuple[str, ...] = ()
    trusted: bool = False
    body: bytes = b""

    def named(self, *names: str) -> list[str | None]:
        """What the query, or else the headers ``X-<name>``, say; None where neither does.

        Raises:
            Refusal: 400, the query can't be read.
        """
        values: dict[str, str] = {}
        if self.query:
            try:
                values = dict(parse_qsl(self.query.decode("ascii"), max_num_fields=10))
            except ValueError as error:
                raise Refusal(400, f"the query can't be read: {error}") from error
        for name in names:
            header = self.headers.get(f"x-{name}".encode())
            if header is not None:
                values.setdefault(name, header.decode("latin-1"))
        return [values.get(name) for name in names]

    def kind(self) -> str:
        """The type of its body, without parameters.

        Raises:
            Refusal: 415, it is compressed or not in UTF-8.
        """
        if self.headers.get(b"content-encoding", b"identity") != b"identity":
            raise Refusal(415, "the body is compressed; send it as it is")
        return _kind(self.headers.get(b"content-type", b""))


@lru_cache(maxsize=64)
def _kind(content_type: bytes) -> str:
    """The type of a body, without parameters, as its header says."""
    kind, *parameters = content_type.decode("latin-1").split(";")
    for parameter in parameters:
        name, _, value = parameter.strip().lower().partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8"):
            raise Refusal(415, f"the body's charset is {value[:50]!r}; send UTF-8")
    return kind.strip().lower()


async def read_limited(headers: Mapping[bytes, bytes], receive: Receive, most: int) -> bytes:
    """The body of a request.

    Args:
        most: bytes that it may have.

    Raises:
        Refusal: 411, its length is not told; 413, it is too long; 408, its end never came.
    """
    length = headers.get(b"content-length")
    if length is None and b"transfer-encoding" not in headers:
        raise Refusal(411, "there is no body; send one with its Content-Length")
    announced = int(length) if length is not None and length.isdigit() else 0
    if announced > most * _THROWN or (announced > most and b"expect" in headers):
        raise _too_long(most)
    message = await receive()
    body = message.get("body", b"")
    if message.get("more_body"):
        return await _rest(bytearray(body), receive, most)
    if message["type"] != "http.request":
        raise _broken_off()
    if len(body) > most:
        raise _too_long(most)
    return bytes(body)


async def _rest(body: bytearray, receive: Receive, most: int) -> bytes:
    read, more = len(body), True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise _broken_off()
        part, more = message.get("body", b""), message.get("more_body", False)
        read += len(part)
        if read > most * _THROWN:
            raise _too_long(most)
        if read <= most:
            body += part
    if read > most:
        raise _too_long(most)
    return bytes(body)


def _too_long(most: int) -> Refusal:
    return Refusal(413, f"the body has more than {most} bytes; send fewer rows at once", _CLOSE)


def _broken_off() -> Refusal:
    """Whoever closed the connection, this is for the metrics alone."""
    return Refusal(408, "the connection was closed before the body's end")
