"""The tracking server: addresses, credentials, paging, and answers that are none."""

from __future__ import annotations

import base64
import json
import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from brain.errors import (
    ArtifactStoreError,
    LibraryError,
    SettingsError,
    TrackingUnreachableError,
)
from registry.library import BrainLibrary
from serving import RemoteRegistry
from serving.remote.artifacts import Artifacts
from serving.remote.connections import Connections
from serving.remote.entries import ModelEntry
from serving.remote.tracking import TrackingServer
from tests.servers import MlflowServer

VARIABLES = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
PASSWORD = "p@ss/w:rd?#é 漢"


@pytest.fixture(autouse=True)
def _nobodys_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


class Wire:
    """A server that looks at the bytes of requests, and says what it is told to.

    Attributes:
        authorization: that it wants; None wants that there is none.
        seen: the paths and the header ``Authorization`` of all requests.
        answer: status, headers and body.
    """

    def __init__(self) -> None:
        self.authorization: str | None = None
        self.seen: list[tuple[str, str | None]] = []
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, b"{}")
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                given = self.headers.get("Authorization")
                wire.seen.append((self.path, given))
                status, headers, body = wire.answer
                if given != wire.authorization:
                    echo = {"error_code": "UNAUTHENTICATED", "message": f"who is {given}?"}
                    status, headers, body = 401, {}, json.dumps(echo).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.netloc = f"127.0.0.1:{self.server.server_port}"
        self.uri = f"http://{self.netloc}"

    @contextmanager
    def run(self) -> Iterator[Wire]:
        thread = threading.Thread(target=self.server.serve_forever, args=[0.02])
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            self.server.server_close()
            thread.join()


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire().run() as wire:
        yield wire


def newest(dsn: str) -> list[ModelEntry]:
    with closing(RemoteRegistry(dsn, timeout=5.0)) as remote:
        return remote.newest()[0]


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


# --- credentials --------------------------------------------------------------------------------


def test_credentials_are_sent_as_mlflow_sends_them(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest(wire.uri)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "sesame-token")
    wire.authorization = "Bearer sesame-token"
    newest(wire.uri)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    newest(wire.uri)  # a name without a password is none
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    wire.authorization = basic(f"me:{PASSWORD}")
    newest(wire.uri)
    wire.authorization = basic(f"you/:{PASSWORD}x")
    newest(f"http://you%2F:{quote(PASSWORD, safe='')}x@{wire.netloc}")
    assert len(wire.seen) == 5
    assert {path for path, _ in wire.seen} == {
        "/api/2.0/mlflow/registered-models/search"
        "?max_results=1&order_by=last_updated_timestamp+DESC"
    }


@pytest.mark.parametrize("status", [401, 403])
def test_who_is_refused_is_told_the_variable_and_no_secret(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    wire.authorization = "of another" if status == 401 else "Bearer sesame-token"
    wire.answer = status, {}, json.dumps({"message": "Permission denied: sesame-token"}).encode()
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "sesame-token")
    with pytest.raises(LibraryError, match=rf"{status} \(.*\); set MLFLOW_TRACKING_TOKEN, or") as e:
        newest(wire.uri)
    assert "sesame" not in str(e.value)
    assert not isinstance(e.value, TrackingUnreachableError)
    wire.authorization = "of another"
    for dsn in (f"http://me:sesame-street@{wire.netloc}", wire.uri):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "sesame-street")
        with pytest.raises(LibraryError, match="set MLFLOW_TRACKING_TOKEN") as error:
            newest(dsn)
        login = basic("me:sesame-street").removeprefix("Basic ")
        assert not {"sesame", login.rstrip("=")} & set(re.split(r"[ ,)(;:]+", str(error.value)))
        assert "sesame" not in str(error.value)
        assert login.rstrip("=") not in str(error.value)


