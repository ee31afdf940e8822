"""Connections: kept, many, idle, late, endless, malformed; and decisions go on."""

from __future__ import annotations

import http.client
import json
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from serving import Hamilton, Limits
from tests.serving.desk import Models, give
from tests.serving.http.process import command, process
from tests.serving.http.served import (
    NEW,
    PATH,
    SYMBOL,
    Served,
    as_json,
    ask,
    bar_body,
    dataset,
    null,
    raw,
    read_answer,
    serving,
)

PRESENT = [bar for bar in NEW if bar.close == bar.close]


def score(row: int) -> bytes:
    """A request for a prediction of a row."""
    values = map(null, dataset().features[-row].tolist())
    body = {"inputs": dict(zip(dataset().names, values, strict=True))}
    return raw("POST", f"/champions/{PATH}/low/predict", json.dumps(body).encode())


def expected(served: Served, row: int) -> Any:
    champion = served.hamilton.champion(SYMBOL, "low")
    return {"predictions": [champion.predict(dataset().features[-row])]}


# --- kept and shared ----------------------------------------------------------------------------


def test_a_connection_is_kept(served: Served) -> None:
    connection = served.connect()
    ask(connection, "GET", "/health")
    own = connection.sock
    for _ in range(20):
        assert ask(connection, "GET", "/champions").status == 200
        assert ask(connection, "GET", "/nowhere").status == 404
        assert ask(connection, "POST", "/invocations", {"inputs": 3}).status == 400
    assert connection.sock is own
    connection.close()


def test_pipelined_requests_are_answered_in_their_order(served: Served) -> None:
    rows = list(range(1, 51))
    with served.socket() as one:
        one.sendall(b"".join(map(score, rows)))
        rest = bytearray()
        answers = [read_answer(one, rest).json for _ in rows]
    assert answers == [expected(served, row) for row in rows]


