"""What a commit to a local table has written, brought to the disk before it is acknowledged.

deltalake leaves files to the operating system, which may lose them with the power. An object store
has them durably when it answers.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import unquote

__all__ = ["sync_commit"]


def sync_commit(address: str, version: int) -> None:
    """Bring a commit, and the files that it adds, to the disk; nothing to do for object stores."""
    if "://" in address:
        return
    folder = Path(address)
    log = folder / "_delta_log" / f"{version:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    added = [folder / unquote(action["add"]["path"]) for action in actions if "add" in action]
    folders = {
        place
        for file in (*added, log)
        for place in file.parents
        if folder in (place, *place.parents)
    }
    for file in (*added, log, *sorted(folders)):
        _sync(file)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
