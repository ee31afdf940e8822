"""The address of a series store: parsed, checked for writing, and named in errors."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deltalake.exceptions import DeltaError

from brain.addresses import refuse_ambiguous
from brain.errors import BrainError, InputError, SeriesStoreError
from brain.folders import series_address
from brain.scratch import FILE, owned_prefix, remove_orphans
from brain.series.store.object_store import (
    ConditionalPuts,
    bucket_and_prefix,
    check_conditional_puts,
    hide_secrets,
    is_s3,
)

__all__ = ["check_root", "parse_root", "store_faults"]

_COLOURS = re.compile(r"\x1b\[\d+m")


def parse_root(root: str | Path) -> str:
    """The root of a series store: an absolute path, or ``s3://bucket/prefix``.

    Raises:
        InputError: it is neither, or can be read in more than one way.
    """
    text = str(root)
    refuse_ambiguous(text, "series", InputError)
    if is_s3(text):
        return "s3://" + "/".join(part for part in bucket_and_prefix(text) if part)
    return str(series_address(text))


def check_root(root: str, options: Mapping[str, str]) -> ConditionalPuts:
    """Whether a store can be reached and written, and keeps writers apart.

    Args:
        root: of the store, as of :func:`brain.series.store.address.parse_root`.
        options: deltalake's storage options; not used for a folder.

    Raises:
        SeriesStoreError: it can't be reached or written.
    """
    if is_s3(root):
        return check_conditional_puts(root, options)
    folder = Path(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_orphans(folder)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=owned_prefix(FILE)):
            pass
    except OSError as error:
        raise SeriesStoreError(
            f"series can't be written to {folder}: {error.strerror}; make the folder writable or "
            "name another one"
        ) from error
    return ConditionalPuts(root, True, "a folder, where no two files have one name")


@contextmanager
def store_faults(
    root: str, action: str, options: Callable[[], Mapping[str, str]]
) -> Iterator[None]:
    """Turn what deltalake raises into our error, without secrets.

    Args:
        root: of the store.
        action: what is being done, as in "read the candles".
        options: returns the storage options, whose secrets are left out of the message.

    Raises:
        SeriesStoreError: something was raised.
    """
    try:
        yield
    except BrainError:
        raise
    except (DeltaError, OSError, ValueError) as error:
        message = " ".join(_COLOURS.sub("", str(error)).split())
        raise SeriesStoreError(
            f"could not {action} at {root}: {hide_secrets(message, options())[:500]}; check the "
            "address, the credentials, the permissions and the free space there"
        ) from error
