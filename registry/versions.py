"""Versions in MLflow's registry: registered after their files are stored, checked at download."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS
from mlflow.utils.uri import is_local_uri

from brain.errors import ArtifactStoreError
from brain.manifest import check_files, check_folder, write_manifest
from brain.model_keys import ModelKey
from brain.naming import Family, Tag, logged_model_name
from brain.records import Version
from brain.redact import redact
from brain.registered_versions import version_of
from registry.mlflow_errors import library_errors
from registry.models import ensure_model
from registry.reader import MlflowReader, entry_of
from registry.runs import Run

__all__ = [
    "delete_unregistered",
    "download",
    "input_names",
    "line_versions",
    "newest_version",
    "register",
    "set_refit",
]

_TRACKING_URI = "MLFLOW_TRACKING_URI"
_NEWEST = 100  # versions among which a plain name's newest of a key is looked for
_ONE_AT_A_TIME = threading.Lock()


def register(
    client: MlflowClient,
    run: Run,
    key: ModelKey,
    family: Family,
    folder: Path,
    *,
    tags: Mapping[str, str],
    hyperparameters: Mapping[str, Any],
    note: str,
) -> Version:
    """Store a model folder, then make it a version.

    See :meth:`registry.library.BrainLibrary.add_version`.
    """
    tags = {**tags, **key.tags}
    with library_errors(client.tracking_uri, f"register {family} for {key}"):
        logged = client.create_logged_model(
            run.experiment_id,
            name=logged_model_name(key.name, family),
            source_run_id=run.id,
            tags=tags,
            params={key: str(value) for key, value in hyperparameters.items()},
            model_type=str(family),
        )
        try:
            digest = _stamp(folder, logged.model_id, run.id)
            client.log_model_artifacts(logged.model_id, str(folder))
            client.finalize_logged_model(logged.model_id, "READY")
            client.log_outputs(run.id, [LoggedModelOutput(logged.model_id, 0)])
            name = ensure_model(client, key)
            with _tracking_at(client.tracking_uri):
                entry = client.create_model_version(
                    name,
                    source=f"models:/{logged.model_id}",
                    run_id=run.id,
                    tags={**tags, Tag.DIGEST: digest},
                    description=note,
                    model_id=logged.model_id,
                )
        except BaseException:
            delete_unregistered(client, run.experiment_id, run.id)
            raise
        # The UI's list of models shows a model's versions by this tag.
        client.set_logged_model_tags(
            logged.model_id,
            {MLFLOW_MODEL_VERSIONS: json.dumps([{"name": name, "version": entry.version}])},
        )
        return version_of(MlflowReader(client), entry_of(entry))


def delete_unregistered(client: MlflowClient, experiment_id: str, run_id: str) -> list[str]:
    """Delete the logged models of a run that no version is of; ``mlflow gc`` removes their files.

    Returns:
        Their ids.
    """
    logged = client.search_logged_models(
        [experiment_id], filter_string=f"source_run_id = '{run_id}'"
    )
    if not logged:
        return []
    sources = {entry.source for entry in client.search_model_versions(f"run_id = '{run_id}'")}
    deleted = [m.model_id for m in logged if f"models:/{m.model_id}" not in sources]
    for model_id in deleted:
        client.delete_logged_model(model_id)
    return deleted


def newest_version(
    client: MlflowClient, name: str, key: ModelKey, family: Family
) -> Version | None:
    """The newest version of a family of a registered model; None if it has none.

    Args:
        client: of the registry.
        name: of the registered model.
        key: of the version; a plain name may have had versions of others.
        family: of the version.
    """
    with library_errors(client.tracking_uri, f"look for {family} versions of {name}"):
        entries = client.search_model_versions(
            f"name = '{name}' and tags.{Tag.FAMILY} = '{family}' "
            f"and tags.{Tag.TIMEFRAME} = '{key.timeframe}'",
            max_results=_NEWEST,
            order_by=["version_number DESC"],
        )
        versions = (version_of(MlflowReader(client), entry_of(entry)) for entry in entries)
        return next((version for version in versions if version.key == key), None)


def line_versions(
    client: MlflowClient, name: str, line: str, *, oldest_first: bool = False
) -> Iterator[Version]:
    """The versions of a line of a registered model, read page by page, the newest first.

    Args:
        client: of the registry.
        name: of the registered model.
        line: id of the line.
        oldest_first: whether they come in the order in which they were registered.
    """
    token = None
    while True:
        with library_errors(client.tracking_uri, f"look for versions of {line} of {name}"):
            page = client.search_model_versions(
                f"name = '{name}' and tags.{Tag.LINE} = '{line}'",
                max_results=_NEWEST,
                order_by=[f"version_number {'ASC' if oldest_first else 'DESC'}"],
                page_token=token,
            )
            versions = [version_of(MlflowReader(client), entry_of(entry)) for entry in page]
        yield from versions
        token = page.token
        if not token:
            return


def set_refit(client: MlflowClient, version: Version, outcome: str) -> None:
    """Store the outcome of a version's refit check, see :class:`brain.records.Version`."""
    with library_errors(client.tracking_uri, f"note the refit check of {version.id}"):
        client.set_model_version_tag(version.model, str(version.number), Tag.REFIT, outcome)


def download(client: MlflowClient, version: Version, folder: Path) -> Path:
    """Download a version's files into the folder and check them.

    See :meth:`registry.library.BrainLibrary.fetch`.
    """
    doing = f"fetch {version.id}"
    with library_errors(client.tracking_uri, doing):
        logged = client.get_logged_model(version.logged_model_id)
        if is_local_uri(logged.artifact_location):
            source = Path(local_file_uri_to_path(logged.artifact_location))
            if source.is_dir():
                check_files(source)  # a copy would follow links, and read devices for ever
        try:
            model = mlflow.artifacts.download_artifacts(
                logged.artifact_location,
                dst_path=str(folder / f"{version.model}-{version.number}"),
                tracking_uri=client.tracking_uri,
            )
        except MlflowException as error:
            raise ArtifactStoreError(
                f"could not {doing}: {redact(error.message)}; restore its files or train it anew"
            ) from error
    check_folder(Path(model), version.digest)
    return Path(model)


def input_names(folder: Path) -> tuple[str, ...] | None:
    """The names of a model folder's inputs, in the order of its signature; None without one.

    Args:
        folder: a model folder, as :meth:`registry.library.BrainLibrary.fetch` downloads it.
    """
    schema = Model.load(str(folder)).get_input_schema()
    return None if schema is None else tuple(schema.input_names())


def _stamp(folder: Path, logged_model_id: str, run_id: str) -> str:
    """Write the ids into the MLmodel file and the manifest beside it; return the digest."""
    model = Model.load(str(folder))
    model.model_id = logged_model_id
    model.run_id = run_id
    model.save(str(folder / "MLmodel"))
    return write_manifest(folder)


@contextmanager
def _tracking_at(dsn: str) -> Iterator[None]:
    """MLflow's process-wide tracking URI is this one; afterwards it is what it was before.

    A database registry looks a logged model up there. One thread at a time. Setting the URI changes
    the environment too, which is restored.
    """
    with _ONE_AT_A_TIME:
        before, variable = mlflow.get_tracking_uri(), os.environ.get(_TRACKING_URI)
        mlflow.set_tracking_uri(dsn)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # which unsets it
            if variable is not None:
                os.environ[_TRACKING_URI] = variable
            if mlflow.get_tracking_uri() != before:
                mlflow.set_tracking_uri(before)
