"""Requests that nobody means: no answer is our fault, the server lives, decisions stay right.

Each case has a seed of its own, which a failure names.
"""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from serving import Hamilton, Limits
from tests.serving.desk import Models, give
from tests.serving.http.served import (
    NEW,
    PATH,
    SYMBOL,
    Answer,
    Served,
    as_json,
    bar_body,
    dataset,
    null,
    raw,
    serving,
)

PRESENT = [bar for bar in NEW if bar.close == bar.close]
PATHS = (
    "/invocations",
    "/invocations?regime=low",
    f"/champions/{PATH}/low/predict",
    f"/champions/{PATH}/normal/predict",
    f"/champions/{PATH}/high/predict",
    f"/bars/{PATH}",
    f"/bars/{PATH}/warm-up",
    f"/rows/{PATH}",
)
WORDS = (
    "dataframe_split", "dataframe_records", "instances", "inputs", "columns", "data", "index",
    "open", "high", "low", "close", "volume", "close_time", "kind", "values", "time", "available",
    "funding", "fill", "open_interest", "rate", "price", "", "\0", "é", "\U0001f600", "ret_1",
    "2019-06-01T00:00:00Z", "2019-06-01", "9999-12-31T23:59:59.999999999Z", "nan", "x" * 300,
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 0.5, 1e-320, 1e308, 3.5e38, -3.4e38, 2**31, 2**53, 2**63, 2**64, 10**30, True, False,
    PRESENT[0].close_time, 1_500_000_000,
)  # fmt: skip
ANSWERS = {200, 400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 429, 431}
JUNK = (
    b"\r\n", b"\n", b"\0", b":", b" ", b"\xff", b"chunked", b"Content-Length: 5\r\n", b"HTTP/1.1",
    b"Transfer-Encoding: chunked\r\n", b"Host: evil\r\n", b"Expect: 100-continue\r\n", b"%", b"{",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"GET / HTTP/1.1\r\n\r\n", b'"', b"[" * 999,
    b"Content-Encoding: gzip\r\n", b"Content-Type: text/csv\r\n", b"9" * 30, b"-1", b"NaN",
)  # fmt: skip


def value(rng: random.Random, depth: int = 0) -> Any:
    """Any value of JSON, of words that bodies are made of."""
    kind = rng.randrange(4 if depth > 4 else 7)
    if kind == 0:
        return rng.choice(NUMBERS)
    if kind == 1:
        return rng.choice(WORDS)
    if kind == 2:
        return None
    if kind == 3:
        return rng.gauss(0.0, 10.0 ** rng.randrange(-3, 12))
    if kind == 4:
        return [value(rng, depth + 1) for _ in range(rng.randrange(5))]
    return {rng.choice(WORDS): value(rng, depth + 1) for _ in range(rng.randrange(7))}


def sound(rng: random.Random, path: str) -> Any:
    """A body that could be meant."""
    if path.endswith("warm-up"):
        bars = [bar_body(bar) for bar in PRESENT[: rng.randrange(4)]]
        return {name: [bar[name] for bar in bars] for name in bar_body(PRESENT[0])}
    if path.startswith("/bars"):
        return bar_body(rng.choice(PRESENT))
    if path.startswith("/rows"):
        at = rng.choice(PRESENT).close_time
        return {"kind": "funding", "exchange": "binance", "time": at, "available": at,
                "values": {"rate": 1e-4, "interval_hours": 8}}  # fmt: skip
    rows = [[null(v) for v in row] for row in dataset().features[-rng.randrange(1, 12) :].tolist()]
    names = list(dataset().names)
    if rng.random() < 0.5:
        return {"dataframe_split": {"columns": names, "data": rows}}
    return {"inputs": [dict(zip(names, row, strict=True)) for row in rows]}


def changed(rng: random.Random, body: Any) -> Any:
    """A body of which something is another value, is gone, or comes beside."""
    if rng.random() < 0.1 or not isinstance(body, dict | list) or not body:
        return value(rng)
    place = rng.choice([*body]) if isinstance(body, dict) else rng.randrange(len(body))
    fate = rng.randrange(4)
    if fate == 0:
        body[place] = value(rng)
    elif fate == 1:
        del body[place]
    elif fate == 2 and isinstance(body, dict):
        body[rng.choice(WORDS)] = value(rng)
    else:
        body[place] = changed(rng, body[place])
    return body


