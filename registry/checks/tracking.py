"""Checks of the tracking server or database, and of the experiment.

They change nothing: MLflow's own clients would make tables, experiments and folders.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
import sqlalchemy

from brain.checks import Check, State, failed, ok, skipped
from brain.errors import BrainError, LibraryError
from brain.redact import redact
from registry.mlflow_errors import library_errors
from registry.reach import check_address, check_reachable, database_file

__all__ = ["Experiment", "check_tracking", "request_once"]

_TRACKING, _EXPERIMENT = "tracking server", "experiment"
_SECONDS = 8
_PREPARE = "run `python -m mlproject prepare`, which makes it"
_DENIED = (401, 403)


@dataclass(frozen=True)
class Experiment:
    """An experiment.

    Attributes:
        id: at the tracking server.
        location: of its artifacts, a URI.
        active: rather than deleted.
        model: location of its newest model's files; None if it has none, or it is unknown.
    """

    id: str
    location: str
    active: bool
    model: str | None = None


def check_tracking(dsn: str, experiment: str) -> tuple[list[Check], Experiment | None]:
    """Check that the tracking server answers and fits MLflow here, and the experiment is active.

    Args:
        dsn: the tracking URI.
        experiment: name of the experiment.

    Returns:
        The checks, and the experiment, or the one beside which it would be made, without an id;
        None if it is unknown or deleted.
    """
    try:
        if dsn.startswith(("http://", "https://")):
            return _server(dsn, experiment)
        return _database(dsn, experiment)
    except BrainError as error:
        return [failed(_TRACKING, error)], None


def _check_experiment(name: str, experiment: Experiment | None) -> Check:
    if experiment is None:
        return ok(_EXPERIMENT, f"there is no {name!r} yet; the first job makes it")
    if experiment.active:
        return ok(_EXPERIMENT, f"{name!r} keeps its artifacts at {redact(experiment.location)}")
    return failed(_EXPERIMENT, f"{name!r} was deleted", "restore it, or name another one")


# --- a server -----------------------------------------------------------------------------------


def _server(dsn: str, name: str) -> tuple[list[Check], Experiment | None]:
    check_reachable(dsn)
    remote, local = _server_version(dsn), version("mlflow")
    if remote.split(".")[0] != local.split(".")[0]:
        fault = f"{redact(dsn)} runs MLflow {remote}, which does not fit MLflow {local} here"
        cure = f"run the server with MLflow {local.split('.')[0]}"
        return [failed(_TRACKING, fault, cure)], None
    detail = f"{redact(dsn)} runs MLflow {remote}"
    tracking = ok(_TRACKING, detail if remote == local else f"{detail}; {local} here")
    experiment = _server_experiment(dsn, name)
    # A new experiment would get its artifact location beside the default one's.
    source = experiment or _server_experiment(dsn, "Default")
    if source is not None:
        source = replace(source, id=source.id if experiment else "")
    usable = source if source and source.active else None
    return [tracking, _check_experiment(name, experiment)], usable


def request_once(dsn: str, path: str, method: str = "GET", **options: Any) -> requests.Response:
    """One request with MLflow's credentials and without its retries; any answer but a denial.

    Args:
        dsn: the server's address, which may hold a path.
        path: below the address.
        method: of HTTP.
        options: arguments of ``requests``, as ``params`` or ``data``.

    Raises:
        TrackingUnreachableError: the server does not answer.
        LibraryError: the server denies access with these credentials.
    """
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    with library_errors(dsn, "ask the tracking server"):
        answer: requests.Response = http_request(
            get_default_host_creds(dsn),
            path,
            method,
            max_retries=0,
            retry_codes=(),  # an error of the server's is an answer
            timeout=_SECONDS,
            raise_on_status=False,
            **options,
        )
    if answer.status_code in _DENIED:
        raise LibraryError(
            f"the tracking server {redact(dsn)} answered {answer.status_code} to {path}; set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    return answer


def _server_version(dsn: str) -> str:
    answer = request_once(dsn, "/version")
    text = answer.text.strip()
    if answer.status_code != 200 or not text[:1].isdigit() or len(text) > 40:
        raise LibraryError(
            f"something answers at {redact(dsn)}, yet not as an MLflow server "
            f"({answer.status_code} to /version); correct MLFLOW_TRACKING_URI"
        )
    return text


def _server_experiment(dsn: str, name: str) -> Experiment | None:
    path = "/api/2.0/mlflow/experiments/get-by-name"
    answer = request_once(dsn, path, params={"experiment_name": name})
    if answer.status_code == 404:
        return None
    if answer.status_code != 200:
        raise LibraryError(
            f"the tracking server {redact(dsn)} answered {answer.status_code} when asked for "
            f"experiment {name!r}; look into its log"
        )
    fields = answer.json()["experiment"]
    identifier = fields["experiment_id"]
    query = {
        "experiment_ids": [identifier],
        "max_results": 20,  # of which the newest may be half stored
        "order_by": [{"field_name": "creation_timestamp_ms", "ascending": False}],
    }
    models = request_once(dsn, "/api/2.0/mlflow/logged-models/search", "POST", json=query)
    listed = models.json().get("models", []) if models.status_code == 200 else []
    return Experiment(
        identifier,
        fields["artifact_location"],
        fields["lifecycle_stage"] == "active",
        next((uri for info in listed if (uri := _stored_at(info["info"]))), None),
    )


def _stored_at(model: dict[str, Any]) -> str | None:
    """Where the files of a logged model are; None if they are not stored whole."""
    return str(model["artifact_uri"]) if model.get("status") == "LOGGED_MODEL_READY" else None


# --- a database ---------------------------------------------------------------------------------


def _database(dsn: str, name: str) -> tuple[list[Check], Experiment | None]:
    # MLflow's location with a database
    default = Experiment("", Path("mlruns").absolute().as_uri(), active=True)
    check_address(dsn)
    file = database_file(dsn)
    if file is not None and not file.exists():  # a connection would make it
        return [skipped(_TRACKING, f"there is no {file} yet", _PREPARE)], default
    check_reachable(dsn)
    with library_errors(dsn, "read the database"):
        engine = sqlalchemy.create_engine(dsn)
        try:
            tracking = _check_schema(engine, redact(dsn))
            if tracking.state != State.OK:
                return [tracking], default if tracking.state == State.SKIPPED else None
            experiment = _database_experiment(engine, name)
        finally:
            engine.dispose()
    checks = [tracking, _check_experiment(name, experiment)]
    if experiment is None:
        return checks, default
    return checks, experiment if experiment.active else None


def _check_schema(engine: sqlalchemy.Engine, where: str) -> Check:
    from mlflow.store.db.utils import _get_latest_schema_revision, _get_schema_version

    latest, revision = _get_latest_schema_revision(), _get_schema_version(engine)
    if revision == latest:
        return ok(_TRACKING, f"{where} has the schema of MLflow {version('mlflow')}")
    if revision is None:
        return skipped(_TRACKING, f"{where} has no schema of MLflow yet", _PREPARE)
    return failed(
        _TRACKING,
        f"{where} has MLflow's schema {revision}, and MLflow {version('mlflow')} wants {latest}",
        "back it up and run `mlflow db upgrade` on it, or install the MLflow that it was made by",
    )


def _database_experiment(engine: sqlalchemy.Engine, name: str) -> Experiment | None:
    from mlflow.entities import LoggedModelStatus
    from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlLoggedModel

    statement: Any = sqlalchemy.select(
        SqlExperiment.experiment_id, SqlExperiment.artifact_location, SqlExperiment.lifecycle_stage
    ).where(SqlExperiment.name == name)
    with engine.connect() as connection:
        row = connection.execute(statement).first()
        if row is None:
            return None
        newest: Any = (
            sqlalchemy.select(SqlLoggedModel.artifact_location)
            .where(SqlLoggedModel.experiment_id == row[0])
            .where(SqlLoggedModel.status == LoggedModelStatus.READY.to_int())
            .where(SqlLoggedModel.lifecycle_stage == "active")
            .order_by(SqlLoggedModel.creation_timestamp_ms.desc())
        )
        model = connection.execute(newest.limit(1)).scalar()
    return Experiment(str(row[0]), str(row[1]), row[2] == "active", model)
