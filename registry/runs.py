"""A run of the tracking server, written by a job.

Only explicit ids are used, never MLflow's process-wide active run, so that several runs can be
written side by side and none depends on one that was started before.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    Metric as LoggedMetric,
    Param,
    RunTag,
)
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
)

from brain.brief import Brief
from brain.disk import release
from brain.errors import StorageFullError
from brain.naming import Tag
from brain.processes import ProcessIdentity
from brain.redact import redact, redact_document
from registry.mlflow_errors import library_errors

__all__ = ["EvaluationDataset", "Metric", "Run"]


@dataclass(frozen=True)
class EvaluationDataset:
    """What a model was evaluated on, as the UI lists it.

    Attributes:
        name: the UI's name of the dataset.
        digest: the UI's identity of the dataset: metrics of one digest share their columns.
        source: JSON that says where the rows are from.
        profile: JSON that describes the rows.
    """

    name: str
    digest: str
    source: str
    profile: str


@dataclass(frozen=True, repr=False)
class Metric(Brief):
    """A metric of a run.

    Attributes:
        key: of the metric.
        value: of the metric.
        model_id: of the logged model that it belongs to, if any; the UI groups metrics by it.
        dataset: of the evaluation, if any; the UI groups metrics by it.
    """

    key: str
    value: float
    model_id: str | None = None
    dataset: EvaluationDataset | None = None


class Run:
    """A run of this job; a context manager that ends it.

    Leaving the block ends the run as FINISHED, or as FAILED if :meth:`registry.runs.Run.fail` was
    called or an exception passed, or as KILLED if that was an interrupt.

    Every method raises :class:`brain.errors.TrackingUnreachableError`,
    :class:`brain.errors.ArtifactStoreError` or :class:`brain.errors.LibraryError` if the tracking
    server fails.

    Attributes:
        number: of the job in its experiment, from 1; 0 if it has none. It is the step of every
            metric, so that grouping runs by a tag draws a line over the nights.
        day: UTC date on which the job, or the night that it continues, started, ``2026-11-23``.
    """

    number: int
    day: str

    def __init__(
        self,
        client: MlflowClient,
        run_id: str,
        experiment_id: str,
        name: str,
        *,
        number: int = 0,
        day: str = "",
    ) -> None:
        self.client = client
        self.id = run_id
        self.experiment_id = experiment_id
        self.name = name
        self.number = number
        self.day = day or f"{datetime.now(UTC):%Y-%m-%d}"
        self._failed = False

    @classmethod
    def create(
        cls,
        client: MlflowClient,
        experiment_id: str,
        name: str,
        *,
        tags: Mapping[str, str],
        note: str,
        parent: Run | None = None,
        number: int = 0,
        seconds: float = 0.0,
    ) -> Run:
        """Create a run on the server, tagged with this process.

        Args:
            client: of the tracking server.
            experiment_id: of the run.
            name: of the run.
            tags: of the run, beside those of the process and the job.
            note: description, in Markdown.
            parent: the run in which it is nested; it shares that run's number and day.
            number: of the job, see :attr:`registry.runs.Run.number`.
            seconds: since the start of the run's work.
        """
        number = parent.number if parent else number
        run_tags = {
            MLFLOW_RUN_NAME: name,
            MLFLOW_RUN_NOTE: redact(note),
            Tag.PROCESS: str(ProcessIdentity.current()),
            Tag.NIGHT: str(number),
            **({MLFLOW_PARENT_RUN_ID: parent.id} if parent else {}),
            **tags,
        }
        started = int((time.time() - seconds) * 1000)
        with library_errors(client.tracking_uri, f"create run {name}"):
            run = client.create_run(
                experiment_id, start_time=started, tags=resolve_tags(run_tags), run_name=name
            )
        day = parent.day if parent else ""
        return cls(client, run.info.run_id, experiment_id, name, number=number, day=day)

    def child(self, name: str, *, tags: Mapping[str, str], note: str, seconds: float = 0.0) -> Run:
        """A nested run, whose work began ``seconds`` ago."""
        return Run.create(
            self.client,
            self.experiment_id,
            name,
            tags=tags,
            note=note,
            parent=self,
            seconds=seconds,
        )

    def adopt(self, *, tags: Mapping[str, str], note: str) -> None:
        """Take over a run that another program created: name it and tag it with this process.

        Its status becomes RUNNING: another host may have ended it as dead before it was tagged.
        """
        with self._errors("take over"):
            self.client.update_run(self.id, status="RUNNING")
        self.tag(
            {
                Tag.PROCESS: str(ProcessIdentity.current()),
                Tag.NIGHT: str(self.number),
                MLFLOW_RUN_NAME: self.name,
                MLFLOW_RUN_NOTE: redact(note),
                **tags,
            }
        )

    def describe(self, note: str) -> None:
        """Replace the description, in Markdown."""
        self.tag({MLFLOW_RUN_NOTE: redact(note)})

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        with self._errors("tag"):
            self.client.log_batch(self.id, tags=[RunTag(k, v) for k, v in tags.items()])

    def params(self, params: Mapping[str, Any]) -> None:
        """Log parameters, which can't be changed later."""
        with self._errors("log parameters of"):
            self.client.log_batch(
                self.id, params=[Param(k, redact(str(v))) for k, v in params.items()]
            )

    def datasets(self, datasets: Iterable[EvaluationDataset], context: str) -> None:
        """Log datasets as inputs; needed before metrics refer to them."""
        tags = [InputTag(MLFLOW_DATASET_CONTEXT, context)]
        inputs = [DatasetInput(_entity(dataset), tags) for dataset in datasets]
        with self._errors("log datasets of"):
            self.client.log_inputs(self.id, inputs)

    def metrics(self, metrics: Iterable[Metric]) -> None:
        """Log metrics in one batch; of equal keys the run shows the last."""
        # A model's metrics are told apart by their time, not by their dataset: one tick each.
        now = int(time.time() * 1000)
        entries = [
            LoggedMetric(
                key=metric.key,
                value=metric.value,
                timestamp=now + tick,
                step=self.number,
                model_id=metric.model_id,
                dataset_name=metric.dataset.name if metric.dataset else None,
                dataset_digest=metric.dataset.digest if metric.dataset else None,
                run_id=self.id,
            )
            for tick, metric in enumerate(metrics)
        ]
        with self._errors("log metrics of"):
            self.client.log_batch(self.id, metrics=entries)

    def artifacts(self, folder: Path, path: str | None = None) -> None:
        """Attach the files of a folder."""
        with self._errors("attach files to"):
            self.client.log_artifacts(self.id, str(folder), path)

    def document(self, content: Mapping[str, Any], file: str) -> None:
        """Attach a JSON document."""
        with self._errors("attach a document to"):
            self.client.log_dict(self.id, redact_document(content), file)

    def text(self, content: str, file: str) -> None:
        """Attach a text."""
        with self._errors("attach a text to"):
            self.client.log_text(self.id, redact(content), file)

    def fail(self) -> None:
        """End the run as FAILED, also if no exception passes."""
        self._failed = True

    def complete(self) -> None:
        """Note that all work of this run is done and stored, so that only its end is missing."""
        self.tag({Tag.COMPLETE: self._status})

    @property
    def _status(self) -> str:
        return "FAILED" if self._failed else "FINISHED"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and not isinstance(error, Exception):
            status = "KILLED"
        else:
            status = "FAILED" if error else self._status
        try:
            self._end(status)
        except StorageFullError:
            if not release():
                raise
            self._end(status)

    def _end(self, status: str) -> None:
        with self._errors("end"):
            self.client.set_terminated(self.id, status)

    def _errors(self, doing: str) -> Any:
        return library_errors(self.client.tracking_uri, f"{doing} run {self.name}")


def _entity(dataset: EvaluationDataset) -> Dataset:
    """MLflow's entity of a dataset."""
    return Dataset(
        name=dataset.name,
        digest=dataset.digest,
        source_type="local",
        source=dataset.source,
        profile=dataset.profile,
    )
