"""Who may ask: tokens, names of the server, TLS."""

from __future__ import annotations

import datetime as dt
import json
import socket
import ssl
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from brain.errors import SettingsError
from serving import Hamilton, Limits
from serving.http.guard import Guard
from serving.http.settings import ServeSettings
from tests.serving.desk import Models, give
from tests.serving.http.served import (
    NEW,
    PATH,
    SYMBOL,
    Served,
    as_json,
    bar_body,
    raw,
    read_answer,
    serving,
)

FIRST, SECOND = "first-token-of-the-desk", "second-token-of-the-desk"
PRESENT = [bar for bar in NEW if bar.close == bar.close]
PATHS = {
    "GET": ["/champions", f"/champions/{PATH}/low", "/metrics", "/openapi.json", "/nowhere"],
    "POST": ["/invocations", f"/champions/{PATH}/low/predict", f"/bars/{PATH}", f"/rows/{PATH}"],
}


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# --- tokens -------------------------------------------------------------------------------------


def test_no_route_but_health_is_answered_without_a_token(models: Models) -> None:
    with serving(models, tokens=(FIRST, SECOND)) as served:
        wrong: tuple[dict[str, str], ...] = (
            {},
            bearing("wrong-token-of-nobody"),
            bearing(FIRST[:-1]),
            bearing(FIRST + "x"),
            bearing(f"{FIRST},{SECOND}"),
            bearing(""),
            {"Authorization": FIRST},
            {"Authorization": f"Basic {FIRST}"},
        )
        for method, paths in PATHS.items():
            for path in paths:
                body: object = {} if method == "POST" else None
                for headers in wrong:
                    answer = served.ask(method, path, body, headers)
                    assert answer.status == 401, path
                    assert answer.headers["www-authenticate"].startswith("Bearer")
                    assert answer.json["error_code"] == "UNAUTHENTICATED"
        for headers in wrong:
            assert served.ask("GET", "/health", None, headers).json == {"ready": True}
        for token in (FIRST, SECOND):
            assert served.ask("GET", "/champions", None, bearing(token)).status == 200
            health = served.ask("GET", "/health", None, bearing(token)).json
            assert health["models"][0]["model"] == "ETH-USD.1d.6"
        assert served.ask("GET", "/nowhere", None, bearing(FIRST)).status == 404
        lower = {"authorization": f"bearer {FIRST}"}
        assert served.ask("GET", "/champions", None, lower).status == 200


def test_a_refused_bar_changes_nothing(models: Models) -> None:
    steady = Hamilton(models, [SYMBOL], limits=Limits.off())
    with serving(models, tokens=(FIRST,)) as served:
        for bar in PRESENT[:5]:
            body = bar_body(bar)
            assert served.ask("POST", f"/bars/{PATH}", body).status == 401
            answer = served.ask("POST", f"/bars/{PATH}", body, bearing(FIRST))
            assert answer.json == as_json(give(steady, SYMBOL, [bar])[0])


