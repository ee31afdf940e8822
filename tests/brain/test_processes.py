"""Real processes, really killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from brain.errors import InputError
from brain.processes import ProcessIdentity, is_alive, launcher_is_alive

ROOT = Path(__file__).parents[2]
# Two polls of the lifeline; the rest is for busy machines.
GONE_SECONDS = 20.0
READY_SECONDS = 90.0


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


class ProcessTree:
    """A process in a new session, and all that it starts."""

    def __init__(self, command: list[str], cwd: Path, env: dict[str, str] | None = None) -> None:
        self.head = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def descendants(self) -> list[psutil.Process]:
        """The running processes without the head, also those that have another parent now."""
        return [
            process
            for process in self.members(["status"])
            if process.pid != self.head.pid and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def members(self, facts: Sequence[str] = ()) -> list[psutil.Process]:
        """All processes of the session, with these facts as by ``psutil.process_iter``."""
        members = []
        for pid in psutil.pids():
            with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
                if os.getsid(pid) == self.head.pid:
                    process = psutil.Process(pid)
                    process.info = process.as_dict(["pid", *facts])
                    members.append(process)
        return members

    def gone(self) -> bool:
        return not self.descendants()

    def line(self) -> str:
        assert self.head.stdout is not None
        return self.head.stdout.readline().strip()

    def end(self) -> None:
        for process in self.descendants():
            process.kill()
        self.head.kill()
        self.head.wait()
        if self.head.stdout:
            self.head.stdout.close()


Start = Callable[..., ProcessTree]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start ``python …``; nothing of it survives the test."""
    trees: list[ProcessTree] = []

    def run(*arguments: object, env: dict[str, str] | None = None) -> ProcessTree:
        command = [sys.executable, *map(str, arguments)]
        trees.append(ProcessTree(command, tmp_path, env))
        return trees[-1]

    yield run
    for tree in trees:
        tree.end()


def script(path: Path, text: str) -> Path:
    path.write_text(textwrap.dedent(text))
    return path


#: A job with a child, whose parent is the process of the argument.
JOB = """
    import subprocess, sys, time
    from brain.processes import die_with_parent

    die_with_parent(int(sys.argv[1]))
    die_with_parent(int(sys.argv[1]))
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print("ready", flush=True)
    time.sleep(600)
"""


IDLE = "import time; print('here', flush=True); time.sleep(600)"


def test_workers_of_a_killed_job_are_gone_within_seconds(start: Start, tmp_path: Path) -> None:
    job = script(
        tmp_path / "job.py",
        """
        import os, sys, time
        from pathlib import Path
        from joblib import Parallel, delayed
        from brain.processes import die_with_parent

        def work(i):
            die_with_parent()
            Path(f"at-work-{i}").touch()
            time.sleep(600)

        Parallel(n_jobs=2)(delayed(work)(i) for i in range(2))
        """,
    )
    tree = start(job)
    assert wait_until(lambda: len(list(tmp_path.glob("at-work-*"))) == 2, READY_SECONDS)
    assert len(tree.descendants()) >= 3  # two workers and the pool's trackers

    tree.head.kill()

    assert wait_until(tree.gone, GONE_SECONDS), tree.descendants()


def test_a_job_and_its_children_die_with_their_launcher(start: Start, tmp_path: Path) -> None:
    launcher = (
        "import os, subprocess as s, sys; s.run([sys.executable, 'job.py', str(os.getpid())])"
    )
    script(tmp_path / "job.py", JOB)
    tree = start("-c", launcher)
    assert tree.line() == "ready"
    assert len(tree.descendants()) == 2

    tree.head.kill()

    assert wait_until(tree.gone, GONE_SECONDS), tree.descendants()


def test_a_job_whose_launcher_is_already_gone_ends_at_once(start: Start, tmp_path: Path) -> None:
    late = start("-c", "print('over')")
    late.head.wait()
    job = start(script(tmp_path / "job.py", JOB), late.head.pid)
    assert job.head.wait(READY_SECONDS) == 137
    assert job.line() == ""


