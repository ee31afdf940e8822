"""Entries of MLflow's registry by its own client."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from brain.registry_entries import RunEntry, VersionEntry, name_filter
from registry.mlflow_errors import library_errors

__all__ = ["MlflowReader", "entry_of"]


class MlflowReader:
    """A :class:`brain.registry_entries.RegistryReader` by MLflow's client.

    Args:
        client: of the tracking store.
    """

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def version(self, model: str, number: int) -> VersionEntry:
        with library_errors(self._client.tracking_uri, f"read version {number} of {model}"):
            return entry_of(self._client.get_model_version(model, str(number)))

    def newest(self, model: str) -> VersionEntry | None:
        with library_errors(self._client.tracking_uri, f"look for versions of {model}"):
            entries = self._client.search_model_versions(
                name_filter(model), max_results=1, order_by=["version_number DESC"]
            )
        return entry_of(entries[0]) if entries else None

    def run(self, run_id: str) -> RunEntry | None:
        with library_errors(self._client.tracking_uri, f"read run {run_id}"):
            try:
                run = self._client.get_run(run_id)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return None
        return RunEntry(run.data.params, run.data.metrics, run.info.start_time)


def entry_of(version: ModelVersion) -> VersionEntry:
    """The entry of a version that MLflow's client has read."""
    return VersionEntry(
        version.name,
        int(version.version),
        dict(version.tags),
        version.run_id or "",
        version.source or "",
        version.creation_timestamp,
    )
