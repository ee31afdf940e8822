"""Whether a tracking server or database answers, within seconds.

MLflow itself waits long: its HTTP client tries for four minutes, its database stores for two.
"""

from __future__ import annotations

import requests
import sqlalchemy
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from brain.addresses import check_address, check_environment
from brain.errors import SettingsError, TrackingUnreachableError
from brain.redact import redact

__all__ = ["check_reachable"]

_SECONDS = 10.0
# The database drivers' option for a time limit; a file needs none.
_TIMEOUT_OPTIONS = {
    "sqlite": None,
    "postgresql": "connect_timeout",
    "mysql": "connect_timeout",
    "mssql": "timeout",
}


def check_reachable(dsn: str) -> None:
    """Send one request to a tracking server or database. Any answer will do.

    Raises:
        SettingsError: the dsn is neither a server's nor that of a database that MLflow can use, or
            it or a proxy's address can be read in more than one way.
        TrackingUnreachableError: no answer within ten seconds.
    """
    check_address(dsn, "tracking URI")
    check_environment()
    scheme = dsn.partition(":")[0].partition("+")[0]
    cure = "start the server or correct MLFLOW_TRACKING_URI"
    try:
        if scheme in ("http", "https"):
            requests.get(dsn, timeout=_SECONDS)
        elif scheme in _TIMEOUT_OPTIONS:
            option = _TIMEOUT_OPTIONS[scheme]
            engine = sqlalchemy.create_engine(
                dsn, connect_args={option: int(_SECONDS)} if option else {}
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
        detail = redact(str(getattr(error, "orig", None) or error)).splitlines()[0]
        raise TrackingUnreachableError(
            f"no answer from {redact(dsn)} ({detail}); {cure}"
        ) from error
    except (NoSuchModuleError, ImportError, ArgumentError, ValueError) as error:
        raise SettingsError(
            f"tracking URI {redact(dsn)!r} can't be used ({redact(str(error))}); {cure}"
        ) from error
