"""Commits to a local table, brought to the disk before they are acknowledged.

deltalake leaves files to the operating system, which may lose them with the power. An object store
has them durably when it answers.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from urllib.parse import unquote

__all__ = ["set_corrupt_checkpoint_aside", "sync_commits"]

logger = logging.getLogger(__name__)

# The file that names the latest checkpoint: Delta's summary of the commits up to a version.
_POINTER = "_last_checkpoint"


def sync_commits(address: str, since: int, until: int) -> None:
    """Bring the commits after a version and up to another, and the files they add, to the disk.

    Commits of other writers may be among them. An object store needs nothing.

    Args:
        address: of the table.
        since: the version before the first commit; -1: from the beginning.
        until: the last version.
    """
    if "://" in address:
        return
    folder = Path(address)
    log = folder / "_delta_log"
    files = [log / f"{version:020}.json" for version in range(since + 1, until + 1)]
    for commit in list(files):
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        data = (folder / unquote(action["add"]["path"]) for action in actions if "add" in action)
        files += [file for file in data if file.exists()]  # it may be replaced and deleted again
    # A truncated checkpoint makes the whole table unreadable.
    files += [file for version in range(since + 1, until + 1) for file in _checkpoint(log, version)]
    folders = {path for file in files for path in file.parents if path.is_relative_to(folder)}
    for path in (*files, *folders, folder.parent):
        _sync(path)


def set_corrupt_checkpoint_aside(address: str) -> bool:
    """Rename a local table's latest checkpoint if it can't be read; the commits are all there.

    A checkpoint that a power failure truncated is the only file that makes a whole table
    unreadable.

    Returns:
        Whether there was such a checkpoint.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    log = Path(address) / "_delta_log"
    if "://" in address or not (log / _POINTER).is_file():
        return False
    corrupt = []
    try:
        version = int(json.loads((log / _POINTER).read_text())["version"])
    except (ValueError, KeyError, TypeError):
        corrupt.append(log / _POINTER)
    else:
        for file in sorted(log.glob(f"{version:020}.checkpoint*.parquet")):
            try:
                pq.read_metadata(file)
            except (pa.ArrowException, OSError):
                corrupt += [file, log / _POINTER]
    for file in dict.fromkeys(corrupt):
        file.rename(file.with_name(f"broken-{file.name}"))
        logger.warning("set aside %s, which can't be read; the table's commits are there", file)
    return bool(corrupt)


def _checkpoint(log: Path, version: int) -> list[Path]:
    files = sorted(log.glob(f"{version:020}.checkpoint*"))
    return [*files, log / _POINTER] if files else []


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
