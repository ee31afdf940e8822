"""Open connections: so many at most, each with deadlines, and an idle one makes room.

uvicorn bounds neither how many connections there are nor how long a request's head and body take;
and it answers a malformed request by text that is not ours.

Whoever opens thousands of connections and says nothing must not push out those who trade: room is
made by those that never asked anything, then by the longest idle of the others, and by none whose
request is here already and was only not read yet.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable
from enum import Enum, auto
from http import HTTPStatus
from itertools import chain
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.http.answers import JSON, error_answer
from serving.http.busy_polling import BusyPolling

__all__ = ["Connections", "HttpConnection"]

# A head beyond this is refused; of a client's cookies and tokens none is near.
_MOST_HEAD = 32 * 1024
_ANSWER_SECONDS, _END_SECONDS = 60.0, 5.0


class _Phase(Enum):
    """What a connection waits for."""

    IDLE = auto()  # a request
    HEAD = auto()  # the rest of its head
    BODY = auto()  # the rest of its body
    ANSWER = auto()  # our answer, or the client that reads it
    END = auto()  # its own end


class Connections:
    """All open connections of a server.

    Args:
        most: that may be open at once.
        request_seconds: in which a request's head has to be there, and then its body.
        idle_seconds: after which a connection without a request is closed.
        refused: called with the reason of each connection that is closed before its end.
        polling: begun after each answer.

    Attributes:
        now: of the loop's clock, at the latest :meth:`sweep`.
    """

    def __init__(
        self,
        most: int,
        request_seconds: float,
        idle_seconds: float,
        refused: Callable[[str], None],
        polling: BusyPolling | None = None,
    ) -> None:
        self.most, self.now, self.refused = most, 0.0, refused
        self._polling = polling or BusyPolling(0.0)
        self._deadlines = {
            _Phase.IDLE: idle_seconds,
            _Phase.HEAD: request_seconds,
            _Phase.BODY: request_seconds,
            _Phase.ANSWER: _ANSWER_SECONDS,
            _Phase.END: _END_SECONDS,
        }
        self._open: set[HttpConnection] = set()
        self._mute: dict[HttpConnection, None] = {}  # that never asked, the oldest first
        self._idle: dict[HttpConnection, None] = {}  # that did, the longest idle first
        self._handshakes = 0

    def __len__(self) -> int:
        return len(self._open) + self._handshakes

    def room(self) -> bool:
        """Whether one more may be open; an idle one is closed for it if need be."""
        if len(self) < self.most:
            return True
        for idle in chain(self._mute, self._idle):
            if not idle.has_unread():
                self.refused("idle")
                idle.abort()
                return True
        self.refused("full")
        return False

    def opened(self, connection: HttpConnection) -> None:
        """Count a connection, which has not asked anything."""
        self._open.add(connection)
        self._mute[connection] = None

    def closed(self, connection: HttpConnection) -> None:
        """Count it no longer."""
        self._open.discard(connection)
        self.busy(connection)

    def handshake(self, change: int) -> None:
        """Count a TLS handshake that begins (1) or ends (-1)."""
        self._handshakes += change

    def idle(self, connection: HttpConnection) -> None:
        """Note that a connection waits for a request from now on."""
        if connection in self._open:
            self._idle[connection] = None
            self._polling.begin(connection.loop)

    def busy(self, connection: HttpConnection) -> None:
        """Note that a request has begun."""
        self._mute.pop(connection, None)
        self._idle.pop(connection, None)

    def sweep(self, now: float) -> None:
        """Close connections that are late."""
        self.now = now
        for connection in list(self._open):
            waited = now - connection.since
            if waited > self._deadlines[connection.phase] and not connection.is_answering(waited):
                self.refused("idle" if connection.phase is _Phase.IDLE else "late")
                connection.late()


class HttpConnection(HttpToolsProtocol):
    """A connection of uvicorn's, in its place among all.

    Args:
        everyone: all connections.
        arguments: of uvicorn.

    Attributes:
        phase: what it waits for.
        since: when that began.
    """

    def __init__(self, *, everyone: Connections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._everyone, self._head = everyone, 0
        self.phase, self.since = _Phase.IDLE, everyone.now

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._everyone.room():
            self._everyone.opened(self)
        else:
            self._refuse(503, "too many connections are open; ask again later")

    def connection_lost(self, exc: Exception | None) -> None:
        self._everyone.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.phase is _Phase.HEAD:
            self._head += len(data)
            if self._head > _MOST_HEAD:
                self._everyone.refused("malformed")
                self._refuse(431, f"the request's head has more than {_MOST_HEAD} bytes")

    def send_400_response(self, msg: str) -> None:
        del msg
        self._everyone.refused("malformed")
        self._refuse(400, "this is no request of HTTP/1.1; see /openapi.json")

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that has sent all that it will still reads: its requests are answered first."""
        if self.scheme == "https" or self.phase is not _Phase.ANSWER:
            return False
        self.cycle.keep_alive = False  # the last one's
        return True

    # --- the parser's calls ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._everyone.busy(self)
        self._head = 0
        self._wait_for(_Phase.HEAD)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._wait_for(_Phase.BODY)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._wait_for(_Phase.ANSWER)
        if self.cycle.response_complete:  # of one that was refused by its head
            self._rest()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.phase is _Phase.ANSWER and self.cycle.response_complete:  # and none is pipelined
            self._rest()

    def _rest(self) -> None:
        self._wait_for(_Phase.IDLE)
        self._everyone.idle(self)

    def _wait_for(self, phase: _Phase) -> None:
        self.phase, self.since = phase, self._everyone.now

    # --- ends -----------------------------------------------------------------------------------

    def has_unread(self) -> bool:
        """Whether bytes of the client's are here that were not read yet."""
        try:
            import termios
            from fcntl import ioctl
        except ModuleNotFoundError:  # of Unix alone; elsewhere it may be pushed out
            return False
        number = array("i", [0])
        ioctl(self.transport.get_extra_info("socket").fileno(), termios.FIONREAD, number)
        return number[0] > 0

    def is_answering(self, waited: float) -> bool:
        """Whether a request is answered while the next one's head, which is late, is awaited."""
        answering = self.cycle is not None and not self.cycle.response_complete
        return self.phase is _Phase.HEAD and answering and waited < _ANSWER_SECONDS

    def late(self) -> None:
        """Close it, as it did not do in time what it was to do."""
        if self.phase is _Phase.HEAD or self.phase is _Phase.BODY:
            what = "head" if self.phase is _Phase.HEAD else "body"
            self._refuse(408, f"the request's {what} did not come in time; send it faster")
        else:
            self.abort()

    def abort(self) -> None:
        """Close it at once; it has its file for no moment longer."""
        self._everyone.busy(self)
        self.transport.abort()

    def _refuse(self, status: int, message: str) -> None:
        """Say why, where no other answer is under way; then close."""
        cycle = self.cycle
        answered = cycle is None or cycle.response_complete
        if answered or (
            self.phase is _Phase.BODY and not cycle.response_started and not self.pipeline
        ):
            self.transport.write(_raw(status, message))
        if not answered:
            cycle.disconnected = True
            cycle.message_event.set()
        self._everyone.busy(self)
        self._wait_for(_Phase.END)
        self.transport.close()


def _raw(status: int, message: str) -> bytes:
    """An error's answer as bytes of HTTP."""
    answer = error_answer(status, message)
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {JSON.decode()}\r\n"
        f"content-length: {len(answer.body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + answer.body