def test_settings_show_no_token() -> None:
    assert FIRST not in repr(ServeSettings(tokens=(FIRST,)))


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example",
     "10.0.0.1", "", "[::2]:80", "localhost@evil.example"],
)  # fmt: skip
def test_a_foreign_host_is_refused(host: str, served: Served) -> None:
    for path in ("/health", "/champions", "/nowhere"):
        with served.socket() as one:
            one.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            answer = read_answer(one)
            assert (answer.status, answer.json["error_code"]) == (403, "PERMISSION_DENIED")
            assert "hosts" in answer.json["message"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:9", "[::1]"])
def test_loopback_is_known(host: str, served: Served) -> None:
    with served.socket() as one:
        one.sendall(f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert read_answer(one).status == 200


def test_hosts_of_the_settings_are_known(models: Models) -> None:
    with serving(models, hosts=("Desk.example",)) as served:
        for host, status in (("desk.example:443", 200), ("localhost", 200), ("other", 403)):
            with served.socket() as one:
                one.sendall(f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                assert read_answer(one).status == status


def test_any_host_is_known_if_it_is_said() -> None:
    Guard(("*",)).check_host({b"host": b"anything"})


def test_a_page_of_another_site_can_post_nothing(served: Served) -> None:
    bar = bar_body(PRESENT[0])
    # What a page may send without asking first.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = served.ask("POST", f"/bars/{PATH}", bar, {"Content-Type": kind})
        assert answer.status == 415
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = served.ask("OPTIONS", f"/bars/{PATH}", None, preflight)
    assert answer.status == 405
    assert not any(name.startswith("access-control") for name in answer.headers)


# --- where it listens ---------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "desk.example"])
def test_other_machines_need_a_token_unless_it_is_said(host: str) -> None:
    with pytest.raises(SettingsError, match="no token is asked for; set BRAIN_SERVE_TOKENS"):
        ServeSettings(host=host)
    ServeSettings(host=host, tokens=(FIRST,))
    ServeSettings(host=host, anonymous=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    ServeSettings(host=host)


def test_it_listens_on_loopback_alone(models: Models) -> None:
    with serving(models) as served:
        assert served.server.address.startswith("http://127.0.0.1:")
    with serving(models, host="0.0.0.0", anonymous=True) as served:
        assert served.get("/health").status == 200
    with (
        serving(models, host="::1") as served,
        socket.create_connection(("::1", served.port)) as one,
    ):
        one.sendall(raw("GET", "/health"))
        assert read_answer(one).status == 200


def test_a_port_in_use_and_a_strange_address_are_told(models: Models) -> None:
    with (
        serving(models) as served,
        pytest.raises(SettingsError, match="name a free port"),
        serving(models, port=served.port),
    ):
        pass
    with (
        pytest.raises(SettingsError, match="an address of this machine"),
        serving(models, host="192.0.2.1", anonymous=True),
    ):
        pass


# --- TLS ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of localhost, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def secure(served: Served, certificate: Path) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(certificate))
    return context.wrap_socket(served.socket(), server_hostname="localhost")


def test_tls_answers_as_plain_http_does(models: Models, certificate: tuple[Path, Path]) -> None:
    steady = Hamilton(models, [SYMBOL], limits=Limits.off())
    settings = {"tls_certificate": certificate[0], "tls_key": certificate[1]}
    with serving(models, **settings) as served:
        assert served.server.address.startswith("https://")
        with secure(served, certificate[0]) as one:
            assert one.version() == "TLSv1.3"
            for bar in PRESENT[:20]:
                body = json.dumps(bar_body(bar)).encode()
                one.sendall(raw("POST", f"/bars/{PATH}", body))
                assert read_answer(one).json == as_json(give(steady, SYMBOL, [bar])[0])
        for _ in range(30):
            with secure(served, certificate[0]) as one:
                one.sendall(raw("GET", "/health"))
                assert read_answer(one).status == 200
        with served.socket() as one:  # plain HTTP
            one.sendall(raw("GET", "/health"))
            assert not one.recv(100).startswith(b"HTTP/1.1 200")
        context = ssl.create_default_context(cafile=str(certificate[0]))
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        with context.wrap_socket(served.socket(), server_hostname="localhost") as one:
            one.sendall(raw("GET", "/health"))
            assert read_answer(one).status == 200


def test_handshakes_that_are_never_made_are_bounded(
    models: Models, certificate: tuple[Path, Path]
) -> None:
    settings = {"tls_certificate": certificate[0], "tls_key": certificate[1]}
    with serving(models, connections=20, request_seconds=1.0, **settings) as served:
        with ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(served.socket())
            time.sleep(0.3)
            assert len(served.server.connections) <= 20
            deadline = time.monotonic() + 10.0
            while True:  # in the place of the first that were too late
                try:
                    with secure(served, certificate[0]) as one:
                        one.sendall(raw("GET", "/health"))
                        assert read_answer(one).status == 200
                    break
                except OSError:
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
        with secure(served, certificate[0]) as one:
            one.sendall(raw("GET", "/metrics"))
            assert b"brain_http_connections 1.0" in read_answer(one).body


def test_a_certificate_that_cant_be_used_is_told(
    models: Models, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    text = tmp_path / "text.pem"
    text.write_text("nothing")
    for files in (
        (certificate[0], text),
        (text, certificate[1]),
        (tmp_path / "no", certificate[1]),
    ):
        with (
            pytest.raises(SettingsError, match="give a certificate and its key in PEM"),
            serving(models, tls_certificate=files[0], tls_key=files[1]),
        ):
            pass
    with pytest.raises(SettingsError, match="belong together"):
        ServeSettings(tls_key=certificate[1])
