"""A process that asks a server on loopback as fast as it answers, over so many connections.

    python -m benchmarks.http_load PORT CONNECTIONS SECONDS < REQUESTS

``REQUESTS`` are whole requests as bytes, each with its length (4 bytes, big endian) before it; they
are sent in turn. Prints JSON: answers, seconds, statuses other than 2xx, its own processor seconds,
and percentiles of the answers' times. Beside the kernel's calls a request costs it some
microseconds: where its processor time is far below the seconds, it was not what was measured.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from itertools import cycle

__all__ = ["main"]


@dataclass
class _Connection:
    socket: socket.socket
    sent: float = 0.0
    answer: bytearray = field(default_factory=bytearray)


def main() -> None:
    """Ask, and print."""
    port, number, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    requests = cycle(_requests(sys.stdin.buffer.read()))
    poll, connections = select.epoll(), {}
    for _ in range(number):
        one = socket.create_connection(("127.0.0.1", port))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections[one.fileno()] = _Connection(one)
        poll.register(one.fileno(), select.EPOLLIN)
    clock = time.perf_counter
    begin, begin_cpu = clock(), time.process_time()
    end, times, faults = begin + seconds, list[float](), 0
    for connection in connections.values():
        connection.sent = clock()
        connection.socket.sendall(next(requests))
    while (now := clock()) < end:
        for place, _ in poll.poll(1.0):
            connection = connections[place]
            part = connection.socket.recv(65536)
            if not part:
                raise SystemExit(f"the server closed a connection: {bytes(connection.answer)!r}")
            connection.answer += part
            if not _complete(connection.answer):
                continue
            now = clock()
            times.append(now - connection.sent)
            faults += connection.answer[9:10] != b"2"
            connection.answer.clear()
            connection.sent = now
            connection.socket.sendall(next(requests))
    times.sort()
    print(
        json.dumps(
            {
                "answers": len(times),
                "seconds": now - begin,
                "faults": faults,
                "processor": time.process_time() - begin_cpu,
                "p50": times[len(times) // 2] if times else None,
                "p99": times[len(times) * 99 // 100] if times else None,
                "most": times[-1] if times else None,
            }
        )
    )


def _requests(given: bytes) -> list[bytes]:
    requests, place = [], 0
    while place < len(given):
        (length,) = struct.unpack_from(">I", given, place)
        requests.append(given[place + 4 : place + 4 + length])
        place += 4 + length
    return requests


def _complete(answer: bytearray) -> bool:
    """Whether an answer is there, to the end that its head tells."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = bytes(answer[:end]).lower()
    place = head.index(b"content-length:") + 15
    return len(answer) >= end + 4 + int(head[place:].split(b"\r\n", 1)[0])


if __name__ == "__main__":
    main()
