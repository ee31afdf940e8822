"""The lease of an experiment: one holder, whoever dies, waits or comes at the same moment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from brain.errors import LeaseError
from brain.naming import Tag
from brain.processes import ProcessIdentity
from registry.library import BrainLibrary
from tests.jobs import run_job

pytestmark = pytest.mark.sampled("dsn")

ROOT = Path(__file__).parents[2]
#: Takes the lease once a file is there, tells of it, and holds it until it is killed.
HOLD = """
import sys, time
from pathlib import Path
from brain.errors import LeaseError
from registry.library import BrainLibrary
library = BrainLibrary(sys.argv[1])
library.experiment("nightly")
Path(sys.argv[2]).touch()
while not Path("go").exists():
    time.sleep(0.01)
try:
    with library.lease("nightly", "night " + sys.argv[2]) as lease:
        print("holds", lease.run_id, flush=True)
        time.sleep(600)
except LeaseError as error:
    print(error, flush=True)
"""
Hold = Callable[..., list["subprocess.Popen[str]"]]


@pytest.fixture
def library(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BrainLibrary:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    library = BrainLibrary(dsn)
    library.experiment("nightly")
    return library


@pytest.fixture
def hold(library: BrainLibrary, tmp_path: Path) -> Iterator[Hold]:
    """Start so many processes that take the lease at one moment."""
    processes: list[subprocess.Popen[str]] = []

    def start(number: int) -> list[subprocess.Popen[str]]:
        for n in range(number):
            command = [sys.executable, "-c", HOLD, library.dsn, f"ready-{n}"]
            processes.append(subprocess.Popen(command, cwd=tmp_path, text=True, stdout=-1))
        while len(list(tmp_path.glob("ready-*"))) < number:
            assert all(process.poll() is None for process in processes)
            time.sleep(0.05)
        (tmp_path / "go").touch()
        return processes

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def claims(client: MlflowClient) -> list[str]:
    experiment = client.get_experiment_by_name("nightly")
    assert experiment is not None
    runs = client.search_runs(
        [experiment.experiment_id], f"attributes.status = 'RUNNING' AND tags.{Tag.LEASE} LIKE '%'"
    )
    return [run.info.run_id for run in runs]


@pytest.mark.parametrize("number", [2, pytest.param(5, marks=pytest.mark.soak)])
def test_of_several_at_once_one_holds_the_lease_and_the_others_say_who(
    library: BrainLibrary, hold: Hold, number: int
) -> None:
    processes = hold(number)
    lines = {process.pid: line(process) for process in processes}
    ((holder, run_id),) = [
        (pid, text.split()[1]) for pid, text in lines.items() if text.startswith("holds ")
    ]
    assert claims(library.client) == [run_id]
    for pid, text in lines.items():
        if pid != holder:
            assert re.search(
                rf"'night ready-\d', process {holder} on \S+ since [\d :-]+ UTC, run {run_id};",
                text,
            ), text

    with pytest.raises(LeaseError, match=f"process {holder} on"):
        library.lease("nightly", "a night")
    library.lease("another", "a night")  # an experiment of its own

    # A holder that is killed holds nothing any more.
    (process,) = [process for process in processes if process.pid == holder]
    process.kill()
    process.wait()
    lease = library.lease("nightly", "a night")
    assert set(claims(library.client)) == {run_id, lease.run_id}
    assert library.reap() == [run_id]


@pytest.fixture
def elsewhere(sqlite_dsn: str) -> Callable[[float], str]:
    """Claims of a process of another host, whose heartbeat is so many seconds old."""
    client = BrainLibrary(sqlite_dsn).client
    experiment = BrainLibrary(sqlite_dsn).experiment("nightly")

    def claim(age: float, status: str = "holder") -> str:
        tags: dict[str, str] = {
            Tag.LEASE: status,
            Tag.HEARTBEAT: f"{time.time() - age:.0f}",
            Tag.PROCESS: str(ProcessIdentity("another-host", 7, "then")),
        }
        return str(client.create_run(experiment, tags=tags, run_name="theirs").info.run_id)

    return claim


def test_a_holder_elsewhere_lasts_as_long_as_its_heartbeat(
    sqlite_dsn: str, elsewhere: Callable[[float], str]
) -> None:
    library = BrainLibrary(sqlite_dsn)
    old = elsewhere(1200)
    lease = library.lease("nightly", "a night")
    assert library.reap() == [old]
    library.client.set_terminated(lease.run_id, "KILLED")
    young = elsewhere(300)
    with pytest.raises(LeaseError, match=f"process 7 on another-host since .*run {young}"):
        library.lease("nightly", "a night")
    assert library.reap() == []


def test_who_waits_gets_the_lease_at_the_holders_end(
    sqlite_dsn: str, elsewhere: Callable[[float], str]
) -> None:
    library = BrainLibrary(sqlite_dsn)
    theirs = elsewhere(0)
    announced: list[str] = []

    def end(announcement: str) -> None:
        announced.append(announcement)
        library.client.set_terminated(theirs, "FINISHED")

    lease = library.lease("nightly", "a night", wait_seconds=60, announce=end)
    assert claims(library.client) == [lease.run_id]
    assert len(announced) == 1
    assert "'theirs', process 7 on another-host" in announced[0]


def test_an_earlier_candidate_goes_first_and_nothing_stays_of_the_later_one(
    sqlite_dsn: str, elsewhere: Callable[..., str]
) -> None:
    library = BrainLibrary(sqlite_dsn)
    earlier = elsewhere(0, "candidate")
    with pytest.raises(LeaseError, match=earlier):
        library.lease("nightly", "a night")
    experiment = library.experiment("nightly")
    assert [run.info.run_id for run in library.client.search_runs([experiment])] == [earlier]


def test_a_run_of_mlflow_run_is_the_claim_itself(
    sqlite_dsn: str, elsewhere: Callable[[float], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = BrainLibrary(sqlite_dsn)
    run_id = library.client.create_run(library.experiment("nightly")).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    lease = library.lease("nightly", "a night")
    assert lease.run_id == run_id
    with library.start("nightly", "a night", tags={}, note="", lease=lease):
        assert claims(library.client) == [run_id]
    assert claims(library.client) == []


def test_an_error_before_the_run_is_taken_over_ends_the_claim(sqlite_dsn: str) -> None:
    library = BrainLibrary(sqlite_dsn)
    with pytest.raises(KeyError), library.lease("nightly", "a night"):
        raise KeyError
    assert claims(library.client) == []


def test_a_second_night_exits_with_a_code_of_its_own_and_names_the_first(
    sqlite_dsn: str, elsewhere: Callable[[float], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_dsn)
    library = BrainLibrary(sqlite_dsn)
    theirs = elsewhere(30)
    outcome = run_job("nightly", "--symbols", "ETH/USD")
    assert outcome.code == 3
    assert "another night is at work" in outcome.error
    assert "process 7 on another-host since 20" in outcome.error
    assert theirs in outcome.error
    runs = library.client.search_runs([library.experiment("nightly")])
    assert [run.info.run_id for run in runs] == [theirs]
    assert os.environ.get("MLFLOW_RUN_ID") is None
