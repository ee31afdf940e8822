"""Small file systems of a test's own, to be filled."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["fill", "small_disk"]


@contextmanager
def small_disk(megabytes: int = 4) -> Iterator[Path]:
    """A file system of so many MB, which other users may enter; else the test is skipped."""
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        folder.rmdir()
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()


def fill(folder: Path, leave: int = 0) -> None:
    """Leave so many bytes of a disk free."""
    with (folder / "ballast").open("ab", buffering=0) as file:
        while (free := shutil.disk_usage(folder).free) > leave:
            file.write(bytes(min(free - leave, 65536)))
