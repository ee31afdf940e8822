"""A plugin of MLflow's, which loads it with its own client: it sets our patience with servers.

``mlflow run`` asks the tracking server before anything of a project is started, and plain Python
may never import the project. Of the kinds of plugins, this one is loaded before the first request.
"""

from __future__ import annotations

from mlflow.tracking.context.abstract_context import RunContextProvider

from brain.patience import set_patience

__all__ = ["Patience"]


class Patience(RunContextProvider):
    """Adds no tag to any run; see :mod:`brain.patience`."""

    def __init__(self) -> None:
        set_patience()

    def in_context(self) -> bool:
        return False

    def tags(self) -> dict[str, str]:
        return {}