def test_credentials_go_to_no_other_server(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "sesame-token")
    with Wire().run() as other, closing(Connections(timeout=5.0)) as connections:
        wire.authorization = "Bearer sesame-token"
        wire.answer = 302, {"Location": f"{other.uri}/elsewhere"}, b""
        with pytest.raises(LibraryError, match="with 302; it leads elsewhere, which is not follow"):
            newest(wire.uri)
        assert other.seen == []
        wire.answer = 200, {}, b"ours"
        other.answer = 200, {}, b"another's"
        artifacts = Artifacts(TrackingServer(wire.uri, connections), connections, 5.0)
        places = {
            "mlflow-artifacts:/1/models/m 1": b"ours",
            f"mlflow-artifacts://{wire.netloc}/1": b"ours",
            f"mlflow-artifacts://{other.netloc}/1": b"another's",
            f"{wire.uri}/files": b"ours",
            f"{other.uri}/files": b"another's",
        }
        assert {place: artifacts.read(place, "a.npz", 100) for place in places} == places
        other.authorization = basic("me:of-the-store")
        wire.seen.clear()
        address = f"http://me:of-the-store@{other.netloc}/files"
        assert artifacts.read(address, "a.npz", 100) == b"another's"
        api = "/api/2.0/mlflow-artifacts/artifacts"
        assert other.seen == [
            (f"{api}/1/a.npz", None), ("/files/a.npz", None), ("/files/a.npz", other.authorization),
        ]  # fmt: skip
        assert wire.seen == []


def test_an_address_with_a_path_keeps_it(wire: Wire) -> None:
    newest(f"{wire.uri}/team/mlflow/")
    with closing(Connections(timeout=5.0)) as connections:
        server = TrackingServer(f"{wire.uri}/team/mlflow", connections)
        Artifacts(server, connections, 5.0).read("mlflow-artifacts:/1/m", "f", 100)
    assert [path.partition("?")[0] for path, _ in wire.seen] == [
        "/team/mlflow/api/2.0/mlflow/registered-models/search",
        "/team/mlflow/api/2.0/mlflow-artifacts/artifacts/1/m/f",
    ]


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        ("sqlite:///mlflow.db", r"mlflow server --backend-store-uri sqlite:///mlflow.db` where"),
        ("postgresql+psycopg://me:sesame@host/db", r"--backend-store-uri postgresql.*http://HOST"),
        ("databricks", "reads no database"),
        ("", "reads no database"),
        ("http://me:se/same@host", "can be read in more than one way"),
        ("http://host:port", "is no server's address"),
        ("http://", "is no server's address"),
    ],
)
def test_a_dsn_that_is_no_servers_address_names_the_cure(dsn: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as error:
        RemoteRegistry(dsn)
    assert "same" not in str(error.value)


# --- artifacts ----------------------------------------------------------------------------------


def test_a_folder_of_this_machine_gives_its_own_regular_files(wire: Wire, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"content")
    (tmp_path / "outside").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "inner").mkdir()
    os.mkfifo(folder / "pipe")
    with closing(Connections(timeout=5.0)) as connections:
        read = Artifacts(TrackingServer(wire.uri, connections), connections, 5.0).read
        for location in (folder.as_uri(), str(folder), f"file:{quote(str(folder))}"):
            assert read(location, "file", 7) == b"content"
            with pytest.raises(LibraryError, match="has more than 6 bytes"):
                read(location, "file", 6)
            for name in ("link", "absent", "inner", "pipe"):
                with pytest.raises(ArtifactStoreError, match=f"a folder/{name} "):
                    read(location, name, 100)
    assert wire.seen == []


@pytest.mark.parametrize(
    "location",
    [
        "gs://bucket/x",
        "dbfs:/x",
        "ftp://me:sesame@host/x",
        "file://host/x",
        "http://[::1",
        "C:\\x",
        "mlflow-artifacts://host:port/x",
        "mlflow-artifacts://me:sesame@host/x",
    ],
)
def test_another_place_of_artifacts_names_the_cure(wire: Wire, location: str) -> None:
    with closing(Connections(timeout=5.0)) as connections:
        artifacts = Artifacts(TrackingServer(wire.uri, connections), connections, 5.0)
        with pytest.raises(ArtifactStoreError, match="mlflow server --serve-artifacts") as error:
            artifacts.read(location, "file", 1)
    assert "sesame" not in str(error.value)


def test_a_location_that_can_be_read_in_two_ways_is_not_read(wire: Wire) -> None:
    with closing(Connections(timeout=5.0)) as connections:
        artifacts = Artifacts(TrackingServer(wire.uri, connections), connections, 5.0)
        with pytest.raises(ArtifactStoreError, match="can be read in more than one way") as error:
            artifacts.read("http://me:sesame/street@host/x", "file", 1)
    assert "sesame" not in str(error.value)


