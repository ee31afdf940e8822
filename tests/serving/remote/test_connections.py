"""Connections in front of a real server, and of one that does what it should not."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from brain.errors import LibraryError, SettingsError, TrackingUnreachableError
from serving.remote.connections import Answer, Connections, origin_of
from tests.proxies import FaultProxy
from tests.servers import MlflowServer, free_port

SECONDS = 0.4
PATH = "/api/2.0/mlflow/registered-models/search?max_results=1"


@pytest.fixture(scope="module")
def proxy(_mlflow_server: MlflowServer) -> Iterator[FaultProxy]:
    _mlflow_server.reset()
    with FaultProxy(_mlflow_server.uri).run() as proxy:
        yield proxy


@pytest.fixture
def connections(proxy: FaultProxy) -> Iterator[Connections]:
    proxy.set("pass")
    with closing(Connections(timeout=10.0)) as connections:
        assert connections.get(f"{proxy.uri}{PATH}", limit=1000).status == 200
        yield connections


def get(connections: Connections, proxy: FaultProxy, timeout: float = 10.0) -> bytes:
    return connections.get(f"{proxy.uri}{PATH}", limit=1000, timeout=timeout).body


def ask(url: str, *, limit: int = 1000, timeout: float = 10.0, **more: Any) -> Answer:
    """An answer by a connection of its own."""
    with closing(Connections(timeout=timeout)) as connections:
        return connections.get(url, limit=limit, **more)


@contextmanager
def speaking(answer: bytes) -> Iterator[str]:
    """A server that says these bytes to each connection, whatever is asked, and then waits."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def speak(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(65_536)
            client.sendall(answer)
            ended.wait(10)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=speak, args=[listener.accept()[0]], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


# --- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "value", "reason"),
    [
        ("refuse", None, "Connection refused"),
        ("hang", None, r"not whole within 0\.4 s"),
        ("drip", 0.05, r"not whole within 0\.4 s"),
        ("slow", 1, r"not whole within 0\.4 s"),
        ("truncate", 1, "IncompleteRead"),
        ("status", 500, "answers /api/2.0/mlflow/registered-models/search with 500 .*PLANTED"),
        ("status", 503, "with 503"),
        ("status", 429, "with 429"),
    ],
)
def test_a_fault_is_told_in_time_and_is_over_when_it_is_over(
    proxy: FaultProxy, connections: Connections, mode: str, value: float | None, reason: str
) -> None:
    whole = get(connections, proxy)
    proxy.set(mode, value)
    begin = time.monotonic()
    with pytest.raises(TrackingUnreachableError, match=reason) as fault:
        get(connections, proxy, timeout=SECONDS)
    assert time.monotonic() - begin < SECONDS + 0.3
    assert proxy.uri in str(fault.value)
    proxy.set("pass")
    assert get(connections, proxy, timeout=10.0) == whole


@pytest.mark.parametrize("mode", ["drop", "reset"])
def test_a_kept_connection_that_the_server_drops_is_made_anew(
    proxy: FaultProxy, connections: Connections, mode: str
) -> None:
    whole = get(connections, proxy)
    proxy.set(mode)
    for _ in range(3):
        assert get(connections, proxy) == whole
        time.sleep(0.01)


def test_closing_ends_what_another_thread_waits_for() -> None:
    with speaking(b"") as uri, ThreadPoolExecutor(1) as pool:
        connections = Connections(timeout=30.0)
        asked = pool.submit(connections.get, f"{uri}/", limit=10)
        time.sleep(0.1)
        assert not asked.done()
        connections.close()
        with pytest.raises(TrackingUnreachableError):
            asked.result(timeout=1.0)
        with pytest.raises(TrackingUnreachableError, match="the connections were closed"):
            connections.get(f"{uri}/", limit=10)


def test_an_address_where_nobody_listens_or_no_such_host_is_told() -> None:
    with pytest.raises(TrackingUnreachableError, match=r"no answer from http://127.*refused"):
        ask(f"http://127.0.0.1:{free_port()}/")
    with pytest.raises(TrackingUnreachableError, match=r"no answer from http://no-such.invalid "):
        ask("http://no-such.invalid/")


