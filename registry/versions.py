"""Versions in MLflow's registry: registered when their files are stored, checked when fetched."""

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
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from brain.errors import ArtifactStoreError, LibraryError
from brain.manifest import check_folder, write_manifest
from brain.naming import Family, Tag, model_name
from brain.records import Version
from registry.descriptions import describe_model
from registry.mlflow_errors import library_errors, redact
from registry.runs import Run

__all__ = [
    "download",
    "ensure_model",
    "find_model",
    "input_names",
    "newest_version",
    "read_version",
    "register",
    "version_of",
]

_TRACKING_URI = "MLFLOW_TRACKING_URI"
_ONE_AT_A_TIME = threading.Lock()


def find_model(client: MlflowClient, symbol: str) -> RegisteredModel | None:
    """The symbol's registered model; None if there is none."""
    with library_errors(client.tracking_uri, f"look up the model of {symbol}"):
        found = client.search_registered_models(f"name = '{model_name(symbol)}'")
    return found[0] if found else None


def ensure_model(client: MlflowClient, symbol: str) -> None:
    """Make the symbol's registered model if there is none."""
    if find_model(client, symbol) is not None:
        return
    with library_errors(client.tracking_uri, f"make the model of {symbol}"):
        try:
            client.create_registered_model(
                model_name(symbol),
                tags={Tag.SYMBOL: symbol},
                description=describe_model(None, symbol, [], {}),
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another writer was first
                raise


def register(
    client: MlflowClient,
    run: Run,
    symbol: str,
    family: Family,
    folder: Path,
    *,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    note: str,
) -> Version:
    """Store a model folder, then make it a version; see ``BrainLibrary.add_version``."""
    name = model_name(symbol)
    with library_errors(client.tracking_uri, f"register {family} for {symbol}"):
        logged = client.create_logged_model(
            run.experiment_id,
            name=f"{name}-{family}",
            source_run_id=run.id,
            tags=dict(tags),
            params={k: str(v) for k, v in params.items()},
            model_type=str(family),
        )
        try:
            digest = _stamp(folder, logged.model_id, run.id)
            client.log_model_artifacts(logged.model_id, str(folder))
        except BaseException:
            client.finalize_logged_model(logged.model_id, "FAILED")
            raise
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run.id, [LoggedModelOutput(logged.model_id, 0)])
        ensure_model(client, symbol)
        with _tracking_at(client.tracking_uri):
            made = client.create_model_version(
                name,
                source=f"models:/{logged.model_id}",
                run_id=run.id,
                tags={**tags, Tag.DIGEST: digest},
                description=note,
                model_id=logged.model_id,
            )
        # What the UI's list of models shows a model's versions by.
        client.set_logged_model_tags(
            logged.model_id,
            {MLFLOW_MODEL_VERSIONS: json.dumps([{"name": name, "version": made.version}])},
        )
    return version_of(symbol, made)


def version_of(symbol: str, entry: ModelVersion) -> Version:
    """The version of an entry in MLflow's registry.

    Raises:
        LibraryError: the Brain Library has not registered it, so its tags don't tell.
    """
    tags = entry.tags
    try:
        return Version(
            symbol=symbol,
            number=int(entry.version),
            family=Family(tags[Tag.FAMILY]),
            recipe=tags[Tag.RECIPE],
            digest=tags[Tag.DIGEST],
            trained_until=tags[Tag.TRAINED_UNTIL],
            run_id=entry.run_id or "",
            # Its own field for this stays empty.
            logged_model_id=(entry.source or "").removeprefix("models:/"),
        )
    except (KeyError, ValueError) as error:
        raise LibraryError(
            f"version {entry.version} of {entry.name} was not registered by the Brain Library (tag "
            f"{error.args[0]}); use another one, and move aliases such as champion-high off it"
        ) from error


def read_version(client: MlflowClient, symbol: str, number: int) -> Version:
    """A version of the symbol's model.

    Raises:
        LibraryError: there is none, or the Brain Library has not registered it.
    """
    with library_errors(client.tracking_uri, f"read version {number} of {symbol}"):
        return version_of(symbol, client.get_model_version(model_name(symbol), str(number)))


def newest_version(client: MlflowClient, symbol: str, family: Family) -> Version | None:
    """The newest version of a family of the symbol's model; None if it has none."""
    with library_errors(client.tracking_uri, f"look for {family} versions of {symbol}"):
        entries = client.search_model_versions(
            f"name = '{model_name(symbol)}' and tags.{Tag.FAMILY} = '{family}'",
            max_results=1,
            order_by=["version_number DESC"],
        )
    return version_of(symbol, entries[0]) if entries else None


def download(client: MlflowClient, version: Version, folder: Path) -> Path:
    """Fetch a version's files into the folder and check them; see ``BrainLibrary.fetch``."""
    doing = f"fetch {version.id}"
    with library_errors(client.tracking_uri, doing):
        logged = client.get_logged_model(version.logged_model_id)
        try:
            fetched = mlflow.artifacts.download_artifacts(
                logged.artifact_location,
                dst_path=str(folder / f"{model_name(version.symbol)}-{version.number}"),
                tracking_uri=client.tracking_uri,
            )
        except MlflowException as error:
            raise ArtifactStoreError(
                f"could not {doing}: {redact(error.message)}; restore its files or train it anew"
            ) from error
    check_folder(Path(fetched), version.digest)
    return Path(fetched)


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
    """A database registry looks a logged model up at MLflow's process-wide tracking URI.

    One thread at a time; afterwards MLflow and the environment, which it writes to, are as before.
    """
    with _ONE_AT_A_TIME:
        before, told = mlflow.get_tracking_uri(), os.environ.get(_TRACKING_URI)
        mlflow.set_tracking_uri(dsn)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # which unsets it
            if told is not None:
                os.environ[_TRACKING_URI] = told
            if mlflow.get_tracking_uri() != before:
                mlflow.set_tracking_uri(before)