# --- versions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "number"), [("BTC-USD.1h.6", "8"), ("ETH-USD.1h.6", "7")])
def test_an_answer_about_another_version_is_none(wire: Wire, name: str, number: str) -> None:
    entry: dict[str, Any] = {"name": "BTC-USD.1h.6", "version": "7"}
    with closing(Connections(timeout=5.0)) as connections:
        server = TrackingServer(wire.uri, connections)
        wire.answer = 200, {}, json.dumps({"model_version": entry}).encode()
        assert server.version("BTC-USD.1h.6", 7).number == 7
        entry |= {"name": name, "version": number}
        wire.answer = 200, {}, json.dumps({"model_version": entry}).encode()
        with pytest.raises(LibraryError, match=r"with what is not BTC-USD\.1h\.6/7"):
            server.version("BTC-USD.1h.6", 7)


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan"), float("inf")])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(SettingsError, match="give seconds above 0"):
        RemoteRegistry("http://127.0.0.1:1", timeout=timeout)


# --- pages --------------------------------------------------------------------------------------


def test_pages_bring_every_model_once_also_where_moments_are_equal(
    mlflow_server: MlflowServer,
) -> None:
    client = BrainLibrary(mlflow_server.uri).client
    names = [f"model-{place}" for place in range(9)]
    for name in names:
        client.create_registered_model(name, tags={"place": name[-1]})
    with closing(sqlite3.connect(mlflow_server.database)) as database, database:
        update = "UPDATE registered_models SET last_updated_time = ? WHERE name = ?"
        database.executemany(update, [(1000 + (p in (3, 4)), f"model-{p}") for p in range(9)])
    with closing(RemoteRegistry(mlflow_server.uri)) as remote:

        def all_pages(read: Any) -> list[ModelEntry]:
            entries, token = read("")
            while token:
                page, token = read(token)
                entries += page
            return list(entries)

        newest = all_pages(lambda token: remote.newest(limit=2, token=token))
        by_name = all_pages(lambda token: remote.page(token, size=4))
        whole, token = remote.newest(limit=9)
    later = ["model-3", "model-4"]
    assert [e.name for e in newest] == later + [name for name in names if name not in later]
    assert [e.updated for e in newest] == [1001] * 2 + [1000] * 7
    assert [e.name for e in by_name] == names
    assert (whole, token) == (newest, "")
    assert sorted(newest, key=lambda e: e.name) == by_name
    assert [e.tags for e in by_name] == [{"place": name[-1]} for name in names]


def test_an_entrys_digest_changes_with_whatever_is_in_it_and_with_nothing_else(
    mlflow_server: MlflowServer,
) -> None:
    client = BrainLibrary(mlflow_server.uri).client
    for name in ("a", "b"):
        client.create_registered_model(name)
    with closing(RemoteRegistry(mlflow_server.uri)) as remote:

        def digests() -> dict[str, tuple[str, int]]:
            return {e.name: (e.digest, e.updated) for e in remote.page()[0]}

        before = digests()
        assert {e.name: (e.digest, e.updated) for e in remote.newest(limit=2)[0]} == before
        assert digests() == before
        client.set_registered_model_tag("a", "some", "tag")
        after = digests()
        assert after["b"] == before["b"]
        assert after["a"][0] != before["a"][0]
        assert after["a"][1] == before["a"][1]  # which no tag moves
        client.update_registered_model("a", "described")
        assert digests()["a"][1] > before["a"][1]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"OK", b"<html>", b"{", b'{"registered_models": {}}', b"\xff",
     b'{"registered_models": [1]}', b'{"registered_models": [{"name": 1}]}',
     b'{"registered_models": [{"name": "\\ud800"}]}',
     b'{"registered_models": [{"name": "a", "aliases": [{"alias": "b", "version": "x"}]}]}',
     b'{"registered_models": [{"name": "a", "last_updated_timestamp": 1e999}]}',
     b'{"registered_models": [{"name": "a"},]}', b'{"registered_models": []} {}',
     b'{"registered_models": ' + b"[" * 100_000, b'{"next_page_token": 7}'],
)  # fmt: skip
def test_a_page_that_is_none_is_an_error_of_ours(wire: Wire, body: bytes) -> None:
    wire.answer = 200, {}, body
    with pytest.raises(LibraryError, match="are no page of registered models") as error:
        newest(wire.uri)
    assert not isinstance(error.value, TrackingUnreachableError)


def test_pages_without_an_end_are_not_read_for_ever(wire: Wire) -> None:
    wire.answer = 200, {}, b'{"next_page_token": "again"}'
    with (
        closing(RemoteRegistry(wire.uri)) as remote,
        pytest.raises(LibraryError, match="pages of models without an end"),
    ):
        remote.champions()