def test_a_job_whose_launcher_is_killed_before_the_shell_can_name_it_ends(
    start: Start, tmp_path: Path
) -> None:
    """The shell takes the system's first process for its parent, or finds nobody."""
    script(tmp_path / "job.py", JOB)
    launcher = (
        "import os, subprocess as s, sys; "
        "s.Popen(['bash', '-c', f'exec {sys.executable} job.py $PPID']); os.kill(os.getpid(), 9)"
    )
    for _ in range(5):
        tree = start("-c", launcher)
        tree.head.wait()
        assert wait_until(tree.gone, GONE_SECONDS), tree.descendants()


def test_a_job_started_by_hand_outlives_its_shell(start: Start, tmp_path: Path) -> None:
    script(tmp_path / "job.py", JOB.replace("int(sys.argv[1])", ""))
    shell = start("-c", "import subprocess as s, sys; s.run([sys.executable, 'job.py'])")
    assert shell.line() == "ready"

    shell.head.kill()

    assert not wait_until(shell.gone, 1.5)


def test_killing_mlflow_run_leaves_no_orphan(
    start: Start, tmp_path: Path, sqlite_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    script(project / "job.py", JOB.replace('"ready"', '__import__("os").environ["MLFLOW_RUN_ID"]'))
    (project / "MLproject").write_text(
        f"entry_points: {{main: {{command: 'exec {sys.executable} job.py $PPID'}}}}"
    )
    tree = start(
        "-m", "mlflow", "run", project, "--env-manager", "local",
        env={"MLFLOW_TRACKING_URI": sqlite_dsn},
    )  # fmt: skip
    run_id = tree.line()
    assert len(run_id) == 32
    parents = {process.ppid() for process in tree.descendants()}
    assert tree.head.pid in parents  # no shell between `mlflow run` and the job
    assert len(tree.descendants()) == 2
    monkeypatch.setattr(psutil, "process_iter", tree.members)
    assert launcher_is_alive(time.time(), run_id)
    assert not launcher_is_alive(time.time(), "another run")

    tree.head.kill()

    assert wait_until(tree.gone, GONE_SECONDS), tree.descendants()
    assert not launcher_is_alive(time.time(), run_id)


def test_a_launcher_without_a_job_may_own_any_run_younger_than_itself(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = start(script(tmp_path / "mlflow", IDLE), "run", ".")
    monkeypatch.setattr(psutil, "process_iter", tree.members)
    assert tree.line() == "here"
    began = psutil.Process(tree.head.pid).create_time()
    assert launcher_is_alive(began + 600, "any run")
    assert not launcher_is_alive(began - 10, "any run")


def test_another_command_of_mlflow_launches_nothing(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = start(script(tmp_path / "mlflow", IDLE), "server")
    monkeypatch.setattr(psutil, "process_iter", tree.members)
    assert tree.line() == "here"
    assert not launcher_is_alive(time.time(), "any run")


def test_this_process_is_alive_and_its_tag_reads_back() -> None:
    identity = ProcessIdentity.current()
    assert is_alive(identity) is True
    assert ProcessIdentity.parse(str(identity)) == identity


def test_a_process_id_given_out_again_is_another_process() -> None:
    assert is_alive(replace(ProcessIdentity.current(), started="0-0")) is False


def test_an_ended_process_is_dead_even_before_its_parent_has_noticed(start: Start) -> None:
    tell = "from brain.processes import ProcessIdentity as P; print(P.current(), flush=True)"
    tree = start("-c", f"{tell}; import time; time.sleep(600)")
    identity = ProcessIdentity.parse(tree.line())
    assert identity.pid == tree.head.pid
    assert is_alive(identity) is True
    tree.head.kill()
    assert wait_until(lambda: is_alive(identity) is False, GONE_SECONDS)  # a zombie by now
    tree.head.wait()
    assert is_alive(identity) is False


def test_a_process_of_another_host_is_unknown() -> None:
    assert socket.gethostname() != "elsewhere"
    assert is_alive(replace(ProcessIdentity.current(), host="elsewhere")) is None


@pytest.mark.parametrize("tag", ["", "host 12", "host x 1", "host ² 1", "host 12 ", "a b 1 2"])
def test_what_is_no_identity_is_refused(tag: str) -> None:
    with pytest.raises(InputError, match="names no process"):
        ProcessIdentity.parse(tag)
