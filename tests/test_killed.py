"""Jobs that are killed during training: what stays of them, and what clears it up."""

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
from tests.brain.test_processes import GONE_SECONDS, READY_SECONDS, ROOT, ProcessTree, wait_until
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
Start = Callable[..., ProcessTree]


@pytest.fixture
def library(sqlite_dsn: str, monkeypatch: pytest.MonkeyPatch) -> BrainLibrary:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_dsn)
    library = BrainLibrary(sqlite_dsn)
    library.experiment("nightly")  # its artifacts go below the test's folder
    return library


@pytest.fixture
def start(library: BrainLibrary, tmp_path: Path) -> Iterator[Start]:
    """Start ``python …`` and wait until a family is trained while the other is in the midst."""
    trees: list[ProcessTree] = []
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def run(*arguments: str) -> ProcessTree:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        env = {"MLFLOW_TRACKING_URI": library.dsn, "TMPDIR": str(scratch), "PATH": path}
        tree = ProcessTree([sys.executable, *arguments], tmp_path, env)
        trees.append(tree)
        lines: list[str] = []
        while not lines or "trained in" not in lines[-1]:
            lines.append(tree.line())
            assert lines[-1] or tree.head.poll() is None, lines
        assert "1/2 BTC/USD lightgbm trained in" in lines[-1]
        assert len(workers(tree)) == 2
        return tree

    yield run
    for tree in trees:
        tree.end()


def workers(tree: ProcessTree) -> list[int]:
    return [p.pid for p in tree.descendants() if "popen_loky" in " ".join(p.cmdline())]


def job(command: str) -> list[str]:
    return ["-m", "mlproject", command, *(f"--{k}={v}" for k, v in SLOW.items())]


def statuses(library: BrainLibrary) -> set[tuple[str, str]]:
    """Role and status of every run."""
    runs = library.client.search_runs([library.experiment("nightly")])
    return {(run.data.tags[Tag.ROLE], run.info.status) for run in runs}


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
    tree = start(*job("nightly"))
    tree.head.kill()

    assert wait_until(tree.gone, GONE_SECONDS), tree.descendants()
    expected = {("night", "RUNNING"), ("symbol", "RUNNING"), ("family", "FINISHED")}
    assert statuses(library) == expected
    assert not list(Path("/dev/shm").glob(f"*[-_]{tree.head.pid}[-_]*"))  # the workers' memory
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
    tree = start(
        *("-m", "mlflow", "run", str(ROOT), "-e", "nightly", "--env-manager", "local"),
        *("--experiment-name", "nightly", *parameters),
    )
    tree.head.kill()

    assert wait_until(tree.gone, GONE_SECONDS), tree.descendants()
    assert statuses(library) >= {("night", "RUNNING"), ("symbol", "RUNNING")}

    assert start_again(tmp_path) == 0
    assert statuses(library) >= {("night", "KILLED"), ("symbol", "KILLED")}
    assert "RUNNING" not in {status for _, status in statuses(library)}


def test_a_night_that_is_asked_to_end_ends_its_runs_and_workers_itself(
    start: Start, library: BrainLibrary
) -> None:
    tree = start(*job("nightly"))
    tree.head.terminate()

    assert tree.head.wait(READY_SECONDS) == 130
    assert wait_until(tree.gone, GONE_SECONDS), tree.descendants()
    assert statuses(library) == {("night", "KILLED"), ("symbol", "KILLED"), ("family", "FINISHED")}


def test_a_worker_that_is_killed_twice_fails_its_family_and_the_job_goes_on(
    start: Start, library: BrainLibrary
) -> None:
    tree = start(*job("train"))
    first = workers(tree)
    for worker in first:
        os.kill(worker, signal.SIGKILL)
    # Another one tries again.
    assert wait_until(lambda: bool(set(workers(tree)) - set(first)), GONE_SECONDS)
    for worker in set(workers(tree)) - set(first):
        os.kill(worker, signal.SIGKILL)

    assert tree.head.stdout is not None
    output = tree.head.stdout.read()
    assert tree.head.wait(READY_SECONDS) == 1
    assert "BTC/USD lstm" in output
    assert "its worker process died" in output
    assert statuses(library) == {
        ("training", "FAILED"),
        ("symbol", "FAILED"),
        ("family", "FINISHED"),
    }
    assert library.version("BTC/USD", 1).family == "lightgbm"
    assert wait_until(tree.gone, GONE_SECONDS), tree.descendants()
