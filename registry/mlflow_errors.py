"""MLflow's errors as ours: what happened, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from brain.disk import is_full
from brain.errors import (
    ArtifactStoreError,
    BrainError,
    LibraryError,
    StorageFullError,
    TrackingUnreachableError,
)
from brain.redact import redact

__all__ = ["library_errors"]

_OUTDATED = "out-of-date database schema"
# Not every error of a database: an IntegrityError, for instance, is an answer.
_UNREACHABLE = (OperationalError, InterfaceError, requests.ConnectionError, requests.Timeout)
_UNREACHABLE_TEXTS = (
    "failed with exception",
    "Max retries exceeded",
    "could not connect",
    "timed out",
)


@contextmanager
def library_errors(dsn: str, doing: str) -> Iterator[None]:
    """Turn the errors of MLflow and its stores into ours.

    Args:
        dsn: the tracking URI; the message shows it without its password.
        doing: the action in the message, as "register BTC-USD".

    Raises:
        StorageFullError: a disk is full.
        TrackingUnreachableError: the tracking server or database does not answer.
        ArtifactStoreError: artifacts can't be written or read.
        LibraryError: any other error of MLflow's.
    """
    where = redact(dsn)
    try:
        yield
    except BrainError:
        raise
    except (MlflowException, SQLAlchemyError, requests.RequestException) as error:
        message = _first_line(error)
        if is_full(error):
            raise _full(doing, where, message) from error
        if _OUTDATED in str(error):
            raise LibraryError(
                f"the database at {where} was made by another MLflow; "
                f"back it up and run `mlflow db upgrade {where}`"
            ) from error
        if _is_unreachable(error):
            raise TrackingUnreachableError(
                f"could not {doing}: no answer from {where} ({message}); "
                "start the server or correct MLFLOW_TRACKING_URI"
            ) from error
        raise LibraryError(f"could not {doing} at {where}: {message}") from error
    except _store_faults() as error:
        message = _first_line(error)
        if is_full(error):
            names = getattr(error, "filename2", None), getattr(error, "filename", None)
            place = next(filter(None, names), "the artifacts' place")
            raise _full(doing, str(place), message) from error
        raise ArtifactStoreError(
            f"could not {doing}: {message}; check the artifact store's address and permissions"
        ) from error


def _full(doing: str, where: str, message: str) -> StorageFullError:
    return StorageFullError(
        f"could not {doing}: the disk is full at {where} ({message}); free some space there"
    )


def _store_faults() -> tuple[type[Exception], ...]:
    """The errors of artifact stores. S3's client is slow to import, so only after an error."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return OSError, Boto3Error, BotoCoreError, ClientError


def _is_unreachable(error: BaseException) -> bool:
    """Whether any error in the chain of causes means that there was no answer."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _UNREACHABLE):
            return True
        if any(text in str(cause) for text in _UNREACHABLE_TEXTS):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _first_line(error: BaseException) -> str:
    # Masked before it is cut: a part of a secret is not recognised.
    return redact(str(error).strip() or type(error).__name__).splitlines()[0][:300]
