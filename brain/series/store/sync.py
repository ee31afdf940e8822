"""What commits to a local table have written, brought to the disk before they are acknowledged.

deltalake leaves files to the operating system, which may lose them with the power. An object store
has them durably when it answers.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from urllib.parse import unquote

__all__ = ["set_broken_summary_aside", "sync_commits"]

logger = logging.getLogger(__name__)

_HINT = "_last_checkpoint"


def sync_commits(address: str, since: int, until: int) -> None:
    """Bring the commits after one version up to another, and the files that they add, to the disk.

    There is nothing to do for object stores. Others' commits may be among them.
    """
    if "://" in address:
        return
    folder = Path(address)
    log = folder / "_delta_log"
    files = [log / f"{version:020}.json" for version in range(since + 1, until + 1)]
    for commit in list(files):
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        added = (folder / unquote(action["add"]["path"]) for action in actions if "add" in action)
        files += [file for file in added if file.exists()]  # it may be replaced and deleted again
    # A summary of the commits that was cut off makes the whole table unreadable.
    files += [file for version in range(since + 1, until + 1) for file in _summary(log, version)]
    inside = {place for file in files for place in file.parents if place.is_relative_to(folder)}
    for path in (*files, *inside, folder.parent):
        _sync(path)


def set_broken_summary_aside(address: str) -> bool:
    """Rename a local table's latest checkpoint if it can't be read; the commits are all there.

    A checkpoint that the power cut off is the only file that makes a whole table unreadable.

    Returns:
        Whether there was such a one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    log = Path(address) / "_delta_log"
    if "://" in address or not (log / _HINT).is_file():
        return False
    broken = []
    try:
        version = int(json.loads((log / _HINT).read_text())["version"])
    except (ValueError, KeyError, TypeError):
        broken.append(log / _HINT)
    else:
        for file in sorted(log.glob(f"{version:020}.checkpoint*.parquet")):
            try:
                pq.read_metadata(file)
            except (pa.ArrowException, OSError):
                broken += [file, log / _HINT]
    for file in dict.fromkeys(broken):
        file.rename(file.with_name(f"broken-{file.name}"))
        logger.warning("set aside %s, which can't be read; the table's commits are there", file)
    return bool(broken)


def _summary(log: Path, version: int) -> list[Path]:
    found = sorted(log.glob(f"{version:020}.checkpoint*"))
    return [*found, log / _HINT] if found else []


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
