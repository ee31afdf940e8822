"""How long a tracking server is waited for: one place for jobs, ``mlflow run`` and plain Python.

MLflow's HTTP client tries for four minutes, and reads its patience from the environment at every
request. So a server that is gone is told in seconds wherever these variables are set: in a process
that imports :mod:`registry`; in every process of an environment in which the project is installed,
by the plugin :mod:`registry.plugin`; and in a shell, by ``brain prepare``.
"""

from __future__ import annotations

import os

__all__ = ["PATIENCE", "set_patience"]

#: MLflow's variables: three attempts, 3 seconds apart in all, each of which may take 10 seconds.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def set_patience() -> None:
    """Set these variables for this process and its children; those of the user stay as they are."""
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
