"""The first start on a fresh store, by several processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from tests.registry.conftest import ROOT
from tests.servers import PostgresServer, free_port

#: Opens the store as a job does, once the file is there that starts all at one moment.
OPEN = """
import sys, time
from pathlib import Path
from registry.library import BrainLibrary
Path(sys.argv[2]).touch()
while not Path("go").exists():
    time.sleep(0.01)
library = BrainLibrary(sys.argv[1])
library.check("nightly")
print(library.experiment("nightly"))
"""


@pytest.fixture
def fresh_postgres(_postgres_server: PostgresServer, tmp_path: Path) -> str:
    """A database without any table."""
    address = f"postgresql://brain:brain@127.0.0.1:{_postgres_server.port}/postgres"
    with closing(psycopg.connect(address, autocommit=True)) as connection:
        connection.execute(b"DROP DATABASE IF EXISTS fresh WITH (FORCE)")
        connection.execute(b"CREATE DATABASE fresh")
    return _postgres_server.uri("fresh")


#: Opens it as plain Python and ``mlflow run`` do.
OPEN_BY_MLFLOW = """
import sys, time
from pathlib import Path
from mlflow import MlflowClient
Path(sys.argv[2]).touch()
while not Path("go").exists():
    time.sleep(0.01)
print(*(found.name for found in MlflowClient(sys.argv[1]).search_experiments()))
"""


def open_at_once(dsn: str, folder: Path, number: int, program: str = OPEN) -> list[str]:
    """The outputs of so many processes that open a store at one moment; all must succeed."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, dsn, f"ready-{n}"],
            cwd=folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for n in range(number)
    ]
    while len(list(folder.glob("ready-*"))) < number:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.05)
    (folder / "go").touch()
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * number, outputs
    assert not [err for _, err in outputs if "Traceback" in err]
    return [out.strip() for out, _ in outputs]


def tables(dsn: str) -> set[str]:
    engine = sqlalchemy.create_engine(dsn)
    names = set(sqlalchemy.inspect(engine).get_table_names())
    engine.dispose()
    return names


@pytest.fixture
def in_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.mark.usefixtures("in_project")
@pytest.mark.parametrize("number", [2, pytest.param(4, marks=pytest.mark.soak)])
def test_all_that_open_a_fresh_sqlite_store_at_once_get_the_same_experiment(
    tmp_path: Path, number: int
) -> None:
    experiments = open_at_once(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path, number)
    assert len(set(experiments)) == 1
    assert {"experiments", "runs", "registered_models"} <= tables(
        f"sqlite:///{tmp_path / 'mlflow.db'}"
    )
    assert {path.name for path in tmp_path.iterdir() if "ready" not in path.name} <= {
        "go", "mlflow.db", "mlruns",
    }  # fmt: skip


@pytest.mark.usefixtures("in_project")
@pytest.mark.parametrize("number", [2, pytest.param(4, marks=pytest.mark.soak)])
def test_all_that_open_a_fresh_postgresql_store_at_once_get_the_same_experiment(
    fresh_postgres: str, tmp_path: Path, number: int
) -> None:
    assert len(set(open_at_once(fresh_postgres, tmp_path, number))) == 1
    assert {"experiments", "runs", "registered_models"} <= tables(fresh_postgres)


@pytest.mark.sampled("store")
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_so_do_programs_of_mlflow_alone_where_the_project_is_installed(
    store: str, request: pytest.FixtureRequest, installed: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = tmp_path / "at-work"
    folder.mkdir()
    dsn = f"sqlite:///{folder / 'mlflow.db'}"
    if store == "postgresql":
        dsn = request.getfixturevalue("fresh_postgres")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (installed, ROOT))))
    assert open_at_once(dsn, folder, 3, OPEN_BY_MLFLOW) == ["Default"] * 3


def test_a_database_that_is_gone_is_told_in_one_attempt_there(
    installed: Path, tmp_path: Path
) -> None:
    dsn = f"postgresql+psycopg://me:secret-word@127.0.0.1:{free_port()}/mlflow"
    answer = subprocess.run(
        [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", "train", "--env-manager", "local"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (installed, ROOT))),
            "MLFLOW_TRACKING_URI": dsn,
        },
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert answer.returncode != 0
    assert "no answer from postgresql+psycopg://me:***@127.0.0.1" in answer.stderr.splitlines()[-1]
    assert "secret-word" not in answer.stdout + answer.stderr


def test_the_store_of_the_plugin_is_made_of_what_the_server_tells() -> None:
    from mlflow.server import constants

    from registry import plugin

    assert plugin._ARTIFACT_ROOT == constants.ARTIFACT_ROOT_ENV_VAR
    assert plugin._READ_REPLICA == constants.READ_REPLICA_BACKEND_STORE_URI_ENV_VAR
