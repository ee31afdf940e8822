"""Folders for what is in work, which tell whose they are; the next start removes a dead one's.

A process that is killed can't remove what it has in work. So the names of its folders and files
tell its host, id and start time, and whoever comes next can tell what is nobody's any more from
what another process is at work on. All that libraries put into the temporary folder of a job, and
of its workers, lies in one folder of the job's.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil

from brain.errors import InputError
from brain.processes import ProcessIdentity, is_alive

__all__ = ["FILE", "FOLDER", "job_folder", "owned_prefix", "remove_orphans", "scratch_folder"]

logger = logging.getLogger(__name__)

FOLDER, FILE = "brain-", ".check-"
_SEPARATOR = "~"  # in no name of a host, and in no random name of tempfile
_VARIABLE = "TMPDIR"
_SHARED_MEMORY = Path("/dev/shm")


def owned_prefix(kind: str) -> str:
    """The beginning of the name of a file or folder of this process.

    Args:
        kind: ``brain.scratch.FOLDER`` or ``brain.scratch.FILE``.
    """
    process = ProcessIdentity.current()
    return _SEPARATOR.join((f"{kind}{process.host}", str(process.pid), process.started, ""))


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder of this process, which is removed at the end of the block."""
    with tempfile.TemporaryDirectory(prefix=owned_prefix(FOLDER), ignore_cleanup_errors=True) as f:
        yield Path(f)


@contextmanager
def job_folder() -> Iterator[Path]:
    """This process' temporary folder, and that of the workers that start meanwhile, is its own.

    What dead processes left in the temporary folder before is removed first. The own folder lasts
    as long as the process, as its workers do.
    """
    before, variable = tempfile.tempdir, os.environ.get(_VARIABLE)
    remove_orphans(Path(tempfile.gettempdir()))
    folder = Path(_process_folder().name)
    folder.mkdir(parents=True, exist_ok=True)  # as programs that tidy up remove what is old
    os.environ[_VARIABLE] = tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        if variable is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = variable


@cache
def _process_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=owned_prefix(FOLDER), ignore_cleanup_errors=True)


def remove_orphans(folder: Path) -> list[Path]:
    """Remove the files and folders of ours whose process is dead, and its workers' semaphores.

    Those of other hosts, and of other programs, stay. What can't be removed stays too; the log
    tells of it, and of what is removed.

    Args:
        folder: in which they lie.

    Returns:
        What was removed.
    """
    removed: list[Path] = []
    for path in sorted(folder.glob(f"{FOLDER}*")) + sorted(folder.glob(f"{FILE}*")):
        owner = _owner(path.name)
        if owner is None or is_alive(owner) is not False:
            continue
        orphans = [path, *_semaphores(owner)]
        for orphan in orphans:
            try:
                shutil.rmtree(orphan) if _is_folder(orphan) else orphan.unlink()
            except FileNotFoundError:
                continue  # another start was first
            except OSError as error:
                logger.warning("%s of a dead job can't be removed: %s", orphan, error)
                continue
            removed.append(orphan)
    if removed:
        logger.warning(
            "removed what dead jobs left: %s", ", ".join(str(orphan) for orphan in removed)
        )
    return removed


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _owner(name: str) -> ProcessIdentity | None:
    """The process that a name tells; None if it is not of ours."""
    kind = next((kind for kind in (FOLDER, FILE) if name.startswith(kind)), None)
    parts = name.removeprefix(kind or "").split(_SEPARATOR)
    if kind is None or len(parts) != 4:
        return None
    try:
        return ProcessIdentity.parse(" ".join(parts[:3]))
    except InputError:
        return None


def _semaphores(owner: ProcessIdentity) -> list[Path]:
    """The named semaphores of a dead process' pools, where the system shows them as files.

    Those of a process id that was given out again may be the new process', and stay.
    """
    if psutil.pid_exists(owner.pid):
        return []
    return sorted(_SHARED_MEMORY.glob(f"sem.loky-{owner.pid}-*"))
