"""A server that answers as a real one was recorded, but for what is mutated."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

__all__ = ["Replay", "recorded"]


def recorded(uri: str, targets: Iterable[str]) -> dict[str, bytes]:
    """The bodies that a server answers with, by the targets of the requests."""
    bodies = {}
    connection = http.client.HTTPConnection(urlsplit(uri).netloc, timeout=60)
    for target in targets:
        connection.request("GET", target)
        answer = connection.getresponse()
        bodies[target] = answer.read()
        assert answer.status == 200, (target, bodies[target])
    connection.close()
    return bodies


class Replay:
    """A server on loopback.

    Args:
        bodies: by target; all else is a 404 of MLflow.

    Attributes:
        body: changes a body, given its target.
        answer: changes all bytes of an answer, given its target.
    """

    def __init__(self, bodies: Mapping[str, bytes]) -> None:
        self.bodies = bodies
        self.body: Callable[[str, bytes], bytes] = lambda _, body: body
        self.answer: Callable[[str, bytes], bytes] = lambda _, answer: answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @contextmanager
    def run(self) -> Iterator[Replay]:
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            yield self
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as reader, suppress(OSError):
            while line := reader.readline():
                while reader.readline() not in (b"\r\n", b""):
                    pass
                target = line.split()[1].decode()
                whole = self.answer(target, self._whole(target))
                client.sendall(whole)
                if whole != self._whole(target):
                    return  # the bytes that follow would be of no answer

    def _whole(self, target: str) -> bytes:
        status, body = "404 Not Found", b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}'
        if target in self.bodies:
            status, body = "200 OK", self.body(target, self.bodies[target])
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body
