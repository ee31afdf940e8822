"""How often a tracking server that fails is asked: by our code, `mlflow run` and plain Python."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from brain.patience import PATIENCE, set_patience
from tests.registry.conftest import ROOT
from tests.servers import free_port

ATTEMPTS = 1 + int(PATIENCE["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
ASK = "from mlflow import MlflowClient; MlflowClient('{uri}').get_run('a')"


@contextmanager
def failing_server() -> Iterator[tuple[str, list[str]]]:
    """The address of a server that is always overloaded, and the paths that it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path.partition("?")[0])
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_error(503)

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def environment(folder: Path, *paths: Path) -> dict[str, str]:
    """The variables of a process without any of MLflow's; modules come from the paths."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_HTTP")}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, paths)), "HOME": str(folder)}


def test_a_program_that_imports_the_library_gives_up_after_three_attempts(tmp_path: Path) -> None:
    with failing_server() as (uri, asked):
        code = f"import registry; {ASK.format(uri=uri)}"
        answer = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(tmp_path, ROOT),
            cwd=tmp_path, capture_output=True, check=False, timeout=120,
        )  # fmt: skip
    assert answer.returncode != 0
    assert asked == ["/api/2.0/mlflow/runs/get"] * ATTEMPTS


def test_plain_python_does_so_where_the_project_is_installed(
    installed: Path, tmp_path: Path
) -> None:
    with failing_server() as (uri, asked):
        answer = subprocess.run(
            [sys.executable, "-c", ASK.format(uri=uri)],
            env=environment(tmp_path, installed, ROOT),
            cwd=tmp_path, capture_output=True, check=False, timeout=120,
        )  # fmt: skip
    assert answer.returncode != 0
    assert asked == ["/api/2.0/mlflow/runs/get"] * ATTEMPTS


def test_so_does_mlflow_run(installed: Path, tmp_path: Path) -> None:
    with failing_server() as (uri, asked):
        answer = subprocess.run(
            [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", "train",
             "--env-manager", "local"],
            env=environment(tmp_path, installed, ROOT) | {"MLFLOW_TRACKING_URI": uri},
            cwd=tmp_path, capture_output=True, check=False, timeout=120,
        )  # fmt: skip
    assert answer.returncode != 0
    assert asked
    assert {asked.count(path) for path in asked} == {ATTEMPTS}


def test_the_users_own_patience_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PATIENCE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    set_patience()
    assert {name: os.environ[name] for name in PATIENCE} == {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "5",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    }


def test_a_job_on_a_server_that_is_gone_ends_with_one_error(tmp_path: Path) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    answer = subprocess.run(
        [sys.executable, "-m", "mlproject", "nightly"],
        env=environment(tmp_path, ROOT) | {"MLFLOW_TRACKING_URI": uri},
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1].startswith(f"error: no answer from {uri}")
    assert "Traceback" not in answer.stderr
