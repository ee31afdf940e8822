"""What is served and how fresh it is, as routes and metrics show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from brain.errors import NoChampionError
from brain.naming import Regime
from serving.champions import LoadedChampion
from serving.hamilton import Hamilton

__all__ = ["Health", "HealthSource", "ModelHealth", "champions"]


class ModelHealth(Protocol):
    """What is served of a model."""

    @property
    def model(self) -> str:
        """Name of the model key."""

    @property
    def versions(self) -> Mapping[Regime, str]:
        """Model ids by regime."""

    @property
    def age(self) -> float | None:
        """Seconds since the registry last confirmed them; None is never."""

    @property
    def failures(self) -> Mapping[Regime, str]:
        """Why a regime has no champion, by regime."""


class Health(Protocol):
    """What is served."""

    @property
    def ready(self) -> bool:
        """Whether decisions may be asked for."""

    @property
    def models(self) -> tuple[ModelHealth, ...]:
        """One a symbol."""

    @property
    def errors(self) -> str:
        """Of the last look at the registry; empty if there were none."""


class HealthSource(Protocol):
    """Tells the health of now."""

    def __call__(self) -> Health:
        """It is quick, as it is asked on the event loop."""


def champions(
    hamilton: Hamilton, health: Health
) -> Iterator[tuple[ModelHealth, Regime, LoadedChampion]]:
    """The champions that can be used."""
    for model in health.models:
        for regime in model.versions:
            try:
                yield model, regime, hamilton.champion(model.model, regime)
            except NoChampionError:  # since the health was told
                continue
