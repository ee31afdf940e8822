"""Space on disks: whether there is enough for a job, and whether the want of it is behind an error.

A job on a database file keeps a reserve on the file's disk. If that fills up, the reserve is given
up, so that the end of the job's runs can still be written.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from brain.errors import StorageFullError

__all__ = ["check_space", "existing_folder", "free_bytes", "is_full", "release", "reserve"]

_CODES = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
# As SQLite, operating systems, PostgreSQL and Delta's store say it, also through a server.
_TEXTS = ("disk is full", "No space left on device", "Disk quota exceeded", "not enough space on")
_RESERVE_BYTES = 1_000_000

_reserves: list[IO[bytes]] = []


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, says that a disk is full."""
    seen: list[BaseException] = []
    while error is not None and not any(error is earlier for earlier in seen):
        if isinstance(error, StorageFullError):
            return True
        if isinstance(error, OSError) and error.errno in _CODES:
            return True
        if any(text in str(error) for text in _TEXTS):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False


def free_bytes(folder: Path) -> int:
    """Bytes that this user may still write on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(existing_folder(folder)).free


def check_space(folders: Iterable[Path], megabytes: float) -> None:
    """Check that each of these folders, which need not exist yet, has so much space left.

    Raises:
        StorageFullError: one has less.
    """
    for folder in folders:
        free = free_bytes(folder)
        if free < megabytes * 1e6:
            raise StorageFullError(
                f"only {free / 1e6:.0f} MB are free at {folder}, and a job wants {megabytes:g}; "
                "free some space there, or name another place (BRAIN_FREE_MB sets the limit)"
            )


def existing_folder(folder: Path) -> Path:
    """The folder, or the closest one above it that exists."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    return existing


@contextmanager
def reserve(folder: Path | None) -> Iterator[None]:
    """Keep a megabyte of a folder's disk until :func:`release` or the end; None keeps nothing.

    The file has no name, so not even a kill leaves it behind.
    """
    if folder is None or os.name != "posix":
        yield
        return
    with suppress(OSError):  # a disk that is full already tells so itself
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by release)
        _reserves.append(file)
        file.write(bytes(_RESERVE_BYTES))
        file.flush()
    try:
        yield
    finally:
        release()


def release() -> bool:
    """Give the reserve up; whether there was one."""
    released = bool(_reserves)
    while _reserves:
        with suppress(OSError):
            _reserves.pop().close()
    return released
