"""Plugins of MLflow's, which loads them with its own client, in every program of the environment.

``mlflow run`` asks the tracking store before anything of a project is started, and plain Python may
never import the project. So our patience with servers is set, and a database opened, in here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.abstract_context import RunContextProvider

from brain.errors import BrainError
from brain.patience import set_patience

if TYPE_CHECKING:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

__all__ = ["Patience", "open_store"]

# What an MLflow server tells the stores of its processes.
_ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"
_READ_REPLICA = "_MLFLOW_SERVER_READ_REPLICA_BACKEND_STORE"


class Patience(RunContextProvider):
    """Adds no tag to any run; see :mod:`brain.patience`.

    Of the kinds of plugins, this one is loaded before the first request.
    """

    def __init__(self) -> None:
        set_patience()

    def in_context(self) -> bool:
        return False

    def tags(self) -> dict[str, str]:
        return {}


def open_store(store_uri: str, artifact_uri: str | None = None) -> SqlAlchemyStore:
    """MLflow's tracking store on a database, as MLflow makes it.

    But a database that doesn't answer is told in seconds instead of two minutes, and whoever finds
    it empty makes its tables alone, see :mod:`registry.opening`.

    Raises:
        MlflowException: the database can't be used.
    """
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.store.tracking.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore

    from registry.opening import open_database
    from registry.reach import check_reachable

    kind: Callable[..., SqlAlchemyStore] = (
        WorkspaceAwareSqlAlchemyStore if MLFLOW_ENABLE_WORKSPACES.get() else SqlAlchemyStore
    )
    root = artifact_uri or os.environ.get(_ARTIFACT_ROOT, DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)
    replica = os.environ.get(_READ_REPLICA)
    try:
        check_reachable(store_uri)
        return open_database(store_uri, lambda: kind(store_uri, root, read_db_uri=replica))
    except BrainError as error:
        raise MlflowException(str(error)) from error
