"""The check of the series store: it can be reached and written, and keeps writers apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from brain.checks import Check, failed, folder_check, ok
from brain.errors import BrainError
from brain.folders import absolute
from brain.series.store.object_store import is_s3, s3_client
from brain.series.store.s3_checks import probe_bucket

__all__ = ["check_series"]

_NAME = "series store"


def check_series(root: str) -> Iterator[Check]:
    """Whether series can be stored, and writers can't overwrite each other's commits.

    Args:
        root: a folder or ``s3://bucket/prefix``.
    """
    try:
        if is_s3(root):
            yield _check_s3(root)
        else:
            yield folder_check(_NAME, absolute(root))
    except BrainError as error:
        yield failed(_NAME, error)


def _check_s3(root: str) -> Check:
    from brain.series.store.store import SeriesStore

    with closing(s3_client()) as client:
        abilities = probe_bucket(client, root)
    if SeriesStore(root).check().honoured:
        return ok(_NAME, f"{abilities}; conditional puts are honoured")
    return failed(
        _NAME,
        f"{root} ignores conditional puts: of two writers at once, one overwrites the other's "
        "commit in silence",
        "keep series in a store that honours If-None-Match (AWS S3, Swift), or in a folder",
    )
