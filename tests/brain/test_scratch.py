"""Whose folders they are, and what is removed of them; real processes, really killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from brain.processes import ProcessIdentity
from brain.scratch import FILE, FOLDER, job_folder, owned_prefix, remove_orphans, scratch_folder

ROOT = Path(__file__).parents[2]
#: A job that is killed while its folder, a library's file and a worker's semaphore are there.
JOB = """
import os, signal, tempfile
from joblib.externals.loky.backend.synchronize import SemLock, RECURSIVE_MUTEX
from joblib.externals.loky.backend import resource_tracker
from brain.scratch import job_folder
with job_folder() as folder:
    tempfile.mkstemp()
    lock = SemLock(RECURSIVE_MUTEX, 1, 1)
    if {kill_tracker}:
        os.kill(resource_tracker._resource_tracker._pid, signal.SIGKILL)
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(tmp_path: Path, kill_tracker: bool = False) -> tuple[Path, int]:
    """The folder that a killed job leaves, and its process id."""
    job = subprocess.Popen(
        [sys.executable, "-c", JOB.format(kill_tracker=kill_tracker)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    out, _ = job.communicate()
    return Path(out.strip()), job.pid


def test_what_a_killed_job_leaves_is_removed_by_the_next_one_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder, pid = killed(tmp_path, kill_tracker=True)
    assert folder.parent == tmp_path
    assert len(list(folder.iterdir())) == 1
    semaphores = list(Path("/dev/shm").glob(f"sem.loky-{pid}-*"))
    assert len(semaphores) == 1
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with job_folder() as own:
        assert not folder.exists()
        assert not semaphores[0].exists()
        assert own.is_dir()
    (message,) = caplog.messages
    assert message == f"removed what dead jobs left: {folder}, {semaphores[0]}"


def test_what_is_not_a_dead_process_of_this_host_stays(tmp_path: Path) -> None:
    process = ProcessIdentity.current()
    elsewhere = owned_prefix(FOLDER).replace(process.host, "elsewhere")
    names = [
        f"{owned_prefix(FOLDER)}mine",
        f"{owned_prefix(FILE)}mine",
        f"{elsewhere}x",
        "brain-abc",
        "brain-postgres-1",
        f"brain-{process.host}~none~1-1~x",
        f"other-{process.host}~{process.pid}~0-0~x",
    ]
    for name in names:
        (tmp_path / name).mkdir()
    # Another process had this one's id.
    reused = tmp_path / f"brain-{process.host}~{process.pid}~0-0~x"
    reused.mkdir()
    check = tmp_path / f".check-{process.host}~{process.pid}~0-0~x"
    check.touch()
    assert set(remove_orphans(tmp_path)) == {reused, check}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_link_is_removed_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    process = ProcessIdentity.current()
    target = tmp_path / "target"
    target.mkdir()
    link = tmp_path / f"brain-{process.host}~{process.pid}~0-0~x"
    link.symlink_to(target)
    assert remove_orphans(tmp_path) == [link]
    assert target.is_dir()


def test_a_jobs_folder_is_the_temporary_one_of_all_that_it_starts_and_is_left_after_it() -> None:
    before = tempfile.gettempdir(), os.environ.get("TMPDIR")
    with job_folder() as folder, scratch_folder() as scratch:
        assert scratch.parent == folder
        child = [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"]
        out = subprocess.run(child, capture_output=True, text=True, check=True).stdout
        assert Path(out.strip()) == folder
    assert not scratch.exists()
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == before
    with job_folder() as again:
        assert again == folder  # that of the process, whose workers outlive its jobs


def test_a_process_that_ends_by_itself_leaves_no_folder(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", "from brain.scratch import job_folder\nwith job_folder(): pass"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []
