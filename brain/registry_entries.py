"""What MLflow's registry says of versions and their runs, whoever reads it.

:mod:`registry` reads it by MLflow's client, and the executor over HTTP by the standard library
alone. What the entries mean is the same to both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

__all__ = ["RegistryReader", "RunEntry", "VersionEntry", "name_filter"]


@dataclass(frozen=True)
class VersionEntry:
    """A version of a registered model, which anybody may have registered.

    Attributes:
        model: name of the registered model.
        number: of the version.
        tags: of the version.
        run_id: of the run that made it; empty if there is none.
        source: address of its files, ``models:/m-…``.
        created_ms: milliseconds since 1970 UTC.
    """

    model: str
    number: int
    tags: Mapping[str, str]
    run_id: str
    source: str
    created_ms: int


@dataclass(frozen=True)
class RunEntry:
    """A run.

    Attributes:
        params: by name.
        metrics: the last values by name.
        started_ms: milliseconds since 1970 UTC.
    """

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    started_ms: int


class RegistryReader(Protocol):
    """Reads versions and runs, one at a request."""

    def version(self, model: str, number: int) -> VersionEntry:
        """A version of a registered model.

        Raises:
            LibraryError: there is none.
        """

    def newest(self, model: str) -> VersionEntry | None:
        """The version of a registered model with the largest number; None if it has none."""

    def run(self, run_id: str) -> RunEntry | None:
        """A run; None if there is none."""


def name_filter(model: str) -> str:
    """MLflow's filter of the versions of a registered model, whoever named it."""
    quote = '"' if "'" in model else "'"
    return f"name = {quote}{model}{quote}"
