"""Checks of the tracking server or database, the experiment and where its artifacts go.

They look and change nothing: MLflow's own clients would make tables, experiments and folders.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
import sqlalchemy

from brain.checks import Check, failed, folder_fault, ok, skipped
from brain.errors import BrainError, LibraryError
from brain.redact import redact
from registry.mlflow_errors import library_errors
from registry.reach import check_reachable

__all__ = ["ask_once", "check_tracking"]

_TRACKING, _EXPERIMENT = "tracking server", "experiment"
_SECONDS = 8
_PREPARE = "run `python -m mlproject prepare`, which makes it"
_DENIED = (401, 403)


@dataclass(frozen=True)
class _Experiment:
    location: str
    active: bool


def check_tracking(dsn: str, experiment: str) -> tuple[list[Check], str | None]:
    """Whether the tracking server answers and fits this MLflow, and whether the experiment does.

    Args:
        dsn: the tracking URI.
        experiment: its name.

    Returns:
        The checks, and where artifacts go, a URI; None if that can't be told.
    """
    try:
        if dsn.startswith(("http://", "https://")):
            return _server(dsn, experiment)
        return _database(dsn, experiment)
    except BrainError as error:
        return [failed(_TRACKING, error)], None


def _told(name: str, found: _Experiment | None) -> Check:
    if found is None:
        return ok(_EXPERIMENT, f"there is no {name!r} yet; the first job makes it")
    if found.active:
        return ok(_EXPERIMENT, f"{name!r} keeps its artifacts at {redact(found.location)}")
    return failed(_EXPERIMENT, f"{name!r} was deleted", "restore it, or name another one")


# --- a server -----------------------------------------------------------------------------------


def _server(dsn: str, name: str) -> tuple[list[Check], str | None]:
    check_reachable(dsn)
    theirs = _version(dsn)
    ours = version("mlflow")
    if theirs.split(".")[0] != ours.split(".")[0]:
        fault = f"{redact(dsn)} runs MLflow {theirs}, which does not fit MLflow {ours} here"
        cure = f"run the server with MLflow {ours.split('.')[0]}"
        return [failed(_TRACKING, fault, cure)], None
    detail = f"{redact(dsn)} runs MLflow {theirs}"
    tracking = ok(_TRACKING, detail if theirs == ours else f"{detail}; {ours} here")
    found = _of_server(dsn, name)
    where = found or _of_server(dsn, "Default")  # a new one would be beside it
    return [tracking, _told(name, found)], where.location if where and where.active else None


def ask_once(dsn: str, path: str, method: str = "GET", **given: Any) -> requests.Response:
    """One request with MLflow's credentials and without its patience; any answer but a denial.

    Args:
        dsn: the server's address, which may hold a path.
        path: below it.
        method: of HTTP.
        given: what ``requests`` takes, as ``params`` or ``data``.

    Raises:
        TrackingUnreachableError: nobody answers.
        LibraryError: the server wants other credentials.
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
            **given,
        )
    if answer.status_code in _DENIED:
        raise LibraryError(
            f"the tracking server {redact(dsn)} answered {answer.status_code} to {path}; set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    return answer


def _version(dsn: str) -> str:
    answer = ask_once(dsn, "/version")
    said = answer.text.strip()
    if answer.status_code != 200 or not said[:1].isdigit() or len(said) > 40:
        raise LibraryError(
            f"something answers at {redact(dsn)}, yet not as an MLflow server "
            f"({answer.status_code} to /version); correct MLFLOW_TRACKING_URI"
        )
    return said


def _of_server(dsn: str, name: str) -> _Experiment | None:
    path = "/api/2.0/mlflow/experiments/get-by-name"
    answer = ask_once(dsn, path, params={"experiment_name": name})
    if answer.status_code == 404:
        return None
    if answer.status_code != 200:
        raise LibraryError(
            f"the tracking server {redact(dsn)} answered {answer.status_code} when asked for "
            f"experiment {name!r}; look into its log"
        )
    told = answer.json()["experiment"]
    return _Experiment(told["artifact_location"], told["lifecycle_stage"] == "active")


# --- a database ---------------------------------------------------------------------------------


def _database(dsn: str, name: str) -> tuple[list[Check], str | None]:
    here = Path("mlruns").absolute().as_uri()  # MLflow's choice for a database's artifacts
    if fresh := _missing_file(dsn):
        return [fresh], here
    check_reachable(dsn)
    with library_errors(dsn, "read the database"):
        engine = sqlalchemy.create_engine(dsn)
        try:
            tracking = _schema(engine, redact(dsn))
            if tracking.state != "ok":
                return [tracking], here if tracking.state == "skipped" else None
            found = _of_database(engine, name)
        finally:
            engine.dispose()
    if found is None:
        return [tracking, _told(name, None)], here
    return [tracking, _told(name, found)], found.location if found.active else None


def _missing_file(dsn: str) -> Check | None:
    """A check of an SQLite file that is not there yet; looking into it would make it."""
    try:
        url = sqlalchemy.make_url(dsn)
    except sqlalchemy.exc.ArgumentError:
        return None  # told where it is connected to
    if not url.drivername.startswith("sqlite") or not url.database or url.database == ":memory:":
        return None
    file = Path(url.database)
    fault = None
    if file.exists():
        fault = None if os.access(file, os.W_OK) else f"{file} can't be written"
    elif not file.parent.is_dir():
        fault = f"there is no folder {file.parent}"
    else:
        fault = folder_fault(file.parent)
    if fault:
        return failed(_TRACKING, fault, "make it writable, or correct MLFLOW_TRACKING_URI")
    return None if file.exists() else skipped(_TRACKING, f"there is no {file} yet", _PREPARE)


def _schema(engine: sqlalchemy.Engine, where: str) -> Check:
    from mlflow.store.db.utils import _get_latest_schema_revision, _get_schema_version

    ours, theirs = _get_latest_schema_revision(), _get_schema_version(engine)
    if theirs == ours:
        return ok(_TRACKING, f"{where} has the schema of MLflow {version('mlflow')}")
    if theirs is None:
        return skipped(_TRACKING, f"{where} has no schema of MLflow yet", _PREPARE)
    return failed(
        _TRACKING,
        f"{where} has MLflow's schema {theirs}, and MLflow {version('mlflow')} wants {ours}",
        "back it up and run `mlflow db upgrade` on it, or install the MLflow that it was made by",
    )


def _of_database(engine: sqlalchemy.Engine, name: str) -> _Experiment | None:
    from mlflow.store.tracking.dbmodels.models import SqlExperiment

    wanted: Any = sqlalchemy.select(
        SqlExperiment.artifact_location, SqlExperiment.lifecycle_stage
    ).where(SqlExperiment.name == name)
    with engine.connect() as connection:
        row = connection.execute(wanted).first()
    return _Experiment(str(row[0]), row[1] == "active") if row else None
