"""New champions, as soon as the registry names them, while decisions go on.

A thread asks for the head of the registry every second: its newest entries by their last update,
one row while nothing has changed. Naming a champion touches its model's description last, as
aliases and tags alone don't move that time; aliases that were moved by hand are found by a sweep
over all models every few minutes. What has changed is loaded by threads of its own, so a store that
hangs holds nothing else up: fetched, checked by its digest, proven in another process, kept on a
disk, and only then put in the place of the former, which goes when no decision holds it any more.

Whatever fails leaves the former champions where they are, and is tried again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from brain.champion_source import ChampionSource
from brain.errors import BrainError, InputError, NotEnoughBarsError
from brain.records import Champion
from serving.cache import ChampionCache
from serving.champions import Loaded, cell_of
from serving.followed import Followed, Outcome
from serving.loader import Loader
from serving.remote.changes import Changes
from serving.remote.entries import ModelEntry

__all__ = ["Refresh", "RefreshSource", "Refresher"]

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 4
_END_SECONDS = 2.0
_SWEEP_AGAIN_SECONDS = 10.0


@dataclass(frozen=True)
class Refresh:
    """How champions are kept up to date.

    Attributes:
        seconds: from one look at the registry's head to the next.
        sweep_seconds: from one sweep over all models to the next.
        patience: seconds for which the registry is waited for at the start if the cache has
            champions of every symbol.

    Raises:
        InputError: one is no positive number.
    """

    seconds: float = 1.0
    sweep_seconds: float = 300.0
    patience: float = 0.5

    def __post_init__(self) -> None:
        for name in ("seconds", "sweep_seconds", "patience"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and 0.0 < value < float("inf")):
                raise InputError(f"refresh {name}={value!r} is no positive number of seconds")


@runtime_checkable
class RefreshSource(ChampionSource, Protocol):
    """A source whose changes can be followed: :class:`serving.remote.registry.RemoteRegistry`."""

    def newest(self, *, limit: int = 1, token: str = "") -> tuple[list[ModelEntry], str]:
        """Models by their last update, the newest first, and the next page's token."""

    def page(self, token: str = "", *, size: int = 25) -> tuple[list[ModelEntry], str]:
        """Models by name, and the next page's token."""

    def champions_of(self, entry: ModelEntry) -> Sequence[Champion]:
        """The champions of a model's cells."""


