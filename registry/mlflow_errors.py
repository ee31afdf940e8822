"""MLflow's faults in our words: what happened, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from brain.errors import (
    ArtifactStoreError,
    BrainError,
    LibraryError,
    TrackingUnreachableError,
)
from brain.redact import redact

__all__ = ["library_errors", "redact"]

_OUTDATED = "out-of-date database schema"
# Not every fault of a database: an IntegrityError, say, is an answer.
_SILENCE = (OperationalError, InterfaceError, requests.ConnectionError, requests.Timeout)
_UNANSWERED = (
    "failed with exception",
    "Max retries exceeded",
    "could not connect",
    "timed out",
)


@contextmanager
def library_errors(dsn: str, doing: str) -> Iterator[None]:
    """Turn what MLflow and its stores raise into our errors.

    Args:
        dsn: the tracking URI, named in the message without its password.
        doing: what was being done, as in "register BTC-USD".

    Raises:
        TrackingUnreachableError: no answer from the tracking server or database.
        ArtifactStoreError: artifacts could not be written or read.
        LibraryError: anything else that MLflow refused.
    """
    where = redact(dsn)
    try:
        yield
    except BrainError:
        raise
    except (MlflowException, SQLAlchemyError, requests.RequestException) as error:
        said = redact(_first_line(error))
        if _OUTDATED in str(error):
            raise LibraryError(
                f"the database at {where} was made by another MLflow; "
                f"back it up and run `mlflow db upgrade {where}`"
            ) from error
        if _is_unanswered(error):
            raise TrackingUnreachableError(
                f"could not {doing}: no answer from {where} ({said}); "
                "start the server or correct MLFLOW_TRACKING_URI"
            ) from error
        raise LibraryError(f"could not {doing} at {where}: {said}") from error
    except _store_faults() as error:
        said = redact(_first_line(error))
        raise ArtifactStoreError(
            f"could not {doing}: {said}; check the artifact store's address and permissions"
        ) from error


def _store_faults() -> tuple[type[Exception], ...]:
    """What artifact stores raise; S3's client is slow to import, so not before it is needed."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return OSError, Boto3Error, BotoCoreError, ClientError


def _is_unanswered(error: BaseException) -> bool:
    """Whether anything in the chain of causes says that nobody answered."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _SILENCE):
            return True
        if any(words in str(cause) for words in _UNANSWERED):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
