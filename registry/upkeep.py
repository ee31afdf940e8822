"""Before and after a job: can its files be stored, and whose runs are left over."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from pathlib import Path

from mlflow.entities import Run
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENTRY_POINT, MLFLOW_SOURCE_NAME
from mlflow.utils.uri import is_local_uri

from brain.errors import ArtifactStoreError, InputError
from brain.naming import Tag
from brain.processes import ProcessIdentity, is_alive, launcher_is_alive

__all__ = ["check_writable", "is_dead"]


def is_dead(run: Run, after_hours: float) -> bool:
    """Whether a run that says RUNNING has no process any more.

    Args:
        run: as the tracking server has it.
        after_hours: age from which a run counts as dead whose process can't be seen from here.
    """
    age_hours = (time.time() - run.info.start_time / 1000) / 3600
    tag = run.data.tags.get(Tag.PROCESS)
    if tag is not None:
        try:
            alive = is_alive(ProcessIdentity.parse(tag))
        except InputError:
            return False  # somebody else's, who has another use for the tag
    elif MLFLOW_PROJECT_ENTRY_POINT in run.data.tags:
        # Created by `mlflow run`, whose job has not tagged it yet, or never will.
        if run.info.run_id == os.environ.get("MLFLOW_RUN_ID"):
            return False
        alive = (
            launcher_is_alive(run.info.start_time / 1000, run.info.run_id)
            if _launched_here(run.data.tags.get(MLFLOW_SOURCE_NAME, ""))
            else None
        )
    else:
        return False  # somebody else's
    return age_hours > after_hours if alive is None else not alive


def _launched_here(source: str) -> bool:
    """Whether a project's source is this folder, so that its launcher would be seen here."""
    root = Path(__file__).resolve().parents[1]
    return is_local_uri(source) and Path(local_file_uri_to_path(source)).resolve() == root


def check_writable(root: str) -> None:
    """Write and delete a small file below an artifact root, if that is a local folder.

    Raises:
        ArtifactStoreError: it can't be written.
    """
    if not is_local_uri(root):
        return  # stored by the server or by a remote client, and checked by the first upload
    folder = Path(local_file_uri_to_path(root))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".check-{uuid.uuid4().hex}"):
            pass
    except OSError as error:
        raise ArtifactStoreError(
            f"artifacts can't be written to {folder}: {error.strerror}; "
            "make the folder writable or give the experiment another artifact location"
        ) from error
