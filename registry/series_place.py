"""Where a series store is: an address that can be used, and whether it can be written to."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from registry.errors import InputError, SeriesStoreError
from registry.object_store import ConditionalPuts, check_conditional_puts, is_s3, split

__all__ = ["check_place", "parse_root"]


def parse_root(root: str | Path) -> str:
    """The address of a series store: an absolute path, or ``s3://bucket/prefix``.

    Raises:
        InputError: it is neither.
    """
    text = str(root)
    if is_s3(text):
        return "s3://" + "/".join(part for part in split(text) if part)
    if "://" in text:
        raise InputError(
            f"series can't be kept at an address of {text.partition('://')[0]!r}; give a folder "
            "or s3://bucket/prefix"
        )
    if not text.strip():
        raise InputError("'' names no series store; give a folder or s3://bucket/prefix")
    return str(Path(text).expanduser().absolute())


def check_place(root: str, options: Mapping[str, str]) -> ConditionalPuts:
    """Whether a store can be reached and written, and keeps writers apart.

    Raises:
        SeriesStoreError: it can't be reached or written.
    """
    if is_s3(root):
        return check_conditional_puts(root, options)
    folder = Path(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".check-"):
            pass
    except OSError as error:
        raise SeriesStoreError(
            f"series can't be written to {folder}: {error.strerror}; make the folder writable or "
            "name another one"
        ) from error
    return ConditionalPuts(root, True, "a folder, where no two files have one name")
