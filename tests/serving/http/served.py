"""A real server on loopback, on a thread of the tests' process, and plain clients of it."""

from __future__ import annotations

import http.client
import json
import math
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from brain.naming import Family, Regime
from engine.data.dataset import Dataset, make_dataset
from serving import Decision, Hamilton, Limits
from serving.bars import Bar
from serving.http import Server, ServeSettings
from serving.http.command import desk
from tests.serving.conftest import TRAINED
from tests.serving.desk import HORIZON, Models, bars_of, head, sample

SYMBOL, PATH = "ETH/USD", "ETH-USD"
NEW = bars_of(sample(), TRAINED)
#: Of the regime whose champion is of the family.
REGIME = {Family.LIGHTGBM: Regime.LOW, Family.LSTM: Regime.NORMAL, Family.XGBOOST: Regime.HIGH}
_WAIT = 30.0


@cache
def dataset() -> Dataset:
    """Rows after the training, too."""
    return make_dataset(head(sample(), TRAINED + 200), horizon=HORIZON)


@dataclass(frozen=True)
class Answer:
    """An answer as a client has it."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body, parse_constant=refuse)


def refuse(word: str) -> None:
    """What JSON does not have."""
    raise AssertionError(f"{word} is no JSON")


@dataclass(frozen=True)
class Served:
    """A running server."""

    server: Server
    hamilton: Hamilton

    @property
    def port(self) -> int:
        return int(self.server.address.rpartition(":")[2])

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=_WAIT)

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=_WAIT)

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask on a connection of its own; a body that is no bytes goes as JSON."""
        connection = self.connect()
        try:
            return ask(connection, method, path, body, headers)
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, None, headers)

    def bar(self, bar: Bar, kept: http.client.HTTPConnection | None = None) -> Answer:
        path, body = f"/bars/{PATH}", bar_body(bar)
        return ask(kept, "POST", path, body) if kept else self.ask("POST", path, body)


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Ask on a connection."""
    given = {"Content-Type": "application/json", **(headers or {})} if body is not None else headers
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body, allow_nan=False).encode()
    connection.request(method, path, body, dict(given or {}))
    answer = connection.getresponse()
    return Answer(
        answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    )


@contextmanager
def serving(models: Models, **settings: Any) -> Iterator[Served]:
    """A server, which is ended in order."""
    plain: dict[str, Any] = {"port": 0, "symbols": (SYMBOL,), "limits": Limits.off()}
    with desk(ServeSettings(**plain | settings), lambda: models) as (hamilton, server):
        ready = threading.Event()
        thread = threading.Thread(target=server.run, args=(ready.set,))
        thread.start()
        try:
            assert ready.wait(_WAIT)
            yield Served(server, hamilton)
        finally:
            server.stop()
            thread.join(_WAIT)
            assert not thread.is_alive()


def null(value: float) -> float | None:
    """A number as JSON has it."""
    return None if math.isnan(value) else value


def bar_body(bar: Bar) -> dict[str, Any]:
    """A bar as it is posted."""
    return {name: null(value) for name, value in bar._asdict().items()}


def as_json(decision: Decision) -> dict[str, Any]:
    """A decision as it is answered."""
    values = asdict(decision).items()
    return {k: null(v) if isinstance(v, float) else v for k, v in values}


def raw(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """A request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def read_answer(one: socket.socket, rest: bytearray | None = None) -> Answer:
    """An answer from a socket; what follows it stays in ``rest``."""
    given = bytearray() if rest is None else rest
    while b"\r\n\r\n" not in given:
        part = one.recv(65536)
        if not part:
            raise ConnectionError(f"closed after {bytes(given)!r}")
        given += part
    text, _, _ = bytes(given).partition(b"\r\n\r\n")
    first, *lines = text.decode("latin-1").split("\r\n")
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
    end = len(text) + 4 + int(headers["content-length"])
    while len(given) < end:
        part = one.recv(65536)
        if not part:
            raise ConnectionError(f"closed after {bytes(given)!r}")
        given += part
    body = bytes(given[len(text) + 4 : end])
    del given[:end]
    return Answer(int(first.split()[1]), headers, body)