class Refresher:
    """Follows a registry's changes.

    Args:
        registry: to follow.
        followed: the models that are served.
        loader: of versions.
        cache: where they are kept; None for nowhere.
        settings: how often.
        clock: the present, nanoseconds since 1970 UTC.
        rest: called while nothing is to do.

    Attributes:
        error: why the registry could not be asked at the last try; empty if it could.
        answered: when it last answered, nanoseconds since 1970 UTC; None if it never did.
    """

    def __init__(
        self,
        registry: RefreshSource,
        followed: Iterable[Followed],
        loader: Loader,
        cache: ChampionCache | None,
        settings: Refresh,
        *,
        clock: Callable[[], int] = time.time_ns,
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        self._registry, self._loader, self._cache = registry, loader, cache
        self._settings, self._clock, self._rest = settings, clock, rest
        self.followed = tuple(followed)
        self._by_name = {model.name: model for model in self.followed}
        self.error = ""
        self.answered: int | None = None
        self._changes = Changes(registry)
        self._outcomes: deque[tuple[Followed, Outcome, int]] = deque()
        self._ended, self._stirred = threading.Event(), threading.Event()
        self._exchange = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="hamilton-refresh", daemon=True)

    def start(self) -> None:
        """Begin to follow, with a sweep."""
        self._thread.start()

    def close(self) -> None:
        """Follow no longer: nothing is exchanged any more."""
        with self._exchange:
            self._ended.set()
        self._stirred.set()
        if self._thread.ident is not None:
            self._thread.join(_END_SECONDS)  # it may wait for an answer, and is a daemon
        self._keep_moments()

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        look = sweep = time.monotonic()
        pages: Iterator[list[ModelEntry]] | None = None
        while not self._ended.is_set():
            now = time.monotonic()
            if now >= look:
                self._ask(self._look)
                look = now + self._settings.seconds
            elif pages is not None:
                pages = self._sweep_on(pages)
                if self.error:  # what has begun is over
                    sweep = now + min(self._settings.sweep_seconds, _SWEEP_AGAIN_SECONDS)
            elif now >= sweep:
                pages, sweep = self._changes.sweep(), now + self._settings.sweep_seconds
            else:
                self._rest()
                self._stirred.wait(max(0.0, min(look, sweep, self._next_due()) - now))
            self._stirred.clear()  # first: what ends from now on stirs the next wait
            self._collect()
            self._begin()

    def _ask(self, question: Callable[[int], None]) -> bool:
        """Ask the registry; whether it answered."""
        asked = self._clock()
        try:
            question(asked)
        except BrainError as error:
            if not self.error:
                logger.warning("champions stay as they are: %s", error)
            self.error = str(error)
            return False
        except Exception as error:  # a fault of ours must not end the following
            logger.exception("champions stay as they are")
            self.error = f"{type(error).__name__}: {error}"
            return False
        if self.error:
            logger.info("the registry answers again")
        self.error, self.answered = "", asked
        return True

    def _look(self, asked: int) -> None:
        for entry in self._changes.look():
            self._changed(entry)
        if self._changes.swept:
            for model in self.followed:
                model.confirm(asked)

    def _sweep_on(self, pages: Iterator[list[ModelEntry]]) -> Iterator[list[ModelEntry]] | None:
        """Read a sweep's next page; None if it was the last."""
        page: list[ModelEntry] | None = None

        def read(_: int) -> None:
            nonlocal page
            page = next(pages, None)

        if self._ask(read) and page is not None:
            for entry in page:
                self._changed(entry)
            return pages
        if not self.error:
            for model in self.followed:
                model.absent = model.name in self._changes.absent(self._by_name)
            self._keep_moments()
        return None

    def _changed(self, entry: ModelEntry) -> None:
        model = self._by_name.get(entry.name)
        if model is not None:
            model.want(entry)

    def _next_due(self) -> float:
        """When the next attempt is to be made; never where an earlier one has to end first."""
        if sum(model.busy for model in self.followed) >= _MOST_AT_ONCE:
            return float("inf")
        return min((m.due for m in self.followed if m.wanted and not m.busy), default=float("inf"))

    # --- taking over ----------------------------------------------------------------------------

    def _begin(self) -> None:
        now, busy = time.monotonic(), sum(model.busy for model in self.followed)
        for model in self.followed:
            if busy < _MOST_AT_ONCE and model.is_due(now):
                model.busy, busy = True, busy + 1
                work = threading.Thread(
                    target=self._work, args=(model, model.wanted), name="hamilton-load", daemon=True
                )
                work.start()

    def _collect(self) -> None:
        while self._outcomes:
            model, outcome, asked = self._outcomes.popleft()
            before = model.outcome
            model.note(outcome, time.monotonic(), asked)
            if outcome.error and (before is None or before.error != outcome.error):
                logger.error("the champions of %s stay: %s", model.name, outcome.error)

    def _work(self, model: Followed, entry: ModelEntry) -> None:
        asked = self._clock()
        try:
            outcome = self._take_over(model, entry, asked)
        except BrainError as error:
            outcome = Outcome(entry, error=str(error))
        except Exception as error:  # a fault of ours must not end the following
            logger.exception("the champions of %s stay", model.name)
            outcome = Outcome(entry, error=f"{type(error).__name__}: {error}")
        self._outcomes.append((model, outcome, asked))
        self._stirred.set()

    def _take_over(self, model: Followed, entry: ModelEntry, asked: int) -> Outcome:
        executor = model.executor
        cells = [cell_of(champion) for champion in self._registry.champions_of(entry)]
        former = executor.loaded
        loaded, faults = self._loader.succeed(former, cells)
        if _same(loaded, former):
            return Outcome(entry, faults=faults)
        # Before the exchange: what decides now is what a restart begins with.
        if self._cache is not None:
            self._cache.keep_model(executor.key, model.name, loaded.cells, asked)
        with self._exchange:
            if self._ended.is_set():
                return Outcome(entry, error="Hamilton is closed")
            try:
                executor.reload(loaded)
            except NotEnoughBarsError as error:
                return Outcome(entry, error=str(error), waiting=loaded)
        logger.info("%s: %s decide", executor.name, ", ".join(v.id for v in loaded.versions))
        return Outcome(entry, changed=True, faults=faults)

    def _keep_moments(self) -> None:
        if self._cache is None:
            return
        moments = {model.executor.name: model.confirmed for model in self.followed}
        try:
            self._cache.confirm(moments)
        except BrainError as error:
            logger.warning("%s", error)


def _same(loaded: Loaded, former: Loaded) -> bool:
    versions = [
        {code: champion.version.id for code, champion in each.champions.items()}
        for each in (loaded, former)
    ]
    return loaded.cells == former.cells and versions[0] == versions[1]
