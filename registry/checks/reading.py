"""Reads of artifacts as clients do them, so that a place that only writers reach is told."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import requests
from mlflow.environment_variables import MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD
from mlflow.utils.file_utils import local_file_uri_to_path

from brain.errors import ArtifactStoreError, LibraryError
from brain.redact import redact
from registry.checks.tracking import request_once

__all__ = ["fetch_presigned", "hands_out_addresses", "local_fault"]

_SECONDS = 8
_INFO = "/api/3.0/mlflow/server-info"


def hands_out_addresses(dsn: str) -> bool:
    """Whether clients fetch from the server's store by presigned addresses, as MLflow decides it.

    Args:
        dsn: of the tracking server.
    """
    if MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD.is_set():
        return bool(MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD.get())
    answer = request_once(dsn, _INFO)
    if answer.status_code != 200:
        return False  # of an older MLflow
    return bool(answer.json().get("multipart_downloads_enabled", False))


def fetch_presigned(address: str, path: str) -> str:
    """An artifact's text by the presigned address that the server hands out for it.

    Args:
        address: of the artifacts at the tracking server.
        path: of the artifact.

    Raises:
        ArtifactStoreError: the address leads to where nothing answers from here.
        LibraryError: the server hands out none.
    """
    root = address.replace("/mlflow-artifacts/artifacts", "/mlflow-artifacts/presigned", 1)
    answer = request_once(root, f"/{path}")
    if answer.status_code != 200:
        raise LibraryError(
            f"{redact(root)} answered {answer.status_code} when asked for a presigned address; "
            "look into the tracking server's log"
        )
    content = answer.json()
    url = str(content["url"])
    try:
        fetched = requests.get(url, headers=content.get("headers") or {}, timeout=_SECONDS)
        fetched.raise_for_status()
    except requests.RequestException as error:
        status = getattr(error.response, "status_code", None)
        fault = f"it answers {status}" if status else f"no answer ({type(error).__name__})"
        parts = urlsplit(url)
        raise ArtifactStoreError(
            f"clients fetch artifacts by presigned addresses at {parts.scheme}://{parts.hostname}:"
            f"{parts.port or 443}, where from here {fault}; start the server with an "
            "MLFLOW_S3_ENDPOINT_URL that its clients reach too, or set "
            "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD=false here and for every client"
        ) from None
    return fetched.text


def local_fault(location: str, model: str | None) -> str | None:
    """Why the files of an experiment can't be read on this machine; None if they can be.

    Args:
        location: of the experiment's artifacts, a local URI.
        model: of the newest model's files; None if there is no model yet.
    """
    if model is None:
        return None
    file = Path(local_file_uri_to_path(model)) / "MLmodel"
    try:
        with file.open("rb") as opened:
            opened.read(1)
    except OSError as error:
        return (
            f"the experiment's artifacts are at {redact(location)}, and the newest model's files "
            f"can't be read there from this machine ({file}: {error.strerror})"
        )
    return None
