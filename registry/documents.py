"""Files among the runs' artifacts; JSON documents of several at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from brain.errors import ArtifactStoreError
from brain.scratch import scratch_folder
from registry.mlflow_errors import library_errors

__all__ = ["fetch_file", "read_documents"]

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
        scratch_folder() as scratch,
        ThreadPoolExecutor(_DOWNLOADS) as pool,
    ):
        reader = partial(_document, client, file, scratch)
        return list(pool.map(reader, runs, runs.values()))


def fetch_file(client: MlflowClient, run_id: str, file: str, folder: Path, what: str) -> Path:
    """Download a file of a run to a folder, which is made if it is missing.

    Args:
        client: of the tracking server.
        run_id: of the run.
        file: its name.
        folder: where it goes.
        what: the file is, for messages.

    Raises:
        ArtifactStoreError: the file is missing or can't be read.
    """
    with _readable(client, what, run_id):
        folder.mkdir(parents=True, exist_ok=True)
        return Path(client.download_artifacts(run_id, file, str(folder)))


def _document(
    client: MlflowClient, file: str, scratch: Path, run_id: str, what: str
) -> dict[str, Any]:
    with _readable(client, what, run_id):
        document = json.loads(fetch_file(client, run_id, file, scratch / run_id, what).read_text())
        if not isinstance(document, dict):
            raise ValueError(f"it is a JSON {type(document).__name__} and no object")
        return document


@contextmanager
def _readable(client: MlflowClient, what: str, run_id: str) -> Iterator[None]:
    doing = f"read {what} from run {run_id}"
    with library_errors(client.tracking_uri, doing):
        try:
            yield
        except (MlflowException, OSError, ValueError, RecursionError) as error:
            raise ArtifactStoreError(
                f"could not {doing}: {error}; restore the file or delete the run"
            ) from error
