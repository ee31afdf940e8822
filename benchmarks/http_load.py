"""A process that asks a server on loopback as fast as it answers, over so many connections.

    python -m benchmarks.http_load PORT CONNECTIONS SECONDS < REQUESTS

``REQUESTS`` are whole requests as bytes, each with its length (4 bytes, big endian) before it. They
are sent in turn, for so many seconds; where these are 0, each once. Prints JSON, see ``Load``.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle

__all__ = ["Load", "load"]

_POLL_SECONDS = 0.0002
_VERSION = b"\r\nx-model-version: "
_LENGTH = b"\r\ncontent-length: "


@dataclass(frozen=True)
class Load:
    """What came of asking.

    Attributes:
        answers: that came.
        seconds: that they took.
        faults: answers whose status is not 2xx.
        processor: the asking process's own share of a processor. Far below 1 it was not what was
            measured.
        times: percentiles 50, 99 and 100 of an answer's time, seconds.
        bodies: different answers: number of the request, version and body.
    """

    answers: int
    seconds: float
    faults: int
    processor: float
    times: tuple[float, float, float]
    bodies: Sequence[tuple[int, str, str]]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


def load(port: int, connections: int, seconds: float, requests: Sequence[bytes]) -> Load:
    """Ask a server, by a process of its own."""
    given = b"".join(struct.pack(">I", len(request)) + request for request in requests)
    command = [sys.executable, "-m", "benchmarks.http_load", str(port), str(connections)]
    done = subprocess.run([*command, str(seconds)], input=given, capture_output=True, check=True)
    return Load(**json.loads(done.stdout))


@dataclass
class _Connection:
    socket: socket.socket
    request: int = 0
    sent: float = 0.0
    answer: bytearray = field(default_factory=bytearray)

    def send(self, request: tuple[int, bytes]) -> None:
        self.answer.clear()
        self.sent, self.request = time.perf_counter(), request[0]
        self.socket.sendall(request[1])

    def receive(self) -> bool:
        """Read what is there; whether the answer is complete."""
        part = self.socket.recv(65536)
        if not part:
            raise SystemExit(f"the server closed a connection: {bytes(self.answer)!r}")
        self.answer += part
        end = self.answer.find(b"\r\n\r\n")
        if end < 0:
            return False
        place = self.answer.lower().index(_LENGTH, 0, end) + len(_LENGTH)
        length = int(self.answer[place : self.answer.index(b"\r", place)])
        return len(self.answer) >= end + 4 + length


class _Asker:
    """Asks over several connections, and notes what comes."""

    def __init__(self, port: int, connections: int, requests: Iterator[tuple[int, bytes]]) -> None:
        self._requests = requests
        self._poll, self._connections = select.epoll(), dict[int, _Connection]()
        for _ in range(connections):
            one = socket.create_connection(("127.0.0.1", port))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[one.fileno()] = _Connection(one)
            self._poll.register(one.fileno(), select.EPOLLIN)
        self.times: list[float] = []
        self.faults = 0
        self.bodies: set[tuple[int, bytes, bytes]] = set()

    def ask(self, seconds: float) -> float:
        """Ask so long, or until the requests end; the seconds that passed."""
        begin = time.perf_counter()
        waiting = sum(map(self._next, self._connections.values()))
        while waiting and (not seconds or time.perf_counter() < begin + seconds):
            for place, _ in self._events():
                connection = self._connections[place]
                if connection.receive():
                    self._note(connection)
                    waiting -= not self._next(connection)
        return time.perf_counter() - begin

    def _events(self) -> list[tuple[int, int]]:
        """Connections with an answer. A while is polled first: a sleep here is no server's time."""
        end = time.perf_counter() + _POLL_SECONDS
        while time.perf_counter() < end:
            if events := self._poll.poll(0):
                return events
        return self._poll.poll(1.0)

    def _next(self, connection: _Connection) -> bool:
        request = next(self._requests, None)
        if request is not None:
            connection.send(request)
        return request is not None

    def _note(self, connection: _Connection) -> None:
        self.times.append(time.perf_counter() - connection.sent)
        answer = bytes(connection.answer)
        self.faults += answer[9:10] != b"2"
        head, _, body = answer.partition(b"\r\n\r\n")
        version = head.partition(_VERSION)[2].partition(b"\r")[0]
        self.bodies.add((connection.request, version, body))


def main() -> None:
    """Ask, and print."""
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    requests = list(enumerate(_read(sys.stdin.buffer.read())))
    asker = _Asker(port, connections, cycle(requests) if seconds else iter(requests))
    before = time.process_time()
    passed = asker.ask(seconds)
    share = (time.process_time() - before) / passed
    times = sorted(asker.times)
    percentiles = times[len(times) // 2], times[len(times) * 99 // 100], times[-1]
    bodies = [(number, v.decode(), body.decode()) for number, v, body in sorted(asker.bodies)]
    found = Load(len(times), passed, asker.faults, share, percentiles, bodies)
    print(json.dumps(asdict(found)))


def _read(given: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(given):
        (length,) = struct.unpack_from(">I", given, place)
        yield given[place + 4 : place + 4 + length]
        place += 4 + length


if __name__ == "__main__":
    main()
