"""Opening a tracking store: one process at a time makes a fresh database's tables.

MLflow makes the tables of an empty database when it opens it, in some fifty migrations. Two that do
so at once break each other's, so the one waits for the other: by a lock on the folder of an SQLite
file, and by an advisory lock of a PostgreSQL or MySQL server, which reaches as far as the database.
Both end with their process. Where the project is installed, every program that opens a database by
MLflow waits in the same way (:func:`registry.plugin.open_store`); others are waited for as long as
the schema moves on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import local
from typing import TypeVar

import sqlalchemy
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from brain.errors import TrackingUnreachableError

__all__ = ["open_client", "open_database"]

Store = TypeVar("Store")

_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 600.0
# Without a lock, a schema that stays as it is for so long is nobody's work any more.
_STANDSTILL_SECONDS = 5.0
_UNLOCKED = (
    "out-of-date database schema",
    "already exists",
    "duplicate column",
    "no such table",
    "does not exist",
    "database is locked",
    "pg_type_typname_nsp_index",
)
_UNGUARDED = nullcontext(lambda: True)
_LOCK = 0x627261696E  # any number, the same everywhere


def open_client(dsn: str) -> MlflowClient:
    """MLflow's client of a tracking store, whose database has its tables by then.

    Args:
        dsn: the tracking URI.

    Raises:
        TrackingUnreachableError: another process makes the tables for more than ten minutes.
        MlflowException, SQLAlchemyError: the store can't be opened.
    """
    if dsn.startswith(("http://", "https://")):
        return MlflowClient(tracking_uri=dsn, registry_uri=dsn)
    return open_database(dsn, lambda: MlflowClient(tracking_uri=dsn, registry_uri=dsn))


def open_database(dsn: str, opens: Callable[[], Store]) -> Store:
    """What opens a database, and makes its tables if there are none, while nobody else does.

    Args:
        dsn: of a database.
        opens: raises if another program is making the tables.

    Raises:
        TrackingUnreachableError: another process makes the tables for more than ten minutes.
        MlflowException, SQLAlchemyError: it can't be opened.
    """
    url = sqlalchemy.make_url(dsn)
    with _only_one(url):
        revision, since = _revision(url), time.monotonic()
        while True:
            try:
                return opens()
            except (MlflowException, SQLAlchemyError) as error:
                if not any(text in str(error) for text in _UNLOCKED):
                    raise
                if (now := _revision(url)) != revision:
                    revision, since = now, time.monotonic()
                elif time.monotonic() - since > _STANDSTILL_SECONDS:
                    raise
            time.sleep(_POLL_SECONDS)


# Databases whose lock this thread holds: it opens them from within, by MLflow's plugin.
_held = local()


@contextmanager
def _only_one(url: sqlalchemy.URL) -> Iterator[None]:
    """Only one thread of all processes opens this database."""
    held: set[sqlalchemy.URL] = vars(_held).setdefault("urls", set())
    if url in held:
        yield
        return
    with _lock_of(url) as acquire:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not acquire():
            if time.monotonic() > deadline:
                raise TrackingUnreachableError(
                    f"another process makes the tables of {url.render_as_string()} since more than "
                    f"{_PATIENCE_SECONDS / 60:.0f} minutes; look for it, and end it if it hangs"
                )
            time.sleep(_POLL_SECONDS)
        held.add(url)
        try:
            yield
        finally:
            held.discard(url)


def _lock_of(url: sqlalchemy.URL) -> AbstractContextManager[Callable[[], bool]]:
    """What tries to take a database's lock, which is released on leaving."""
    backend = url.get_backend_name()
    if backend == "sqlite" and os.name == "posix" and url.database:
        folder = Path(url.database).absolute().parent
        return _folder_lock(folder) if folder.is_dir() else _UNGUARDED
    if backend == "postgresql":
        return _server_lock(url, f"SELECT pg_try_advisory_lock({_LOCK})")
    if backend == "mysql":
        return _server_lock(url, f"SELECT GET_LOCK('brain-{_LOCK}', 0) = 1")
    return _UNGUARDED


@contextmanager
def _folder_lock(folder: Path) -> Iterator[Callable[[], bool]]:
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)

    def acquire() -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True  # a file system without locks
        return True

    try:
        yield acquire
    finally:
        os.close(descriptor)


@contextmanager
def _server_lock(url: sqlalchemy.URL, statement: str) -> Iterator[Callable[[], bool]]:
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield lambda: bool(connection.execute(sqlalchemy.text(statement)).scalar())
    finally:
        engine.dispose()  # which ends the session, and with it the lock


def _revision(url: sqlalchemy.URL) -> str | None:
    """The revision of a database's schema; None if it has none, or is being written."""
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            query = sqlalchemy.text("SELECT version_num FROM alembic_version")
            return str(connection.execute(query).scalar())
    except SQLAlchemyError:
        return None
    finally:
        engine.dispose()
