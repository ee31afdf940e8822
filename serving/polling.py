"""A source whose changes can't be followed, made one that can: by asking for all of it anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from brain.champion_source import ChampionSource
from brain.model_keys import ModelKey
from brain.records import Champion
from serving.remote.entries import ModelEntry

__all__ = ["PolledSource"]


class PolledSource:
    """The champions of another source, as a registry that can be followed.

    For sources that answer all at once and at little cost, as a registry in a database of this
    machine. Whoever follows may ask at any time; the source is asked again after a while.

    Args:
        models: the source.
        seconds: for which an answer holds.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        models: ChampionSource,
        seconds: float = 15.0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models, self._seconds, self._clock = models, seconds, clock
        self._champions: dict[str, list[Champion]] = {}
        self._entries: dict[str, ModelEntry] = {}
        self._due = -float("inf")
        self._answers = 0

    def champions(
        self,
        symbol: str | ModelKey | None = None,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> Sequence[Champion]:
        """As the source's."""
        return self._models.champions(symbol, timeframe=timeframe, horizon=horizon)

    def files(self, model_id: str) -> Mapping[str, bytes]:
        """As the source's."""
        return self._models.files(model_id)

    def newest(self, *, limit: int = 1, token: str = "") -> tuple[list[ModelEntry], str]:
        """Models by their last change that was seen, the newest first; all of them at once."""
        del limit, token
        self._ask()
        return sorted(self._entries.values(), key=lambda e: (-e.updated, e.name)), ""

    def page(self, token: str = "", *, size: int = 25) -> tuple[list[ModelEntry], str]:
        """Models by their names; all of them at once."""
        del token, size
        self._ask()
        return sorted(self._entries.values(), key=lambda entry: entry.name), ""

    def champions_of(self, entry: ModelEntry) -> Sequence[Champion]:
        """The champions of a model's cells, as they were seen last."""
        return self._champions.get(entry.name, ())

    def _ask(self) -> None:
        if self._clock() < self._due:
            return
        champions: dict[str, list[Champion]] = {}
        for champion in self._models.champions():
            champions.setdefault(champion.model, []).append(champion)
        self._due, self._answers = self._clock() + self._seconds, self._answers + 1
        entries = {}
        for name, of_model in champions.items():
            digest = sha256(repr([(c.regime, c.record.to_json()) for c in of_model]).encode())
            before = self._entries.get(name)
            same = before is not None and before.digest == digest.hexdigest()
            entries[name] = (
                before if before and same
                else ModelEntry(name, self._answers, {}, {}, digest.hexdigest())
            )  # fmt: skip
        self._champions, self._entries = champions, entries
