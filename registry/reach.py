"""Whether anybody answers at a tracking URI, told in seconds.

MLflow's own patience is long: its HTTP client tries for four minutes, its database stores for two.
"""

from __future__ import annotations

import requests
import sqlalchemy
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from brain.errors import SettingsError, TrackingUnreachableError
from registry.mlflow_errors import redact

__all__ = ["check_reachable"]

_SECONDS = 10.0
# How their drivers are told when to give up; a file needs no telling.
_PATIENCE = {
    "sqlite": None,
    "postgresql": "connect_timeout",
    "mysql": "connect_timeout",
    "mssql": "timeout",
}


def check_reachable(dsn: str) -> None:
    """Knock once at a tracking server or database. Whatever it answers, it is there.

    Raises:
        SettingsError: the dsn is of no kind that MLflow keeps runs in.
        TrackingUnreachableError: no answer within ten seconds.
    """
    scheme = dsn.partition(":")[0].partition("+")[0]
    cure = "start the server or correct MLFLOW_TRACKING_URI"
    try:
        if scheme in ("http", "https"):
            requests.get(dsn, timeout=_SECONDS)
        elif scheme in _PATIENCE:
            limit = _PATIENCE[scheme]
            engine = sqlalchemy.create_engine(
                dsn, connect_args={limit: int(_SECONDS)} if limit else {}
            )
            with engine.connect():
                pass
            engine.dispose()
        else:
            raise SettingsError(
                f"tracking URI {redact(dsn)!r} is no server or database; write sqlite:///PATH, "
                "postgresql+psycopg://USER:PASSWORD@HOST/NAME or http://HOST:PORT"
            )
    except (requests.RequestException, DBAPIError) as error:
        said = redact(str(getattr(error, "orig", None) or error)).splitlines()[0]
        raise TrackingUnreachableError(f"no answer from {redact(dsn)} ({said}); {cure}") from error
    except (NoSuchModuleError, ImportError, ArgumentError, ValueError) as error:
        raise SettingsError(
            f"tracking URI {redact(dsn)!r} can't be used ({redact(str(error))}); {cure}"
        ) from error
