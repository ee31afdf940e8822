"""Checks of the Brain Library: tracking server, experiment, credentials and artifact store."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import requests
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from brain.checks import Check, failed, folder_check, ok, skipped
from brain.disk import check_space, free_bytes
from brain.errors import ArtifactStoreError, BrainError, LibraryError
from brain.redact import redact
from brain.series.store.object_store import aws_session, is_s3
from brain.series.store.s3_checks import check_credentials, probe_bucket
from brain.settings import Settings
from registry.checks.access import check_access
from registry.checks.reading import fetch_presigned, hands_out_addresses, local_fault
from registry.checks.tracking import Experiment, check_tracking, request_once
from registry.mlflow_errors import library_errors
from registry.places import local_folders

__all__ = ["check_artifacts", "check_library"]

_ARTIFACTS, _DISKS = "artifact store", "disk space"
_SECONDS = 8
_ELSEWHERE = (
    "mount that folder here, or set artifact_root to a place that every machine reaches and name "
    "a new experiment"
)


def check_library(settings: Settings) -> Iterator[Check]:
    """Check the tracking server, the experiment, the credentials for S3 and the artifact store."""
    dsn = settings.tracking_uri
    checks, experiment = check_tracking(dsn, settings.experiment)
    yield from checks
    if experiment is not None:
        yield check_access(dsn, experiment.id or None)
    location = _location(settings, experiment)
    yield check_credentials(location, settings.series)
    yield _check_root(settings, experiment) or check_artifacts(
        dsn, location, experiment.model if experiment else None
    )
    yield _check_disks(settings)


def _location(settings: Settings, experiment: Experiment | None) -> str | None:
    """Where artifacts go, a URI; None if it is unknown."""
    if experiment is None:
        return None
    new = not experiment.id and settings.artifact_root
    return settings.artifact_root if new else experiment.location


def _check_root(settings: Settings, experiment: Experiment | None) -> Check | None:
    """The fault of an experiment that was made before its artifact root was set; None without."""
    root = settings.artifact_root
    if root is None or experiment is None or not experiment.id:
        return None
    location = experiment.location
    location = Path(location).as_uri() if location.startswith("/") else location
    if location.startswith(f"{root}/"):
        return None
    return failed(
        _ARTIFACTS,
        f"experiment {settings.experiment!r} keeps its artifacts at {redact(location)}, and not "
        f"below artifact_root {redact(root)}",
        "name another experiment, which is then made there, or set the artifact_root it has",
    )


def _check_disks(settings: Settings) -> Check:
    try:
        folders = local_folders(settings)
        check_space(folders, settings.free_mb)
    except BrainError as error:
        return failed(_DISKS, error)
    free = ", ".join(f"{free_bytes(folder) / 1e9:.1f} GB at {folder}" for folder in folders)
    return ok(_DISKS, f"free: {free}")


def check_artifacts(dsn: str, location: str | None, model: str | None = None) -> Check:
    """Check that an artifact can be stored, read as clients do, and deleted.

    Args:
        dsn: the tracking URI; its server may store artifacts for its clients.
        location: the experiment's artifact location, a URI; None if it is unknown.
        model: location of its newest model's files; None if there is none.
    """
    if location is None:
        return skipped(_ARTIFACTS, "the tracking server does not tell where artifacts go")
    if is_s3(location):
        return _artifacts_in_s3(location)
    if is_local_uri(location):
        if fault := local_fault(location, model):
            return failed(_ARTIFACTS, fault, _ELSEWHERE)
        return folder_check(_ARTIFACTS, Path(local_file_uri_to_path(location)))
    if location.startswith(("mlflow-artifacts:", "http:", "https:")):
        return _artifacts_by_server(dsn, location)
    return skipped(_ARTIFACTS, f"{location} is looked at by the first upload")


def _artifacts_in_s3(location: str) -> Check:
    try:
        with closing(_artifact_client()) as client:
            return ok(_ARTIFACTS, probe_bucket(client, location))
    except BrainError as error:
        return failed(_ARTIFACTS, error)


def _artifacts_by_server(dsn: str, location: str) -> Check:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    content = f".check-{uuid.uuid4().hex}"
    path = f"{content}/probe"
    try:
        with library_errors(dsn, "tell the address of artifacts"):
            address = get_artifact_repository(location, tracking_uri=dsn).artifact_uri
        _request(address, "PUT", path, data=content)
        try:
            presigned = hands_out_addresses(dsn)
            if presigned:
                answer = fetch_presigned(address, path)
            else:
                answer = _request(address, "GET", path).text
        finally:
            _request(address, "DELETE", content)
    except BrainError as error:
        return failed(_ARTIFACTS, error)
    if answer != content:
        fault = f"{redact(address)} gave back something else than was stored"
        return failed(_ARTIFACTS, fault, "look for a proxy or cache between here and the server")
    gives = "its store gives by presigned addresses" if presigned else "gives"
    return ok(_ARTIFACTS, f"the tracking server stores, {gives} and deletes at {location}")


def _request(address: str, method: str, path: str, **options: Any) -> requests.Response:
    answer = request_once(address, f"/{path}", method, **options)
    if answer.status_code >= 300:
        raise ArtifactStoreError(
            f"{redact(address)} answered {answer.status_code} to {method}: "
            f"{redact(' '.join(answer.text.split()))[:200]}; look into the tracking server's log, "
            "and at the permissions of the store that it was started with"
        )
    return answer


def _artifact_client() -> Any:
    """A client of botocore of MLflow's S3 store, with shorter time limits; close it after use.

    Raises:
        LibraryError: the configuration of boto3 can't be used.
    """
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError
    from mlflow.environment_variables import MLFLOW_S3_ENDPOINT_URL, MLFLOW_S3_IGNORE_TLS

    limits = Config(
        connect_timeout=_SECONDS / 2, read_timeout=_SECONDS, retries={"total_max_attempts": 1}
    )
    try:
        return aws_session().create_client(
            "s3",
            endpoint_url=MLFLOW_S3_ENDPOINT_URL.get() or None,
            verify=False if MLFLOW_S3_IGNORE_TLS.get() else None,
            config=limits,
        )
    except (BotoCoreError, ValueError) as error:
        raise LibraryError(
            f"no client for S3 can be made ({error}); correct the AWS_ variables and the profile"
        ) from error
