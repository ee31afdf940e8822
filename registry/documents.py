"""JSON documents among the runs' artifacts, read several at once."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from brain.errors import ArtifactStoreError
from registry.mlflow_errors import library_errors

__all__ = ["read_documents"]

_DOWNLOADS = 8


def read_documents(client: MlflowClient, run_ids: Sequence[str], file: str) -> list[dict[str, Any]]:
    """The document of that name of each run, in the runs' order.

    Raises:
        ArtifactStoreError: a document is missing or can't be read.
    """
    with (
        tempfile.TemporaryDirectory(prefix="brain-") as scratch,
        ThreadPoolExecutor(_DOWNLOADS) as pool,
    ):
        return list(pool.map(lambda run: _document(client, run, file, Path(scratch)), run_ids))


def _document(client: MlflowClient, run_id: str, file: str, scratch: Path) -> dict[str, Any]:
    folder = scratch / run_id
    folder.mkdir()
    doing = f"read {file} of run {run_id}"
    with library_errors(client.tracking_uri, doing):
        try:
            path = client.download_artifacts(run_id, file, str(folder))
            return dict(json.loads(Path(path).read_text()))
        except (MlflowException, OSError, ValueError) as error:
            raise ArtifactStoreError(
                f"could not {doing}: {error}; restore the file or delete the run"
            ) from error
