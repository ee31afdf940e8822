"""Jobs on a small file system that is, or becomes, full."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from brain.errors import StorageFullError
from registry.library import BrainLibrary
from tests.disks import fill, small_disk

ROOT = Path(__file__).parents[1]
NIGHT = {
    "BRAIN_SYMBOLS": "ETH/USD",
    "BRAIN_FAMILIES": "lightgbm",
    "BRAIN_TRIALS": "1",
    "BRAIN_FOLDS": "2",
    "BRAIN_JOBS": "1",
    "BRAIN_FREE_MB": "0",
}


@pytest.fixture
def disk() -> Iterator[Path]:
    with small_disk() as folder:
        yield folder


@pytest.fixture(name="migrated_store")
def _migrated_store(sqlite_dsn: str) -> Path:
    """A database file with MLflow's tables."""
    return Path(sqlite_dsn.removeprefix("sqlite:///"))


def job(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mlproject", command],
        cwd=folder,
        env={**os.environ, **NIGHT, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip


def assert_tells(answer: subprocess.CompletedProcess[str], where: object) -> None:
    text = answer.stdout + answer.stderr
    assert answer.returncode == 2, text
    assert "disk is full" in answer.stderr.splitlines()[-1], text
    assert str(where) in answer.stderr.splitlines()[-1]
    assert "Traceback" not in text
    assert "no answer" not in text


@pytest.mark.sampled("migrated")
@pytest.mark.parametrize("migrated", [True, False])
def test_a_job_on_a_full_disk_says_so(migrated: bool, disk: Path, migrated_store: Path) -> None:
    if migrated:
        shutil.copy(migrated_store, disk / "mlflow.db")
    fill(disk)
    assert_tells(job("nightly", disk), disk / "mlflow.db")


def test_a_night_whose_disk_fills_up_says_so_and_ends(disk: Path, migrated_store: Path) -> None:
    shutil.copy(migrated_store, disk / "mlflow.db")
    # The runs have place, and the reserve; the models and their tables have not.
    fill(disk, leave=1_500_000)
    assert_tells(job("nightly", disk), "disk")
    client = MlflowClient(f"sqlite:///{disk / 'mlflow.db'}")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    (night,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert night.info.status == "FAILED"
    assert len(runs) >= 2
    assert "RUNNING" not in {run.info.status for run in runs}


def test_space_is_looked_at_before_a_night_and_by_the_doctor(disk: Path) -> None:
    answer = job("nightly", disk, BRAIN_FREE_MB="500", BRAIN_LOG_FILE="none")
    assert answer.returncode == 2
    assert f"only 4 MB are free at {disk}, and a job wants 500" in answer.stderr
    assert list(disk.iterdir()) == []
    doctor = job("doctor", disk, BRAIN_FREE_MB="500", COLUMNS="400")
    (row,) = [line for line in doctor.stdout.splitlines() if line.startswith("disk space")]
    assert doctor.returncode == 1
    assert "failed" in row
    assert f"only 4 MB are free at {disk}" in row
    assert job("doctor", disk).returncode == 0


def test_a_full_disk_of_artifacts_is_told_as_such(disk: Path, postgres: str) -> None:
    library = BrainLibrary(postgres)
    library.client.create_experiment("full", disk.as_uri())
    fill(disk)
    run = library.start("full", "one", tags={}, note="")
    with pytest.raises(StorageFullError, match="the disk is full at the artifacts' place"):
        run.text("a" * 1_000_000, "large.txt")


def test_a_full_disk_of_a_database_server_is_told_as_such(disk: Path, postgres: str) -> None:
    """PostgreSQL's own error, of a table whose place is a full disk."""
    import sqlalchemy

    from registry.mlflow_errors import library_errors

    place = disk / "table"
    place.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(place, "nobody")
    engine = sqlalchemy.create_engine(postgres, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"CREATE TABLESPACE small LOCATION '{place}'"))
            connection.execute(sqlalchemy.text("CREATE TABLE t (x text) TABLESPACE small"))
            rows = "INSERT INTO t SELECT md5(i::text) FROM generate_series(1, 200000) i"
            with (
                pytest.raises(StorageFullError, match="could not write: the disk is full"),
                library_errors(postgres, "write"),
            ):
                connection.execute(sqlalchemy.text(rows))
            connection.execute(sqlalchemy.text("DROP TABLE t"))
            connection.execute(sqlalchemy.text("DROP TABLESPACE small"))
    finally:
        engine.dispose()
