"""Looks at the registry's champions now and then, on a thread, and tells how fresh they are."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from brain.errors import BrainError
from brain.naming import REGIMES, Regime
from serving.hamilton import Hamilton

__all__ = ["Reloads"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Model:
    model: str
    versions: Mapping[Regime, str]
    age: float | None
    failures: Mapping[Regime, str]


@dataclass(frozen=True)
class _Health:
    ready: bool
    models: tuple[_Model, ...]
    errors: str


@dataclass
class Reloads:
    """Reloads champions.

    Args:
        hamilton: whose champions these are.
        seconds: from one look to the next.
    """

    hamilton: Hamilton
    seconds: float
    _confirmed: dict[str, float] = field(default_factory=dict)
    _errors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now = time.monotonic()
        self._confirmed = dict.fromkeys(self.names, now)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="reloads", daemon=True)

    @property
    def names(self) -> Sequence[str]:
        """Of the models."""
        return [executor.name for executor in self.hamilton._all]

    def start(self) -> None:
        """Look from now on."""
        self._thread.start()

    def close(self) -> None:
        """Look no longer; a look under way is waited for."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Take the champions of now; where that fails the former ones stay."""
        for name in self.names:
            try:
                self.hamilton.reload(name)
            except BrainError as error:
                if self._errors.get(name) != str(error):
                    logger.warning("%s keeps its champions: %s", name, error)
                self._errors[name] = str(error)
            else:
                self._confirmed[name] = time.monotonic()
                self._errors.pop(name, None)

    def health(self) -> _Health:
        """What is served, as :class:`serving.http.health.Health`."""
        now = time.monotonic()
        models = []
        for executor in self.hamilton._all:
            loaded = executor.loaded
            models.append(
                _Model(
                    executor.name,
                    {REGIMES[code]: c.version.id for code, c in sorted(loaded.champions.items())},
                    now - self._confirmed[executor.name],
                    {REGIMES[code]: why for code, why in sorted(loaded.failures.items())},
                )
            )
        return _Health(True, tuple(models), "; ".join(self._errors.values()))

    def _watch(self) -> None:
        while not self._ended.wait(self.seconds):
            self.look()
