"""Where an executor's champions are from: at the start, on demand, and whenever they change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from brain.champion_source import ChampionSource
from brain.errors import NoChampionError
from brain.model_keys import ModelKey
from serving.boot import First, first_champions
from serving.cache import ChampionCache
from serving.champions import Loaded, cell_of
from serving.followed import Followed
from serving.health import Health
from serving.loader import Loader
from serving.proving import Prover
from serving.refresher import Refresh, Refresher, RefreshSource

if TYPE_CHECKING:
    from serving.symbol_executor import SymbolExecutor

__all__ = ["ChampionFeed"]

_EXECUTOR = "serving.symbol_executor"


class ChampionFeed:
    """The champions of an executor's symbols.

    Args:
        models: where they are from.
        cache: folder of the last known good ones; None for none.
        refresh: how changes are followed, where the source can be followed; None if they aren't.
        clock: the present, nanoseconds since 1970 UTC.

    Raises:
        LibraryError: the cache's folder can't be made or read.
    """

    def __init__(
        self,
        models: ChampionSource,
        cache: Path | str | None,
        refresh: Refresh | None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._models, self._clock = models, clock
        self._refresh = refresh if isinstance(models, RefreshSource) else None
        self._cache = ChampionCache(cache) if cache is not None else None
        # What comes by itself was seen by nobody before; a journal's replay loads what was proven.
        self._prover = Prover() if self._refresh is not None else None
        self._loader = Loader(models, self._cache, self._prover)
        if self._prover is not None and not (self._cache and self._cache.models()):
            self._prover.start()  # while the registry is asked
            # Modules that decide as well; not sooner, as a process of one thread alone is copied.
            threading.Thread(target=import_module, args=(_EXECUTOR,), daemon=True).start()
        self._followed: list[Followed] = []
        self._refresher: Refresher | None = None

    def first(self, symbols: Sequence[str | ModelKey]) -> list[First]:
        """The champions to start with, see :func:`serving.boot.first_champions`."""
        patience = (self._refresh or Refresh()).patience
        return first_champions(
            self._models, symbols, self._loader, self._cache, patience=patience, clock=self._clock
        )

    def add(self, first: First, executor: SymbolExecutor) -> None:
        """Note an executor that has begun with champions."""
        self._followed.append(Followed(first.name, executor, first.confirmed))

    def follow(self) -> None:
        """Follow the champions of all executors from now on, if the source can be."""
        if self._refresh is None or not isinstance(self._models, RefreshSource):
            return
        self._refresher = Refresher(
            self._models,
            self._followed,
            self._loader,
            self._cache,
            self._refresh,
            clock=self._clock,
            rest=self._prover.rest if self._prover else lambda: None,
        )
        self._refresher.start()

    def load(self, key: ModelKey) -> Loaded:
        """The champions of now; versions in memory are not loaded again.

        Raises:
            NoChampionError, ModelIntegrityError, LibraryError: none can be loaded.
        """
        champions = self._models.champions(key)
        if not champions:
            raise NoChampionError(f"{key} has no champion; run the nightly job for it")
        return self._loader.load(champions[0].key, [cell_of(each) for each in champions])

    def age(self, place: int, now: int) -> float | None:
        """Seconds since the registry confirmed the champions of the executor that was added so.

        None if the registry isn't followed.
        """
        followed = self._refresh is not None and place < len(self._followed)
        return self._followed[place].age(now) if followed else None

    def health(self) -> Health:
        """Of everything that is served."""
        now, refresher = self._clock(), self._refresher
        models = tuple(model.health(now) for model in self._followed)
        changes = sum(model.changes for model in self._followed)
        if refresher is None:
            return Health(tuple(replace(model, age=None) for model in models), changes=changes)
        asked = None if refresher.answered is None else (now - refresher.answered) / 1e9
        return Health(models, refresher.error, asked, changes)

    def close(self) -> None:
        """Follow no longer."""
        if self._refresher is not None:
            self._refresher.close()
        if self._prover is not None:
            self._prover.close()
