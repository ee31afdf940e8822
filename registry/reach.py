"""Whether a tracking server or database answers, within seconds.

MLflow itself waits long: its HTTP client tries for four minutes, its database stores for two.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import requests
import sqlalchemy
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from brain.checks import folder_fault
from brain.errors import SettingsError, TrackingUnreachableError
from brain.redact import redact

__all__ = ["check_address", "check_reachable", "database_file"]

_SECONDS = 10.0
# The database drivers' option for a time limit; a file needs none.
_TIMEOUT_OPTIONS = {
    "sqlite": None,
    "postgresql": "connect_timeout",
    "mysql": "connect_timeout",
    "mssql": "timeout",
}
_SERVERS = ("http", "https")
_CURE = "correct MLFLOW_TRACKING_URI"
_FORMS = "sqlite:///PATH, postgresql+psycopg://USER:PASSWORD@HOST/NAME or http://HOST:PORT"
_PORT = "its port is no number from 0 to 65535"
_SQLITE = b"SQLite format 3\0"


def check_reachable(dsn: str) -> None:
    """Send one request to a tracking server or database. Any answer will do.

    Raises:
        SettingsError: as for :func:`check_address`.
        TrackingUnreachableError: no answer within ten seconds.
    """
    check_address(dsn)
    scheme = _scheme(dsn)
    try:
        if scheme in _SERVERS:
            requests.get(dsn, timeout=_SECONDS)
            return
        option = _TIMEOUT_OPTIONS[scheme]
        engine = sqlalchemy.create_engine(
            dsn, connect_args={option: int(_SECONDS)} if option else {}
        )
        with engine.connect():
            pass
        engine.dispose()
    except (requests.RequestException, DBAPIError) as error:
        detail = redact(str(getattr(error, "orig", None) or error)).splitlines()[0]
        raise TrackingUnreachableError(
            f"no answer from {redact(dsn)} ({detail}); start the server or {_CURE}"
        ) from error


def check_address(dsn: str) -> None:
    """Check that a tracking URI can be used, without a request; nothing is written.

    Raises:
        SettingsError: it is neither a server's nor that of a database that MLflow can use, a driver
            is missing, or an SQLite file can't be opened or made.
    """
    scheme = _scheme(dsn)
    if scheme not in (*_SERVERS, *_TIMEOUT_OPTIONS):
        raise SettingsError(
            f"tracking URI {redact(dsn)!r} is no server or database; write {_FORMS}"
        )
    if scheme in _SERVERS:
        if fault := _server_fault(dsn):
            raise _unusable(dsn, fault, _CURE)
        return
    try:
        url = sqlalchemy.make_url(dsn)
        url.get_dialect().import_dbapi()
    except ImportError as error:
        cure = "install that driver, or write postgresql+psycopg:// for PostgreSQL"
        raise _unusable(dsn, str(error), cure) from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise _unusable(dsn, "it is no database's address", f"write {_FORMS}") from error
    except ValueError as error:
        raise _unusable(dsn, _PORT, _CURE) from error
    if not 0 <= (url.port or 0) < 65536:
        raise _unusable(dsn, _PORT, _CURE)
    if file_fault := _file_fault(url):
        raise _unusable(dsn, *file_fault)


def database_file(dsn: str) -> Path | None:
    """The file of an SQLite database; None for other addresses, and in memory.

    Args:
        dsn: a tracking URI that :func:`check_address` has accepted.
    """
    return None if _scheme(dsn) in _SERVERS else _file(sqlalchemy.make_url(dsn))


def _scheme(dsn: str) -> str:
    return dsn.partition(":")[0].partition("+")[0]


def _unusable(dsn: str, fault: str, cure: str) -> SettingsError:
    return SettingsError(f"tracking URI {redact(dsn)!r} can't be used: {redact(fault)}; {cure}")


def _server_fault(dsn: str) -> str | None:
    try:
        parts = urlsplit(dsn)
        _ = parts.port
    except ValueError:  # whose text may hold a part of a password
        return _PORT
    return None if parts.hostname else "it names no host"


def _file(url: sqlalchemy.URL) -> Path | None:
    named = url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:"
    return Path(str(url.database)) if named and not str(url.database).startswith("file:") else None


def _file_fault(url: sqlalchemy.URL) -> tuple[str, str] | None:
    """Why SQLite can't open or make its file, and the cure."""
    if url.get_backend_name() == "sqlite" and url.host:
        return f"SQLite has no host {url.host!r}", "write sqlite:///PATH, with three slashes"
    file = _file(url)
    if file is None:
        return None
    return _old_fault(file) if file.exists() else _new_fault(file.absolute().parent)


def _old_fault(file: Path) -> tuple[str, str] | None:
    """A fault of a file that is there."""
    if file.is_dir():
        return f"{file} is a folder", f"name a file in it, and so {_CURE}"
    if not os.access(file, os.R_OK | os.W_OK):
        return f"{file} can't be read and written", f"allow both, or {_CURE}"
    with file.open("rb") as opened:
        head = opened.read(len(_SQLITE))
    if head not in (b"", _SQLITE):
        return f"{file} is no SQLite database", f"name another file, and so {_CURE}"
    return None


def _new_fault(folder: Path) -> tuple[str, str] | None:
    """A fault of the folder of a file that is not there."""
    if not folder.exists():
        return f"there is no folder {folder}", f"make it (mkdir -p {folder}), or {_CURE}"
    if not folder.is_dir():
        return f"{folder} is no folder", _CURE
    fault = folder_fault(folder)
    return (fault, f"make the folder writable, or {_CURE}") if fault else None
