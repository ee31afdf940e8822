"""The lifeline of a process to its parent, and the identity of a process as a tag.

**Lifeline.** A process that is killed with SIGKILL can't signal its children, so each child watches
its parent: a job watches the ``mlflow run`` that started it, a worker watches its job. The watcher
is a thread that polls twice a second; a native call that holds the interpreter's lock delays it.
(Linux could signal the child instead, but does so when the parent's *thread* ends, and pools start
their workers from short-lived threads.)

**Identity.** A run with the status RUNNING is dead when its process is. Host, process id and start
time identify a process, so a reused process id is not mistaken for the old process.

Both work on Windows, with one gap: there is no ``exec``, so a job's parent is a shell between it
and ``mlflow run``.
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
_KILLED = 137  # the exit code of a process that SIGKILL has ended, as shells report it
# A run starts a moment after its launcher, by a clock of another resolution.
_SLACK_SECONDS = 1.0
_RUN_ID = "MLFLOW_RUN_ID"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def die_with_parent(parent: int | None = None) -> None:
    """End this process and all its descendants as soon as its parent has ended.

    Returns at once; a second call does nothing.

    Args:
        parent: process id of the parent, a Python program. If it is the system's process that
            adopts orphans, the parent ended before it could be named, and this process ends. If
            None, the process that started this one as a worker through multiprocessing or joblib; a
            process that is no such worker stays independent.
    """
    launched = parent is not None
    if parent is None:
        pool = parent_process()
        parent = pool.pid if pool else None
    watched = any(thread.name == _WATCHER for thread in threading.enumerate())
    if parent is None or parent == os.getpid() or watched:
        return
    try:
        lifeline = psutil.Process(parent)
        if launched and _adopts_orphans(lifeline):
            _end()
    except psutil.NoSuchProcess:
        _end()
    threading.Thread(target=_watch, args=(lifeline,), name=_WATCHER, daemon=True).start()


def _watch(parent: psutil.Process) -> None:
    # An orphan gets another parent at the moment its parent ends, even if that stays as a zombie.
    direct = os.name == "posix" and os.getppid() == parent.pid
    while os.getppid() == parent.pid if direct else _runs(parent):
        time.sleep(_POLL_SECONDS)
    _end()


def _adopts_orphans(process: psutil.Process) -> bool:
    """Whether a process is the system's first one, and no Python program (as in a container)."""
    words = [PurePath(word).stem for word in process.cmdline()[:2]]
    python = any(word.startswith(("python", "mlflow")) for word in words)
    return not python and (process.pid == 1 or process.name() == "systemd")


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end() -> None:
    """Kill all descendants of this process, then end it at once, without any cleanup."""
    for _ in range(2):  # the second round is for processes that started during the first
        with suppress(psutil.Error):
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    # A pool's resource tracker cleans up and ends without a signal.
                    if "resource_tracker" not in " ".join(child.cmdline()):
                        child.kill()
    os._exit(_KILLED)


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, distinct from every earlier or later one with the same id.

    Attributes:
        host: name of the machine. Machines that share a tracking store need different names.
        pid: process id.
        started: start time, by the clock of the host.
    """

    host: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Self:
        """This process."""
        return cls(socket.gethostname(), os.getpid(), _start_time(psutil.Process()))

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
    """Whether the process runs; None if this host can't see it."""
    if identity.host != socket.gethostname():
        return None
    try:
        process = psutil.Process(identity.pid)
        return _runs(process) and _start_time(process) == identity.started
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return None


def launcher_is_alive(started_at: float, run_id: str) -> bool:
    """Whether an ``mlflow run`` that may own the run is alive on this host.

    ``mlflow run`` creates its run, may then build an environment for minutes, and starts the job,
    which alone can tag the run with its process. A launcher owns the run whose id is in its job's
    environment; one without a job may own any run that is younger than itself. Launchers inside
    other programs (``mlflow.projects.run``) are not recognised.

    Args:
        started_at: start of the run, seconds since 1970 UTC.
        run_id: of the run.
    """
    return any(
        _launches(process.info["cmdline"] or [])
        and process.info["create_time"] <= started_at + _SLACK_SECONDS
        and _run_of(process) in {run_id, None}
        for process in psutil.process_iter(["cmdline", "create_time"])
    )


def _run_of(launcher: psutil.Process) -> str | None:
    """The run in the environment of a launcher's job; None if there is no job, or no access."""
    with suppress(psutil.Error):
        inherited = launcher.environ().get(_RUN_ID)
        for child in launcher.children():
            run_id = child.environ().get(_RUN_ID)
            if run_id and run_id != inherited:
                return run_id
    return None


def _launches(command: list[str]) -> bool:
    names = [PurePath(word).stem for word in command[:3]]
    return "mlflow" in names and "run" in command[names.index("mlflow") + 1 :]


def _start_time(process: psutil.Process) -> str:
    """The start time on a clock that can't be set: the boot's id and ticks since the boot."""
    try:
        boot = _BOOT_ID.read_text()[:8]
        # The second field is the program's name in parentheses and may hold anything.
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        if _BOOT_ID.exists() and not psutil.pid_exists(process.pid):
            raise psutil.NoSuchProcess(process.pid) from None
        return f"{process.create_time():.3f}"
    return f"{boot}-{fields[19]}"