@pytest.mark.parametrize(
    "answer",
    [
        b"\r\n\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 500,
    ],
)
def test_what_is_no_http_is_an_error_of_ours(answer: bytes) -> None:
    with speaking(answer) as uri, pytest.raises(TrackingUnreachableError, match=f"from {uri} "):
        ask(f"{uri}/", limit=100_000, timeout=SECONDS)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Content-Length: 5000000000\r\n", b""),
        (b"Content-Length: 101\r\n", b"x" * 101),
        (b"", b"x" * 300_000),
        (b"Transfer-Encoding: chunked\r\n", b"400\r\n" + b"x" * 1024 + b"\r\n"),
        # A chunk of no sense is read until the end, which may never come.
        (b"Transfer-Encoding: chunked\r\n", b"-1\r\n" + b"x" * 3_000_000),
    ],
)
def test_a_body_beyond_its_limit_is_not_read(head: bytes, body: bytes) -> None:
    with speaking(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body) as uri:
        begin = time.monotonic()
        with pytest.raises(LibraryError, match=f"{uri} answers /x with .*more than") as error:
            ask(f"{uri}/x?y", limit=100)
    assert not isinstance(error.value, TrackingUnreachableError)
    assert time.monotonic() - begin < 2.0


def test_what_was_not_asked_for_is_no_answer_to_the_next_request() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    stray = answer + b"first" + answer + b"stray"
    with speaking(stray) as uri, closing(Connections(timeout=5.0)) as connections:
        for _ in range(3):
            assert connections.get(f"{uri}/", limit=10).body == b"first"


# --- keeping ------------------------------------------------------------------------------------


def test_connections_are_kept_and_shared_by_threads(
    proxy: FaultProxy, connections: Connections
) -> None:
    before = proxy.connections
    whole = get(connections, proxy)
    assert proxy.connections == before
    with ThreadPoolExecutor(4) as pool:
        bodies = list(pool.map(lambda _: get(connections, proxy), range(40)))
    assert set(bodies) == {whole}
    assert proxy.connections <= before + 3


# --- addresses and TLS --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["ftp://host/", "host:80", "http://", "http://host:port/", "http://me:pass@host/", "//host/x",
     "http://host/a b", "http://host/\r\nX: y", "http://höst/", "http://[::1/"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="is no server's address; write http://HOST:PORT"):
        origin_of(url)


def test_a_header_that_would_be_two_is_refused() -> None:
    with pytest.raises(SettingsError, match="the header Authorization has a character") as error:
        ask("http://127.0.0.1:1/", headers={"Authorization": "Bearer a\r\nX: sesame"})
    assert "sesame" not in str(error.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that signs itself, with its key."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out",
         str(path.with_suffix(".crt"))],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@contextmanager
def over_tls(certificate: Path, upstream: FaultProxy) -> Iterator[str]:
    """A server with TLS before another one, which takes one connection after the other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        """Each connection has one request and one answer at a time, so one thread will do."""
        with (
            suppress(OSError),
            context.wrap_socket(client, server_side=True) as secure,
            socket.create_connection(("127.0.0.1", upstream.port)) as inner,
        ):
            while request := secure.recv(65_536):
                inner.sendall(request)
                if not (answer := inner.recv(65_536)):
                    return
                secure.sendall(answer)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_tls_trusts_whom_the_environment_names_and_nobody_else(
    proxy: FaultProxy, certificate: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.set("pass")
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    with over_tls(certificate, proxy) as uri:
        with pytest.raises(TrackingUnreachableError, match=r"is not trusted .*REQUESTS_CA_BUNDLE"):
            ask(f"{uri}{PATH}")
        monkeypatch.setenv(variable, str(certificate.with_suffix(".crt")))
        with closing(Connections(timeout=5.0)) as connections:
            for _ in range(3):
                assert connections.get(f"{uri}{PATH}", limit=1000).status == 200
            proxy.set("reset")  # the connection behind ends, and so does the one with TLS
            for _ in range(3):
                assert connections.get(f"{uri}{PATH}", limit=1000).status == 200
            proxy.set("hang")
            begin = time.monotonic()
            with pytest.raises(TrackingUnreachableError, match="not whole within"):
                connections.get(f"{uri}{PATH}", limit=1000, timeout=SECONDS)
            assert time.monotonic() - begin < SECONDS + 0.3
        proxy.set("pass")
        if variable == "REQUESTS_CA_BUNDLE":
            monkeypatch.setenv(variable, str(certificate.with_name("absent.pem")))
            with pytest.raises(SettingsError, match=r"certificates in .*absent.pem can't be read"):
                ask(f"{uri}{PATH}")
