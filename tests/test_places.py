"""Where artifacts are, and whether this machine and this user reach them."""

from __future__ import annotations

import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient

import mlproject
from brain.checks import Check
from brain.settings import load_settings
from registry.checks.access import check_access
from registry.checks.library import check_library
from registry.library import BrainLibrary
from tests.s3_servers import Bucket
from tests.servers import free_port, running


def doctor(dsn: str, patch: pytest.MonkeyPatch, **variables: str) -> dict[str, Check]:
    for name, value in {"MLFLOW_TRACKING_URI": dsn, **variables}.items():
        patch.setenv(name, value)
    return {check.name: check for check in check_library(load_settings())}


# --- the artifact root --------------------------------------------------------------------------


def test_the_artifact_root_is_absolute_from_the_first_moment(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dsn)
    monkeypatch.setenv("BRAIN_ARTIFACT_ROOT", "files")
    assert mlproject.main(["prepare"]) == 0
    experiment = MlflowClient(dsn).get_experiment_by_name("nightly")
    assert experiment is not None
    assert experiment.artifact_location == (tmp_path / "files" / "nightly").as_uri()
    assert doctor(dsn, monkeypatch)["artifact store"].state == "ok"


def test_an_experiment_that_is_elsewhere_than_the_artifact_root_is_named(
    sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BrainLibrary(sqlite_dsn).check("nightly")
    check = doctor(sqlite_dsn, monkeypatch, BRAIN_ARTIFACT_ROOT="files")["artifact store"]
    assert check.state == "failed"
    assert str(tmp_path / "mlruns") in check.detail
    assert (tmp_path / "files").as_uri() in check.detail
    assert "name another experiment" in check.cure


@pytest.mark.parametrize("store", ["sqlite_dsn", "postgres", "mlflow_server"])
def test_a_machine_that_lacks_the_models_files_is_told_so(
    store: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture = request.getfixturevalue(store)
    dsn = str(getattr(fixture, "uri", fixture))
    library, root = BrainLibrary(dsn), tmp_path / "first-machine"
    identifier = library.experiment("nightly", root.as_uri())
    model = library.client.create_logged_model(identifier, "model")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}")
    library.client.log_model_artifacts(model.model_id, str(folder))
    library.client.finalize_logged_model(model.model_id, "READY")
    assert doctor(dsn, monkeypatch)["artifact store"].state == "ok"
    root.rename(tmp_path / "elsewhere")
    check = doctor(dsn, monkeypatch)["artifact store"]
    assert check.state == "failed"
    assert "can't be read there from this machine" in check.detail
    assert str(root) in check.detail
    assert "artifact_root" in check.cure


# --- presigned addresses ------------------------------------------------------------------------


@contextmanager
def door(port: int) -> Iterator[int]:
    """The port of a way to a server on loopback that is open to boto3 alone."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head and (data := client.recv(65536)):
                head += data
            if b"Boto3" not in head:
                return
            with socket.create_connection(("127.0.0.1", port)) as server:
                server.sendall(head)
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join()

    def listen() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # which ends the thread's wait too
        listener.close()


@contextmanager
def serving(
    folder: Path, database: str, *more: str, env: dict[str, str] | None = None
) -> Iterator[str]:
    """The address of a server with these arguments."""
    folder.mkdir(exist_ok=True)
    uri = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--port", uri.rpartition(":")[2], "--backend-store-uri", database, *more]

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    env = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **(env or {})}
    with running(command, answers, folder / "server.log", env=env):
        yield uri


# The page of operations brings up such a server that is reachable, too.
@pytest.mark.parametrize("reachable", [pytest.param(True, marks=pytest.mark.soak), False])
def test_a_store_that_only_the_server_reaches_is_told(
    reachable: bool, s3: Bucket, sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with door(int(s3.url.rpartition(":")[2])) as port:
        url = s3.url if reachable else f"http://127.0.0.1:{port}"
        env = {**s3.environment, "AWS_ENDPOINT_URL": url, "MLFLOW_S3_ENDPOINT_URL": url}
        where = f"s3://{s3.bucket}/artifacts"
        arguments = "--artifacts-destination", where
        with serving(tmp_path / "server", sqlite_dsn, *arguments, env=env) as dsn:
            check = doctor(dsn, monkeypatch)["artifact store"]
            if reachable:
                assert check.state == "ok", check
                assert "by presigned addresses" in check.detail
                return
            assert check.state == "failed", check
            assert f"presigned addresses at {url}" in check.detail
            assert "no answer" in check.detail
            assert "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD=false" in check.cure
            direct = doctor(dsn, monkeypatch, MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD="false")
            assert direct["artifact store"].state == "ok"


# --- users --------------------------------------------------------------------------------------


def test_basic_auth_works_and_the_doctor_tells_what_its_user_may_do(
    sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: dict[str, Any] = {
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key of the test's own",
        "MLFLOW_AUTH_ADMIN_PASSWORD": "an administrator's",
    }
    arguments = "--app-name", "basic-auth", "--artifacts-destination", str(tmp_path / "files")
    with serving(tmp_path / "server", sqlite_dsn, *arguments, env=words) as dsn:
        assert "MLFLOW_TRACKING_USERNAME" in doctor(dsn, monkeypatch)["tracking server"].cure
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "an administrator's")
        assert "admin is an administrator" in doctor(dsn, monkeypatch)["user"].detail
        for name in ("nightly", "trader"):
            user = {"username": name, "password": f"{name}'s password"}
            answer = requests.post(
                f"{dsn}/api/2.0/mlflow/users/create",
                json=user,
                auth=("admin", "an administrator's"),
                timeout=30,
            )
            assert answer.status_code == 200, answer.text
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "nightly")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "nightly's password")
        library = BrainLibrary(dsn)
        library.check("nightly")
        with library.start("nightly", "one", tags={}, note="") as run:
            run.text("whole", "note.txt")
        checks = doctor(dsn, monkeypatch)
        assert checks["artifact store"].state == "ok"
        assert checks["user"].detail.startswith(
            "nightly may read, and not change, others' registered models and change and delete the "
            "experiment's runs"
        )
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "trader")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "trader's password")
        check = check_access(dsn, run.experiment_id)
        assert check.state == "ok"
        assert "and read, and not change, the experiment's runs" in check.detail


def test_a_server_that_asks_nobody_is_told(
    mlflow_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = doctor(mlflow_server.uri, monkeypatch)["user"]
    assert (check.state, "whoever reaches it" in check.detail) == ("ok", True)
