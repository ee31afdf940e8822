"""How an executor is: what it serves, how old that is, and what stands in the way of newer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from brain.naming import Regime

__all__ = ["Health", "ModelHealth"]


@dataclass(frozen=True)
class ModelHealth:
    """A model that is served.

    Attributes:
        model: name of its key, ``BTC-USDT.1h.6``.
        versions: model ids of the champions that decide, by regime.
        age: seconds since the registry last confirmed that these are its champions; None if it
            isn't followed.
        failures: why a regime has no champion, or not the registry's, by regime.
        error: why the registry's champions could not be taken over; empty if they were.
        last_close: close of the last bar, nanoseconds since 1970 UTC.
    """

    model: str
    versions: Mapping[Regime, str]
    age: float | None
    failures: Mapping[Regime, str]
    error: str
    last_close: int


@dataclass(frozen=True)
class Health:
    """An executor.

    Attributes:
        models: that are served.
        error: why the registry could not be asked at the last try; empty if it could, or isn't.
        asked: seconds since the registry last answered; None if it never did, or isn't asked.
        changes: champions taken over since the start, counted by models.
    """

    models: tuple[ModelHealth, ...]
    error: str = ""
    asked: float | None = None
    changes: int = 0

    @property
    def ready(self) -> bool:
        """Whether every model has a champion that can decide."""
        return all(model.versions for model in self.models)

    @property
    def sound(self) -> bool:
        """Whether, besides, nothing stands in the way of newer champions."""
        faults = (self.error, *(model.error for model in self.models))
        return self.ready and not any(faults) and not any(m.failures for m in self.models)
