"""A model that an executor serves, and how far it is from what the registry names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from brain.naming import REGIMES
from serving.champions import Loaded
from serving.health import ModelHealth
from serving.remote.entries import ModelEntry

if TYPE_CHECKING:
    from serving.symbol_executor import SymbolExecutor

__all__ = ["Followed", "Outcome"]

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


@dataclass(frozen=True)
class Outcome:
    """The end of an attempt to take a registry's entry over.

    Attributes:
        entry: of the registry.
        changed: whether champions were exchanged.
        faults: why a regime's champion is not the entry's, by the regime's code.
        error: why nothing was taken over; empty if it was.
        waiting: champions that wait for the bars until the end of their training.
    """

    entry: ModelEntry
    changed: bool = False
    faults: Mapping[int, str] = field(default_factory=dict)
    error: str = ""
    waiting: Loaded | None = None


@dataclass
class Followed:
    """A model that is served. The refresher's thread alone writes it.

    Attributes:
        name: of the registered model.
        executor: of its symbol.
        confirmed: when the registry last confirmed what is served, nanoseconds since 1970 UTC.
        wanted: the registry's entry that is not wholly taken over yet; None if there is none.
        outcome: of the last attempt; None before the first.
        absent: whether the registry has no such model any more.
        changes: how often champions were exchanged.
        busy: whether an attempt is being made.
        due: when the next one is, by a monotonic clock in seconds.
    """

    name: str
    executor: SymbolExecutor
    confirmed: int
    wanted: ModelEntry | None = None
    outcome: Outcome | None = None
    absent: bool = False
    changes: int = 0
    busy: bool = False
    due: float = 0.0
    _pause: float = _FIRST_PAUSE

    def want(self, entry: ModelEntry) -> None:
        """Note a newer entry of the registry, to be taken over at once."""
        self.wanted, self.absent = entry, False
        self.due, self._pause = 0.0, _FIRST_PAUSE

    def is_due(self, now: float) -> bool:
        """Whether an attempt is to be made, by a monotonic clock in seconds."""
        return self.wanted is not None and not self.busy and now >= self.due

    def note(self, outcome: Outcome, now: float, asked: int) -> None:
        """Note the end of an attempt.

        Args:
            outcome: of the attempt.
            now: by a monotonic clock, seconds.
            asked: when the registry was asked for the entry, nanoseconds since 1970 UTC.
        """
        self.busy, self.outcome = False, outcome
        self.changes += outcome.changed
        if self.wanted is not outcome.entry:
            return  # a newer one came meanwhile
        if outcome.error or outcome.faults:
            self.due = now + self._pause
            if outcome.waiting is None:
                self._pause = min(2.0 * self._pause, _LONGEST_PAUSE)
            return
        self.wanted = None
        self.confirmed = max(self.confirmed, asked)

    def confirm(self, asked: int) -> None:
        """Note that the registry names nothing else than what is served."""
        if self.wanted is None and not self.absent:
            self.confirmed = asked

    def age(self, now: int) -> float:
        """Seconds since the registry last confirmed what is served."""
        return max(0.0, (now - self.confirmed) / 1e9)

    def health(self, now: int) -> ModelHealth:
        """Of the model at a moment, nanoseconds since 1970 UTC."""
        loaded, outcome = self.executor.loaded, self.outcome
        faults = {**loaded.failures, **(outcome.faults if outcome else {})}
        error = outcome.error if outcome else ""
        if self.absent:
            error = f"the registry has no model {self.name} any more; its champions stay"
        return ModelHealth(
            self.executor.name,
            {REGIMES[code]: c.version.id for code, c in sorted(loaded.champions.items())},
            self.age(now),
            {REGIMES[code]: why for code, why in sorted(faults.items())},
            error,
            self.executor.last_close,
        )
