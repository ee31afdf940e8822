"""Jobs that are killed in the middle of training: what is left of them, and who clears it up."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mlproject
from brain.naming import Tag
from brain.series.files import sample_folder
from registry.library import BrainLibrary
from tests.brain.test_processes import GONE_SECONDS, READY_SECONDS, ROOT, Family, wait_until
from tests.engine.simulate import simulate

#: LightGBM is done in a quarter of the time that the LSTM takes: then the killing starts.
SLOW = {
    "bars": str(sample_folder()),
    "symbols": "BTC/USD",
    "families": "lightgbm,lstm",
    "trials": "1",
    "folds": "1",
    "jobs": "2",
}
Start = Callable[..., Family]


@pytest.fixture
def library(sqlite_dsn: str, monkeypatch: pytest.MonkeyPatch) -> BrainLibrary:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_dsn)
    library = BrainLibrary(sqlite_dsn)
    library.experiment("nightly")  # its artifacts go below the test's folder
    return library


@pytest.fixture
def start(library: BrainLibrary, tmp_path: Path) -> Iterator[Start]:
    """Start ``python …`` and wait until a family is trained while the other is in the midst."""
    families: list[Family] = []
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def run(*arguments: str) -> Family:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        env = {"MLFLOW_TRACKING_URI": library.dsn, "TMPDIR": str(scratch), "PATH": path}
        family = Family([sys.executable, *arguments], tmp_path, env)
        families.append(family)
        said: list[str] = []
        while not said or "trained in" not in said[-1]:
            said.append(family.line())
            assert said[-1] or family.head.poll() is None, said
        assert "1/2 BTC/USD lightgbm trained in" in said[-1]
        assert len(workers(family)) == 2
        return family

    yield run
    for family in families:
        family.end()


def workers(family: Family) -> list[int]:
    return [p.pid for p in family.descendants() if "popen_loky" in " ".join(p.cmdline())]


def job(command: str) -> list[str]:
    return ["-m", "mlproject", command, *(f"--{k}={v}" for k, v in SLOW.items())]


def statuses(library: BrainLibrary) -> set[tuple[str, str]]:
    """Kind and status of every run."""
    found = library.client.search_runs([library.experiment("nightly")])
    return {(run.data.tags[Tag.ROLE], run.info.status) for run in found}


def start_again(tmp_path: Path) -> int:
    """The shortest job that there is."""
    frame = simulate(900, strength=0.3, seed=1, timeframe="1d").bars.frame.reset_index()
    bars = tmp_path / "bars"
    bars.mkdir()
    frame.to_parquet(bars / "SIM-USD_1d.parquet")
    handler = signal.getsignal(signal.SIGTERM)
    options = ("--bars", str(bars), "--families", "lightgbm", "--trials", "1", "--jobs", "1")
    try:
        return mlproject.main(["tune", *options])
    finally:
        signal.signal(signal.SIGTERM, handler)


def test_a_killed_night_leaves_no_process_and_the_next_start_ends_its_runs(
    start: Start, library: BrainLibrary, tmp_path: Path
) -> None:
    family = start(*job("nightly"))
    family.head.kill()

    assert wait_until(family.gone, GONE_SECONDS), family.descendants()
    left = {("night", "RUNNING"), ("symbol", "RUNNING"), ("family", "FINISHED")}
    assert statuses(library) == left
    assert not list(Path("/dev/shm").glob(f"*[-_]{family.head.pid}[-_]*"))  # the workers' memory
    # What was registered before is whole, and nothing points to a night that never ended.
    library.fetch(library.version("BTC/USD", 1), tmp_path / "fetched")
    assert len(library.client.search_model_versions()) == 1
    assert library.champions() == []

    assert start_again(tmp_path) == 0
    assert statuses(library) >= {("night", "KILLED"), ("symbol", "KILLED"), ("family", "FINISHED")}
    assert "RUNNING" not in {status for _, status in statuses(library)}


def test_a_killed_mlflow_run_leaves_no_process_and_the_next_start_ends_its_runs(
    start: Start, library: BrainLibrary, tmp_path: Path
) -> None:
    parameters = [word for k, v in SLOW.items() for word in ("-P", f"{k}={v}")]
    family = start(
        *("-m", "mlflow", "run", str(ROOT), "-e", "nightly", "--env-manager", "local"),
        *("--experiment-name", "nightly", *parameters),
    )
    family.head.kill()

    assert wait_until(family.gone, GONE_SECONDS), family.descendants()
    assert statuses(library) >= {("night", "RUNNING"), ("symbol", "RUNNING")}

    assert start_again(tmp_path) == 0
    assert statuses(library) >= {("night", "KILLED"), ("symbol", "KILLED")}
    assert "RUNNING" not in {status for _, status in statuses(library)}


def test_a_night_that_is_asked_to_end_ends_its_runs_and_workers_itself(
    start: Start, library: BrainLibrary
) -> None:
    family = start(*job("nightly"))
    family.head.terminate()

    assert family.head.wait(READY_SECONDS) == 130
    assert wait_until(family.gone, GONE_SECONDS), family.descendants()
    assert statuses(library) == {("night", "KILLED"), ("symbol", "KILLED"), ("family", "FINISHED")}


def test_a_worker_that_is_killed_fails_its_family_and_the_job_goes_on(
    start: Start, library: BrainLibrary
) -> None:
    family = start(*job("train"))
    for worker in workers(family):
        os.kill(worker, signal.SIGKILL)

    assert family.head.stdout is not None
    said = family.head.stdout.read()
    assert family.head.wait(READY_SECONDS) == 1
    assert "BTC/USD lstm" in said
    assert "its worker process died" in said
    assert statuses(library) == {
        ("training", "FAILED"),
        ("symbol", "FAILED"),
        ("family", "FINISHED"),
    }
    assert library.version("BTC/USD", 1).family == "lightgbm"
    assert wait_until(family.gone, GONE_SECONDS), family.descendants()
