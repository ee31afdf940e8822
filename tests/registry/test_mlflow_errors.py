"""Faults of MLflow, its databases and its artifact stores, in our words and without secrets."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError, EndpointConnectionError
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import IntegrityError, OperationalError

from brain.errors import ArtifactStoreError, LibraryError, TrackingUnreachableError
from brain.redact import redact
from registry import reach
from registry.mlflow_errors import library_errors
from registry.reach import check_reachable

DSN = "postgresql+psycopg://brain:hush@db/library"


@pytest.mark.parametrize(
    ("dsn", "redacted"),
    [
        (DSN, "postgresql+psycopg://brain:***@db/library"),
        ("postgresql://u:hu/sh@db/x", "postgresql://u:***@db/x"),  # SQLAlchemy takes it so
        ("postgresql://u:hu:sh@db/x", "postgresql://u:***@db/x"),
        (
            "postgresql://db/x?user=u&password=hush&sslpassword=hush",
            "postgresql://db/x?user=u&password=***&sslpassword=***",
        ),
        ("at http://a:hush@c/y, then http://b:hush@d", "at http://a:***@c/y, then http://b:***@d"),
        ("sqlite:////tmp/a@b/mlflow.db", "sqlite:////tmp/a@b/mlflow.db"),
        ("http://host:5000 tells me@home", "http://host:5000 tells me@home"),
    ],
)
def test_no_password_is_shown(dsn: str, redacted: str) -> None:
    assert redact(dsn) == redacted


@pytest.mark.parametrize(
    "fault",
    [
        PermissionError(13, "Permission denied"),
        EndpointConnectionError(endpoint_url="http://store"),
        ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject"),
        S3UploadFailedError("Failed to upload x: AccessDenied"),
    ],
)
def test_an_artifact_store_that_refuses_is_told_as_such(fault: Exception) -> None:
    refused = pytest.raises(ArtifactStoreError, match=r"could not store it: .*permissions")
    with refused, library_errors(DSN, "store it"):
        raise fault


def database_error(cause: type[IntegrityError | OperationalError]) -> MlflowException:
    """As MLflow's stores wrap what SQLAlchemy raises."""
    error = MlflowException("the database said something")
    error.__cause__ = cause("INSERT", {}, Exception("said"))
    return error


def test_a_database_that_answers_with_a_refusal_is_not_called_silent() -> None:
    silent = pytest.raises(TrackingUnreachableError, match="no answer")
    with silent, library_errors(DSN, "write"):
        raise database_error(OperationalError)
    refused = pytest.raises(LibraryError, match=r"could not write at .*: the database said")
    with refused as caught, library_errors(DSN, "write"):
        raise database_error(IntegrityError)
    assert type(caught.value) is LibraryError


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield int(server.getsockname()[1])


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "http"])
def test_a_server_that_says_nothing_is_given_up(
    scheme: str, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "_SECONDS", 2.0)
    dsn = f"{scheme}://u:hush@127.0.0.1:{silent_port}"
    with pytest.raises(TrackingUnreachableError, match=re.escape("u:***@127")):
        check_reachable(dsn)
