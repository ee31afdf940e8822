"""What commits to a local table have written, brought to the disk before they are acknowledged.

deltalake leaves files to the operating system, which may lose them with the power. An object store
has them durably when it answers.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import unquote

__all__ = ["sync_commits"]


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
    inside = {place for file in files for place in file.parents if place.is_relative_to(folder)}
    for path in (*files, *inside, folder.parent):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
