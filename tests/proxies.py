"""A proxy on loopback that does to HTTP what networks and servers do to it.

It stands before a real server, and what it does can be changed while it runs::

    with FaultProxy(mlflow_server.uri).run() as proxy:
        remote = RemoteRegistry(proxy.uri, timeout=0.5)
        proxy.set("hang")                              # every request, from now on
        proxy.set("status", 500, path="/model-versions/")   # only paths in which this is found
        proxy.set("flip", 100, path=r"model\\.lgb$")
        proxy.set("pass")                              # and all is well again
        proxy.requests                                 # "GET /api/2.0/…", in their order
        proxy.connections                              # how many were made

Modes, and what their value is:

``pass``      nothing; so it begins
``refuse``    the port is closed, and so are all connections; it has no path
``hang``      requests are taken and never answered
``status``    an answer of this status (503) instead of the server's
``slow``      so many bytes of the body a second (1,000)
``drip``      one byte of the headers in so many seconds (.1)
``truncate``  the connection is closed after so many bytes of the body (0)
``flip``      a bit of this byte of the body is another one (0)
``drop``      the connection is closed after each answer, which does not say so
``reset``     a connection's second request is not answered, and the connection closed

Switching ends the requests that hang, drip or are slow.
"""

from __future__ import annotations

import http.client
import itertools
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urlsplit

from tests.servers import free_port

__all__ = ["MODES", "FaultProxy"]

#: Each with the value that it has if none is given.
MODES: dict[str, float] = {
    "pass": 0, "refuse": 0, "hang": 0, "status": 503, "slow": 1000, "drip": 0.1, "truncate": 0,
    "flip": 0, "drop": 0, "reset": 0,
}  # fmt: skip
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}
_TICK = 0.02


@dataclass(frozen=True)
class _Fault:
    mode: str
    value: float
    path: str


@dataclass
class _Request:
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class _Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    length: int  # as its headers tell it; a HEAD's body is empty


class FaultProxy:
    """A proxy before one server.

    Args:
        upstream: address of the server, ``http://127.0.0.1:5000``.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (str(parts.hostname), int(parts.port or 80))
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.requests: list[str] = []
        self.connections = 0
        self._fault = _Fault("pass", 0, "")
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._clients: set[socket.socket] = set()

    @contextmanager
    def run(self) -> Iterator[FaultProxy]:
        """Listening on entering, and closed with all its connections on leaving."""
        self._listen()
        try:
            yield self
        finally:
            self._fault = _Fault("refuse", 0, "")
            self._close()

    def set(self, mode: str, value: float | None = None, *, path: str = "") -> None:
        """Change what happens to requests.

        Args:
            mode: see the module.
            value: of the mode; the mode's own if None.
            path: regular expression that is searched for in a request's path and query; all others
                pass.
        """
        self._fault = _Fault(mode, MODES[mode] if value is None else value, path)
        if mode == "refuse":
            self._close()
        elif self._listener is None:
            self._listen()

    # --- connections ----------------------------------------------------------------------------

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def _close(self) -> None:
        listener, self._listener = self._listener, None
        with self._lock:
            clients = list(self._clients)
        for sock in filter(None, [listener, *clients]):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._clients.add(client)
                self.connections += 1
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, client.makefile("rb") as reader:
                for count in itertools.count():
                    request = _read_request(client, reader)
                    if request is None or not self._answer(client, request, count):
                        return
        except (OSError, ValueError, http.client.HTTPException):
            pass  # either end is gone
        finally:
            with self._lock:
                self._clients.discard(client)

    # --- requests -------------------------------------------------------------------------------

    def _answer(self, client: socket.socket, request: _Request, count: int) -> bool:
        """Answer a request, or what is done instead; whether the connection goes on."""
        self.requests.append(f"{request.method} {request.path}")
        fault = self._fault
        if not re.search(fault.path, request.path):
            fault = _Fault("pass", 0, "")
        if fault.mode == "hang":
            return self._wait(fault)
        if fault.mode == "refuse" or (fault.mode == "reset" and count):
            return False
        if fault.mode == "status":
            body = b'{"error_code": "PLANTED", "message": "by the proxy"}'
            answer = _Answer(int(fault.value), [("Content-Type", "application/json")], body, 0)
            answer.length = len(body)
        else:
            answer = self._forward(request)
        return self._send(client, answer, fault)

    def _wait(self, fault: _Fault, seconds: float = float("inf")) -> bool:
        """Wait while the fault lasts; whether it still does."""
        end = time.monotonic() + seconds
        while self._fault is fault and time.monotonic() < end:
            time.sleep(min(_TICK, seconds))
        return self._fault is fault

    def _forward(self, request: _Request) -> _Answer:
        connection = http.client.HTTPConnection(*self._upstream, timeout=60)
        try:
            connection.putrequest(
                request.method, request.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in request.headers:  # the host's too: it may be signed
                connection.putheader(name, value)
            if request.body:
                connection.putheader("Content-Length", str(len(request.body)))
            connection.endheaders(request.body or None)
            response = connection.getresponse()
            length = response.length
            body = response.read()
            headers = [(k, v) for k, v in response.getheaders() if k.lower() not in _HOP]
            is_head = request.method == "HEAD" and length is None
            told = int(response.getheader("Content-Length") or 0) if is_head else len(body)
            return _Answer(response.status, headers, body, told)
        finally:
            connection.close()

    def _send(self, client: socket.socket, answer: _Answer, fault: _Fault) -> bool:
        lines = [f"HTTP/1.1 {answer.status} {http.client.responses.get(answer.status, '')}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        lines += [f"Content-Length: {answer.length}", "", ""]
        head, body = "\r\n".join(lines).encode("latin-1"), answer.body
        match fault.mode:
            case "drip":
                return self._trickle(client, head, 1, fault.value, fault) and _sent(client, body)
            case "slow":
                client.sendall(head)
                step = max(1, int(fault.value * _TICK))
                return self._trickle(client, body, step, step / fault.value, fault)
            case "truncate":
                client.sendall(head + body[: int(fault.value)])
                return False
            case "flip" if body:
                place = min(int(fault.value), len(body) - 1)
                flipped = bytes([body[place] ^ 1])
                return _sent(client, head + body[:place] + flipped + body[place + 1 :])
            case _:
                client.sendall(head + body)
                return fault.mode != "drop"

    def _trickle(
        self, client: socket.socket, content: bytes, step: int, seconds: float, fault: _Fault
    ) -> bool:
        """Send so many bytes at a time; whether it came to the end before the fault did."""
        for place in range(0, len(content), step):
            client.sendall(content[place : place + step])
            if not self._wait(fault, seconds):
                return False
        return True


def _sent(client: socket.socket, content: bytes) -> bool:
    client.sendall(content)
    return True


def _read_request(client: socket.socket, reader: BinaryIO) -> _Request | None:
    """The next request of a connection; None at its end."""
    line = reader.readline(65_536).decode("latin-1").split()
    if len(line) != 3:
        return None
    message = http.client.parse_headers(reader)
    if message.get("Expect", "").lower() == "100-continue":
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = reader.read(int(message.get("Content-Length", 0)))
    headers = [(name, value) for name, value in message.items() if name.lower() not in _HOP]
    return _Request(line[0], line[1], headers, body)