def mangled(rng: random.Random, content: bytes, most: int = 5) -> bytes:
    """Bytes of which some are others, gone, or come twice."""
    made = bytearray(content)
    for _ in range(rng.randint(1, most)):
        place = rng.randrange(len(made) + 1)
        fate = rng.randrange(5)
        if fate == 0 and made:
            made[place % len(made)] = rng.randrange(256)
        elif fate == 1:
            del made[place : place + rng.randrange(1, 40)]
        elif fate == 2:
            made[place:place] = rng.choice(JUNK)
        elif fate == 3:
            made[place:place] = rng.randbytes(rng.randrange(1, 20))
        else:
            made[place:place] = made[place : place + rng.randrange(200)]
    return bytes(made)


def body_case(rng: random.Random) -> bytes:
    """A request of HTTP with a body that may be anything."""
    path = rng.choice(PATHS)
    body = sound(rng, path)
    for _ in range(rng.randrange(4)):
        body = changed(rng, body)
    content = json.dumps(body).encode()
    if rng.random() < 0.3:
        content = mangled(rng, content)
    if rng.random() < 0.1:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
        return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
    return raw("POST", path, content) if content else raw("POST", path, b"", "Content-Length: 0")


def raw_case(rng: random.Random) -> bytes:
    """Bytes that begin as a request, or as nothing."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(1, 300))
    method = rng.choice(("GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "TRACE", "get", "é"))
    paths = (*PATHS, "/health", "/metrics", "/champions", "/openapi.json", "*", "//", "/%2e%2e/x",
             "http://evil/health", "/champions/%ff/low", "/champions/a%00b/low", "/?#")  # fmt: skip
    path = rng.choice(paths)
    content = json.dumps(sound(rng, path if path in PATHS else PATHS[2])).encode()
    request = raw(method, path, content if rng.random() < 0.6 else b"")
    return mangled(rng, request, 2) if rng.random() < 0.7 else request * rng.randrange(1, 4)


def answers_to(served: Served, request: bytes) -> list[Answer]:
    """All answers to what is sent on a connection, which has no more to come."""
    given = bytearray()
    with served.socket() as one, suppress(ConnectionError):
        one.sendall(request)
        one.shutdown(socket.SHUT_WR)
        while part := one.recv(65536):
            given += part
    answers: list[Answer] = []
    while given:
        text, end, _ = bytes(given).partition(b"\r\n\r\n")
        assert end, given
        del given[: len(text) + 4]
        first, *lines = text.decode("latin-1").split("\r\n")
        if first == "HTTP/1.1 100 Continue":
            continue
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
        length = int(headers["content-length"])
        if not given or given.startswith(b"HTTP/1.1 "):
            length = 0  # to HEAD
        answers.append(Answer(int(first.split()[1]), headers, bytes(given[:length])))
        assert len(answers[-1].body) == length
        del given[:length]
    return answers


def fuzz(models: Models, case: Callable[[random.Random], bytes], cases: int) -> None:
    """Ask so many times, and then whether decisions and predictions are what they were."""
    with serving(models, request_seconds=2.0) as served:
        champion = served.hamilton.champion(SYMBOL, "low")
        expected = champion.predict(dataset().features[-1])
        count = 0
        for seed in range(cases):
            request = case(random.Random(seed))
            answers = answers_to(served, request)
            count += len(answers)
            for answer in answers:
                assert answer.status in ANSWERS, f"seed {seed}: {request!r} gave {answer}"
                if answer.headers["content-type"] == "application/json" and answer.body:
                    assert isinstance(answer.json, dict), f"seed {seed}"
                if answer.status != 200 and answer.body:
                    assert set(answer.json) == {"error_code", "message"}, f"seed {seed}"
                    assert "Traceback" not in answer.json["message"], f"seed {seed}"
        assert count > cases / 2
        assert served.get("/health").json["ready"]
        row = dict(zip(dataset().names, map(null, dataset().features[-1].tolist()), strict=True))
        answer = served.ask("POST", PATHS[2], {"inputs": row})
        assert answer.json == {"predictions": [expected]}
        counted = served.get("/metrics").body.decode()
        assert 'status="500"' not in counted


def test_decisions_are_right_while_others_send_anything(models: Models) -> None:
    steady = Hamilton(models, [SYMBOL], limits=Limits.off())
    rng = random.Random(7)
    with serving(models, request_seconds=2.0) as served:
        for bar in PRESENT[:40]:
            for _ in range(5):
                # No sound bar of the same symbol, which would be one.
                answers_to(served, mangled(rng, raw("POST", f"/bars/{PATH}", b"{]" * 30)))
            assert served.bar(bar).json == as_json(give(steady, SYMBOL, [bar])[0])


def test_500_bodies(models: Models) -> None:
    fuzz(models, body_case, 500)


def test_500_requests(models: Models) -> None:
    fuzz(models, raw_case, 500)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", [body_case, raw_case])
def test_10_000_of_each(case: Callable[[random.Random], bytes], models: Models) -> None:
    fuzz(models, case, 10_000)
