"""The first start on a fresh store, by several processes at once."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from tests.servers import PostgresServer

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


def open_at_once(dsn: str, folder: Path, number: int) -> list[str]:
    """The outputs of so many processes that open a store at one moment; all must succeed."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, dsn, f"ready-{n}"],
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