def test_32_connections_have_their_own_answers(served: Served) -> None:
    faults: list[str] = []

    def client(first: int) -> None:
        with served.socket() as one:
            for row in range(first, first + 20):
                one.sendall(score(row))
                if (answer := read_answer(one).json) != expected(served, row):
                    faults.append(f"{row}: {answer}")

    threads = [threading.Thread(target=client, args=(number + 1,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_head_and_http_1_0_are_understood(served: Served) -> None:
    connection = served.connect()
    connection.request("HEAD", "/health")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    assert int(answer.headers["content-length"]) > 0
    connection.close()
    with served.socket() as one:
        one.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert read_answer(one).json["ready"]
        assert one.recv(1) == b""


def test_wrong_methods_and_paths_are_told(served: Served) -> None:
    answer = served.ask("DELETE", "/champions")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    answer = served.get(f"/bars/{PATH}")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    for path in ("/", "//", "/bars", "/champions/", "/bars/ETH/USD", "/bars/ETH-USD/", "/%00"):
        assert served.get(path).status == 404
    assert served.get("/" + "x" * 5000).status == 414
    with served.socket() as one:
        one.sendall(b"POST /bars/ETH-USD HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_answer(one).status == 411


def test_a_header_that_may_come_once_comes_once(served: Served) -> None:
    with served.socket() as one:
        one.sendall(raw("GET", "/health", b"", "Host: elsewhere"))
        answer = read_answer(one)
    assert answer.status == 400
    assert "comes twice" in answer.json["message"]


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
def test_an_upgrade_is_not_made(upgrade: str, served: Served) -> None:
    with served.socket() as one:
        one.sendall(raw("GET", "/health", b"", "Connection: Upgrade", f"Upgrade: {upgrade}"))
        assert read_answer(one).json["ready"]


# --- malformed ----------------------------------------------------------------------------------

MALFORMED = {
    "text": b"hello\r\n\r\n",
    "zeros": b"\0" * 64,
    "TLS": bytes.fromhex("16030100c4010000c0030300") + b"\0" * 64,
    "no number": b"POST /bars/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: ten\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
    b"Content-Length: 2\r\n\r\n",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks of no length": b"POST /bars/ETH-USD HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/3": b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n",
    "CONNECT": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a bare name": b"GET health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "letters beyond ASCII": "GET /é HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
    "a header without a name": b"GET / HTTP/1.1\r\n: x\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_request_gets_an_error_of_ours_and_is_cut_off(name: str, served: Served) -> None:
    with served.socket() as one:
        one.sendall(MALFORMED[name])
        answer = read_answer(one)
        assert answer.status == 400
        assert set(answer.json) == {"error_code", "message"}
        assert one.recv(1) == b""
    assert served.get("/health").status == 200


def test_a_head_has_an_end(served: Served) -> None:
    with served.socket() as one:
        one.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        line = b"X-More: " + b"x" * 1000 + b"\r\n"
        with pytest.raises(OSError):  # noqa: PT011, PT012 -- of several kinds
            for _ in range(10_000):
                one.sendall(line)
    with served.socket() as one:
        one.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + line * 40)
        assert read_answer(one).status == 431


# --- large, endless, slow -----------------------------------------------------------------------


def test_a_body_that_is_too_long_is_refused(models: Models) -> None:
    with serving(models, body_kb=16) as served:
        path = f"/champions/{PATH}/low/predict"
        for size in (17 * 1024, 60 * 1024):  # all of which is read
            answer = served.ask("POST", path, b"x" * size)
            assert answer.status == 413
            assert "more than 16384 bytes" in answer.json["message"]
        with served.socket() as one:  # of which nothing is
            head = raw("POST", path, b"", "Content-Length: 100000000000", "Connection: close")
            one.sendall(head)
            assert read_answer(one).status == 413
        with served.socket() as one:
            one.sendall(raw("POST", path, b"", "Content-Length: 20000", "Expect: 100-continue"))
            assert read_answer(one).status == 413
        with served.socket() as one:
            one.sendall(score(1).replace(b"\r\nHost", b"\r\nExpect: 100-continue\r\nHost"))
            rest = bytearray(one.recv(len(b"HTTP/1.1 100 Continue\r\n\r\n"), socket.MSG_WAITALL))
            assert rest == b"HTTP/1.1 100 Continue\r\n\r\n" or read_answer(one, rest).status == 200


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def test_a_body_in_chunks_is_read(served: Served) -> None:
    head, _, body = score(3).partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    with served.socket() as one:
        one.sendall(b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b""]))
        for start in range(0, len(body), 200):
            one.sendall(chunk(body[start : start + 200]))
        one.sendall(b"0\r\n\r\n")
        assert read_answer(one).json == expected(served, 3)


def test_an_endless_body_is_cut_off_and_decisions_go_on(models: Models) -> None:
    steady = Hamilton(models, [SYMBOL], limits=Limits.off())
    with serving(models, body_kb=64) as served, served.socket() as one:
        head = raw("POST", f"/bars/{PATH}", b"", "Content-Type: application/json",
                   "Transfer-Encoding: chunked")  # fmt: skip
        one.sendall(head)
        sent, part = 0, chunk(b" " * 16_000)
        try:
            for bar in PRESENT[:200]:
                one.sendall(part)
                sent += len(part)
                if sent % 10 == 0:
                    assert served.bar(bar).json == as_json(give(steady, SYMBOL, [bar])[0])
                if sent > 8 * 64 * 1024:
                    time.sleep(0.05)
        except OSError:
            pass
        else:
            pytest.fail("the body was read to its end")
        assert sent < 3_000_000
        assert served.get("/health").status == 200


def test_a_slow_body_and_a_slow_head_are_told_and_cut_off(models: Models) -> None:
    with serving(models, request_seconds=0.5, idle_seconds=1.5) as served:
        request = score(1)
        for sent in (request[:-1], request[:40], request[:1]):
            with served.socket() as one:
                begin = time.monotonic()
                one.sendall(sent)
                answer = read_answer(one)
                assert answer.status == 408
                assert "did not come in time" in answer.json["message"]
                assert one.recv(1) == b""
                assert 0.3 < time.monotonic() - begin < 5.0
        for sent in (b"", b"\r\n"):  # no request
            with served.socket() as one:
                begin = time.monotonic()
                one.sendall(sent)
                assert one.recv(1) == b""
                assert 1.0 < time.monotonic() - begin < 6.0
        with served.socket() as one:  # a body byte by byte, each in time
            one.settimeout(5.0)
            one.sendall(request[:-20])
            with pytest.raises((ConnectionError, BrokenPipeError)):  # noqa: PT012
                for place in range(20):
                    one.sendall(request[-20 + place : len(request) - 19 + place])
                    time.sleep(0.2)
                read_answer(one)
                read_answer(one)
        assert b'reason="late"' in served.get("/metrics").body


def far_bar() -> bytes:
    """A bar after many missing ones, so that it is decided on a thread."""
    after = NEW[0]._replace(close_time=NEW[-1].close_time + 100 * 86_400 * 10**9)
    return raw("POST", f"/bars/{PATH}", json.dumps(bar_body(after)).encode())


def test_a_late_request_does_not_cut_off_the_answer_before_it(models: Models) -> None:
    with serving(models, request_seconds=0.5) as served, served.socket() as one:
        (executor,) = served.hamilton._all
        with executor._lock:  # the decision waits
            one.sendall(far_bar() + score(1)[:30])
            time.sleep(1.5)
        rest = bytearray()
        assert read_answer(one, rest).json["reason"] == "the regime is unknown"
        assert read_answer(one, rest).status == 408


@pytest.mark.soak
def test_what_takes_longer_than_the_end_may_is_told(models: Models) -> None:
    with serving(models, request_seconds=0.5) as served, served.socket() as one:
        (executor,) = served.hamilton._all
        with executor._lock:
            one.sendall(far_bar())
            time.sleep(0.5)
            served.server.stop()
            answer = read_answer(one)
        assert answer.status == 503
        assert "the server ends" in answer.json["message"]


def test_a_client_that_reads_no_answers_is_no_burden(served: Served) -> None:
    with served.socket() as one:
        one.settimeout(1.0)
        request = raw("GET", "/openapi.json")
        try:
            for _ in range(3000):
                one.sendall(request)
        except TimeoutError:
            pass
        assert served.get("/health").status == 200


# --- many ---------------------------------------------------------------------------------------


def hold(served: Served, number: int, stack: ExitStack) -> list[socket.socket]:
    """Open connections that ask nothing."""
    return [stack.enter_context(served.socket()) for _ in range(number)]


def test_more_connections_than_there_may_be_close_the_longest_idle(models: Models) -> None:
    with serving(models, connections=20) as served, ExitStack() as stack:
        assert served.server.connections.most == 20
        held = hold(served, 20, stack)
        for one in held:
            one.sendall(raw("GET", "/health"))
            assert read_answer(one).status == 200
        held[0].sendall(raw("GET", "/health"))
        assert read_answer(held[0]).status == 200
        assert served.get("/health").status == 200  # in the place of the second
        assert held[1].recv(1) == b""
        held[0].sendall(raw("GET", "/health"))
        assert read_answer(held[0]).status == 200
        assert (
            b'brain_http_connections_refused_total{reason="idle"} 1.0'
            in served.get("/metrics").body
        )


def test_connections_that_never_asked_make_room_first(models: Models) -> None:
    with serving(models, connections=20) as served, ExitStack() as stack:
        (asked,) = hold(served, 1, stack)
        asked.sendall(raw("GET", "/health"))
        assert read_answer(asked).status == 200
        mute = hold(served, 100, stack)
        asked.sendall(raw("GET", "/health"))
        assert read_answer(asked).status == 200
        assert [one.recv(1) for one in mute[:81]] == [b""] * 81


def test_a_request_that_was_not_read_yet_keeps_its_connection(models: Models) -> None:
    with serving(models, connections=20) as served, ExitStack() as stack:
        held, connections = hold(served, 21, stack), served.server.connections
        held[20].sendall(raw("GET", "/health"))  # in the place of the first, which it keeps
        assert read_answer(held[20]).status == 200
        stopped, go = threading.Event(), threading.Event()

        def make_room() -> None:
            stopped.set()
            go.wait()  # until requests are here that the loop has not read
            for _ in range(5):
                assert connections.room()

        next(iter(connections._open)).loop.call_soon_threadsafe(make_room)
        assert stopped.wait(5.0)
        for one in held[1:11]:
            one.sendall(raw("GET", "/health"))
        go.set()
        assert [read_answer(one).status for one in held[1:11]] == [200] * 10
        assert [one.recv(1) for one in held[11:16]] == [b""] * 5


def test_where_none_is_idle_a_connection_is_refused(models: Models) -> None:
    with serving(models, connections=20) as served, ExitStack() as stack:
        held = hold(served, 20, stack)
        request = score(1)
        for one in held:
            one.sendall(request[:-1])
        time.sleep(0.2)
        answer = served.ask("GET", "/health")
        assert (answer.status, answer.json["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        for one in held:
            one.sendall(request[-1:])
            assert read_answer(one).json == expected(served, 1)
        assert served.get("/health").status == 200


HOLDER = """
import resource, socket, sys
port, number = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
held = [socket.create_connection(("127.0.0.1", port)) for _ in range(number)]
print("held", flush=True)
sys.stdin.readline()
closed = 0
for one in held:
    one.setblocking(False)
    try:
        closed += one.recv(1) == b""
    except BlockingIOError:
        pass
    except OSError:
        closed += 1
print(closed, flush=True)
"""


def hold_and_decide(models: Models, number: int, connections: int) -> int:
    """Idle connections of another process, and decisions meanwhile; how many were closed."""
    steady = Hamilton(models, [SYMBOL], limits=Limits.off())
    holding = [sys.executable, "-c", HOLDER]
    with (
        serving(models, connections=connections) as served,
        subprocess.Popen(
            [*holding, str(served.port), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as holder,
        closing(served.connect()) as kept,
    ):
        assert holder.stdin is not None
        assert holder.stdout is not None
        held = threading.Event()
        line = holder.stdout.readline

        def wait() -> None:
            line()
            held.set()

        watch = threading.Thread(target=wait)
        watch.start()
        bars, bar, more = iter(PRESENT), PRESENT[0], 20
        while more:
            bar = next(bars, bar)  # the last one again is a decision of before
            begin = time.monotonic()
            # As an executor does: on one connection; at last on new ones too.
            answer = served.bar(bar) if held.is_set() else served.bar(bar, kept)
            assert time.monotonic() - begin < 5.0
            assert answer.json == as_json(give(steady, SYMBOL, [bar])[0])
            time.sleep(0.01)
            more -= held.is_set()
        watch.join()
        holder.stdin.write("\n")
        holder.stdin.flush()
        return int(line())


def test_2000_idle_connections_do_not_stop_decisions(models: Models) -> None:
    assert hold_and_decide(models, 2000, 3000) == 0
    assert hold_and_decide(models, 2000, 100) > 1800


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_10_000_idle_connections_do_not_stop_decisions(models: Models) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 11_000:
        pytest.skip(f"a process may have {hard} files here")
    assert hold_and_decide(models, 10_000, 10_500) == 0
    assert hold_and_decide(models, 10_000, 1000) > 8500


def test_a_process_with_few_files_never_runs_out_of_them(models: Models, tmp_path: Path) -> None:
    with process(models, tmp_path, "files=420", "limits=off") as (started, port):
        with ExitStack() as stack:
            for _ in range(1000):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            for bar in PRESENT[:20]:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                assert ask(connection, "POST", f"/bars/{PATH}", bar_body(bar)).status == 200
                connection.close()
        started.terminate()
        _, errors = started.communicate()
    assert started.returncode == 0
    assert "Too many open files" not in errors
    assert "connections may be open, and not 1024" in errors


def test_a_process_without_files_says_so(models: Models, tmp_path: Path) -> None:
    done = subprocess.run(
        command(models, tmp_path, "files=100"), capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "raise the limit (ulimit -n) above" in done.stderr


@pytest.fixture(autouse=True)
def _decisions_are_right_afterwards(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did to the shared server, its predictions stay what they were."""
    yield
    if "served" in request.fixturenames:
        served: Served = request.getfixturevalue("served")
        with served.socket() as one:
            one.sendall(score(7))
            assert read_answer(one).json == expected(served, 7)
