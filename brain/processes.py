"""Processes that must not outlive their purpose, and the name of a process in a tag.

**Lifeline.** Whoever is killed with SIGKILL can't tell its children, so each child watches its
parent: the job that ``mlflow run`` started watches ``mlflow run``, a worker watches the job. The
watcher is a thread that asks twice a second, so it acts once the interpreter lets it: a native call
that holds the interpreter's lock delays it. (Linux could signal the child instead, but does so when
the parent's *thread* ends, and pools start their workers from passing threads.)

**Identity.** A run that says RUNNING is dead when its process is. Host, process id and start time
tell, and a process id given out again is not mistaken for the old one.

On Windows both work, except that a job's own start leaves a gap: there is no ``exec``, so the
parent that it is told to watch is the shell between.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path, PurePath
from typing import Self

import psutil

from brain.errors import InputError

__all__ = ["ProcessIdentity", "die_with_parent", "is_alive", "launcher_is_alive"]

_WATCHER = "lifeline"
_POLL_SECONDS = 0.5
_KILLED = 137  # what a shell reports of a process that was ended by SIGKILL
# A run's start is noted a moment after its launcher's, by a clock of another resolution.
_SLACK_SECONDS = 1.0
_RUN_ID = "MLFLOW_RUN_ID"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def die_with_parent(parent: int | None = None) -> None:
    """End this process and all that it started as soon as its parent is gone.

    Returns at once; a second call does nothing.

    Args:
        parent: the process to depend on. None: the process that started this worker through
            multiprocessing or joblib. A process that nobody started so, say by hand from a shell
            that may go away, then stays independent.
    """
    if parent is None:
        started_by = parent_process()
        parent = started_by.pid if started_by else None
    watched = any(thread.name == _WATCHER for thread in threading.enumerate())
    if parent is None or parent == os.getpid() or watched:
        return
    try:
        lifeline = psutil.Process(parent)
    except psutil.NoSuchProcess:
        _end()
    threading.Thread(target=_watch, args=(lifeline,), name=_WATCHER, daemon=True).start()


def _watch(parent: psutil.Process) -> None:
    # An orphan is adopted the moment its parent ends, even if the parent is left as a zombie.
    direct = os.name == "posix" and os.getppid() == parent.pid
    while os.getppid() == parent.pid if direct else _runs(parent):
        time.sleep(_POLL_SECONDS)
    _end()


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end() -> None:
    """Kill what this process started, then end it without any farewell."""
    for _ in range(2):  # what was started while the first round went on
        with suppress(psutil.Error):
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    # A pool's resource tracker ends by itself, after it has cleaned up.
                    if "resource_tracker" not in " ".join(child.cmdline()):
                        child.kill()
    os._exit(_KILLED)


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, told from every other one that had or will have its id.

    Attributes:
        host: the machine's name. Machines that share a tracking store need different names.
        pid: process id.
        started: when it was started, as this host counts.
    """

    host: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Self:
        """This process."""
        return cls(socket.gethostname(), os.getpid(), _started(psutil.Process()))

    def __str__(self) -> str:
        return f"{self.host} {self.pid} {self.started}"

    @classmethod
    def parse(cls, tag: str) -> Self:
        """The inverse of ``str``.

        Raises:
            InputError: the text is no process identity.
        """
        parts = tag.split(" ")
        if len(parts) != 3 or not all(parts) or not (parts[1].isascii() and parts[1].isdigit()):
            raise InputError(f"{tag!r} names no process; write HOST PID STARTED")
        return cls(parts[0], int(parts[1]), parts[2])


def is_alive(identity: ProcessIdentity) -> bool | None:
    """Whether the process still runs; None if that can't be told from this host."""
    if identity.host != socket.gethostname():
        return None
    try:
        process = psutil.Process(identity.pid)
        return _runs(process) and _started(process) == identity.started
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return None


def launcher_is_alive(started_at: float, run_id: str) -> bool:
    """Whether an ``mlflow run`` lives on this host that may own the run.

    ``mlflow run`` creates its run, may then build an environment for minutes, and starts the job,
    which alone can tag the run with its process. A launcher owns the run that it has told its job;
    one without a job may own any run that is younger than itself. Launchers inside other programs
    (``mlflow.projects.run``) are not seen.

    Args:
        started_at: the run's start, in seconds since 1970 UTC.
        run_id: the run's id.
    """
    return any(
        _launches(process.info["cmdline"] or [])
        and process.info["create_time"] <= started_at + _SLACK_SECONDS
        and _run_of(process) in {run_id, None}
        for process in psutil.process_iter(["cmdline", "create_time"])
    )


def _run_of(launcher: psutil.Process) -> str | None:
    """The run that a launcher has told its job; None if it has none yet, or hides it."""
    with suppress(psutil.Error):
        inherited = launcher.environ().get(_RUN_ID)
        for child in launcher.children():
            told = child.environ().get(_RUN_ID)
            if told and told != inherited:
                return told
    return None


def _launches(command: list[str]) -> bool:
    names = [PurePath(word).stem for word in command[:3]]
    return "mlflow" in names and "run" in command[names.index("mlflow") + 1 :]


def _started(process: psutil.Process) -> str:
    """When a process was started, on a clock that nobody sets: boot and ticks since then."""
    try:
        boot = _BOOT_ID.read_text()[:8]
        # The second field is the program's name in parentheses and may hold anything.
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        if _BOOT_ID.exists() and not psutil.pid_exists(process.pid):
            raise psutil.NoSuchProcess(process.pid) from None
        return f"{process.create_time():.3f}"
    return f"{boot}-{fields[19]}"
