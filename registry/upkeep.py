"""Before a job: whether its files can be stored, and the end of runs whose process is dead."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENTRY_POINT, MLFLOW_SOURCE_NAME
from mlflow.utils.uri import is_local_uri

from brain.errors import ArtifactStoreError, InputError
from brain.naming import Tag
from brain.processes import ProcessIdentity, is_alive, launcher_is_alive
from brain.scratch import FILE, owned_prefix, remove_orphans
from registry.lease import heartbeat_is_over
from registry.mlflow_errors import library_errors
from registry.paging import experiment_ids
from registry.versions import delete_unregistered

__all__ = ["check_writable", "reap_runs"]

logger = logging.getLogger(__name__)


def reap_runs(client: MlflowClient, after_hours: float) -> list[str]:
    """End the runs whose process is dead, in every experiment.

    See :meth:`registry.library.BrainLibrary.reap`.
    """
    with library_errors(client.tracking_uri, "look for runs of dead processes"):
        running = client.search_runs(
            experiment_ids(client),
            filter_string="attributes.status = 'RUNNING'",
            max_results=5000,
        )
        dead = [run for run in running if _is_dead(run, after_hours)]
        for run in dead:
            # First the models, so that a start that is killed here leaves them to the next one.
            models = delete_unregistered(client, run.info.experiment_id, run.info.run_id)
            if models:
                logger.warning(
                    "deleted the logged models %s of run %s, which were not registered",
                    ", ".join(models), run.info.run_name,
                )  # fmt: skip
            client.set_terminated(run.info.run_id, run.data.tags.get(Tag.COMPLETE, "KILLED"))
            logger.warning("ended run %s, whose process is dead", run.info.run_name)
    return [run.info.run_id for run in dead]


def _is_dead(run: Run, after_hours: float) -> bool:
    """Whether a run with the status RUNNING has no process any more.

    Args:
        run: on the tracking server.
        after_hours: age from which a run counts as dead whose process this host can't see, and
            that has no heartbeat.
    """
    age_hours = (time.time() - run.info.start_time / 1000) / 3600
    tag = run.data.tags.get(Tag.PROCESS)
    if tag is not None:
        try:
            alive = is_alive(ProcessIdentity.parse(tag))
        except InputError:
            return False  # another program's, which uses the tag otherwise
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
        return False  # another program's
    if alive is None:
        over = heartbeat_is_over(run)
        return age_hours > after_hours if over is None else over
    return not alive


def _launched_here(source: str) -> bool:
    """Whether a project's source is this folder, so that its launcher runs on this host."""
    root = Path(__file__).resolve().parents[1]
    return is_local_uri(source) and Path(local_file_uri_to_path(source)).resolve() == root


def check_writable(root: str) -> None:
    """Write and delete a small file below an artifact root, if that is a local folder.

    Raises:
        ArtifactStoreError: it can't be written.
    """
    if not is_local_uri(root):
        return  # stored by the server or by a remote client; the first upload checks it
    folder = Path(local_file_uri_to_path(root))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_orphans(folder)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=owned_prefix(FILE)):
            pass
    except OSError as error:
        raise ArtifactStoreError(
            f"artifacts can't be written to {folder}: {error.strerror}; "
            "make the folder writable or give the experiment another artifact location"
        ) from error
