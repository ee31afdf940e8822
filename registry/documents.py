"""JSON documents among the runs' artifacts, read several at once."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from brain.errors import ArtifactStoreError
from registry.mlflow_errors import library_errors

__all__ = ["read_documents"]

_DOWNLOADS = 8


def read_documents(
    client: MlflowClient, runs: Mapping[str, str], file: str
) -> list[dict[str, Any]]:
    """The document of that name of each run, in the runs' order.

    Args:
        client: of the tracking server.
        runs: by their ids what the documents are, for messages: ``the rankings of 2026-11-01``.
        file: name of the documents.

    Raises:
        ArtifactStoreError: a document is missing or can't be read.
    """
    with (
        tempfile.TemporaryDirectory(prefix="brain-") as scratch,
        ThreadPoolExecutor(_DOWNLOADS) as pool,
    ):
        reader = partial(_document, client, file, Path(scratch))
        return list(pool.map(reader, runs, runs.values()))


def _document(
    client: MlflowClient, file: str, scratch: Path, run_id: str, what: str
) -> dict[str, Any]:
    folder = scratch / run_id
    folder.mkdir()
    doing = f"read {what} from run {run_id}"
    with library_errors(client.tracking_uri, doing):
        try:
            path = client.download_artifacts(run_id, file, str(folder))
            return dict(json.loads(Path(path).read_text()))
        except (MlflowException, OSError, ValueError) as error:
            raise ArtifactStoreError(
                f"could not {doing}: {error}; restore the file or delete the run"
            ) from error
