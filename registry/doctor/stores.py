"""Checks of where artifacts and market series are stored."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import requests
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from registry.doctor.checks import Check, failed, folder_fault, free_bytes, ok, skipped
from registry.doctor.s3 import artifact_client, check_credentials, probe_bucket
from registry.doctor.tracking import ask_once, check_tracking
from registry.errors import ArtifactStoreError, BrainError
from registry.mlflow_errors import library_errors
from registry.redact import redact
from registry.series.object_store import is_s3, s3_client
from registry.settings import Settings

__all__ = ["check_artifacts", "check_library", "check_series"]

_ARTIFACTS, _SERIES = "artifact store", "series store"
_LEAST_FREE = 500_000_000


def check_library(settings: Settings) -> Iterator[Check]:
    """The tracking server, the experiment, its artifacts, and the keys for what is in S3."""
    checks, location = check_tracking(settings.tracking_uri, settings.experiment)
    yield from checks
    yield check_credentials(location, settings.series)
    yield check_artifacts(settings.tracking_uri, location)


# --- artifacts ----------------------------------------------------------------------------------


def check_artifacts(dsn: str, location: str | None) -> Check:
    """Whether a file can be stored where artifacts go, read back and deleted.

    Args:
        dsn: the tracking URI, whose server may store artifacts for its clients.
        location: where artifacts go, a URI; None if that can't be told.
    """
    if location is None:
        return skipped(_ARTIFACTS, "the tracking server does not tell where artifacts go")
    if is_s3(location):
        return _artifacts_in_s3(location)
    if is_local_uri(location):
        return _folder(_ARTIFACTS, Path(local_file_uri_to_path(location)))
    if location.startswith(("mlflow-artifacts:", "http:", "https:")):
        return _artifacts_by_server(dsn, location)
    return skipped(_ARTIFACTS, f"{location} is looked at by the first upload")


def _artifacts_in_s3(location: str) -> Check:
    try:
        with closing(artifact_client()) as client:
            said = probe_bucket(client, location)
    except BrainError as error:
        return failed(_ARTIFACTS, error)
    return ok(_ARTIFACTS, said)


def _artifacts_by_server(dsn: str, location: str) -> Check:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    folder = f".check-{uuid.uuid4().hex}"
    try:
        with library_errors(dsn, "tell the address of artifacts"):
            address = get_artifact_repository(location, tracking_uri=dsn).artifact_uri
        _exchange(address, "PUT", f"{folder}/probe", data=folder)
        try:
            back = _exchange(address, "GET", f"{folder}/probe").text
        finally:
            _exchange(address, "DELETE", folder)
    except BrainError as error:
        return failed(_ARTIFACTS, error)
    if back != folder:
        fault = f"{redact(address)} gave back something else than was stored"
        return failed(_ARTIFACTS, fault, "look for a proxy or cache between here and the server")
    return ok(_ARTIFACTS, f"the tracking server stores, gives and deletes at {location}")


def _exchange(address: str, method: str, path: str, **given: Any) -> requests.Response:
    answer = ask_once(address, f"/{path}", method, **given)
    if answer.status_code >= 300:
        raise ArtifactStoreError(
            f"{redact(address)} answered {answer.status_code} to {method}: "
            f"{' '.join(answer.text.split())[:200]}; look into the tracking server's log, and at "
            "the permissions of the store that it was started with"
        )
    return answer


# --- series -------------------------------------------------------------------------------------


def check_series(root: str) -> Iterator[Check]:
    """Whether series can be stored, and writers can't overwrite each other's commits.

    Args:
        root: a folder or ``s3://bucket/prefix``.
    """
    try:
        if is_s3(root):
            yield _series_in_s3(root)
        else:
            yield _folder(_SERIES, Path(root).expanduser().absolute(), _LEAST_FREE)
    except BrainError as error:
        yield failed(_SERIES, error)


def _series_in_s3(root: str) -> Check:
    from registry.series.store import SeriesStore

    with closing(s3_client()) as client:
        said = probe_bucket(client, root)
    if SeriesStore(root).check().honoured:
        return ok(_SERIES, f"{said}; conditional puts are honoured")
    return failed(
        _SERIES,
        f"{root} ignores conditional puts: of two writers at once, one overwrites the other's "
        "commit in silence",
        "keep series in a store that honours If-None-Match (AWS S3, Swift), or in a folder",
    )


# --- helpers ------------------------------------------------------------------------------------


def _folder(name: str, folder: Path, least_free: int = 0) -> Check:
    if fault := folder_fault(folder):
        return failed(name, fault, "make the folder writable, or name another one")
    free = free_bytes(folder)
    if free < least_free:
        fault = f"only {free / 1e6:.0f} MB are free at {folder}"
        return failed(name, fault, "free some space, or name another folder")
    made = "can be written" if folder.exists() else "can be made"
    return ok(name, f"{folder} {made}; {free / 1e9:.1f} GB are free")
