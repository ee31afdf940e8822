"""The champions that an executor starts with: the registry's, or else the last known good ones."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from brain.champion_source import ChampionSource
from brain.errors import BrainError, InputError, LibraryError, NoChampionError
from brain.model_keys import ModelKey, ModelQuery
from brain.naming import parse_model_name, parse_symbol
from brain.records import Champion
from serving.cache import ChampionCache, KeptModel
from serving.champions import Cell, Loaded, cell_of
from serving.loader import Loader

__all__ = ["First", "first_champions", "model_key"]

logger = logging.getLogger(__name__)

_AT_ONCE = 8
#: From so many symbols on one search over all models is less than one for each.
_MANY = 8


@dataclass(frozen=True)
class First:
    """A symbol's champions at the start.

    Attributes:
        name: of the registered model.
        loaded: the champions.
        confirmed: when the registry last confirmed them, nanoseconds since 1970 UTC.
    """

    name: str
    loaded: Loaded
    confirmed: int


def first_champions(
    models: ChampionSource,
    symbols: Sequence[str | ModelKey],
    loader: Loader,
    cache: ChampionCache | None,
    *,
    patience: float,
    clock: Callable[[], int] = time.time_ns,
) -> list[First]:
    """The champions of symbols.

    Where the cache has champions of every symbol nothing is waited for but the registry's answer,
    and that not for long: versions that the cache hasn't got are loaded later.

    Args:
        models: the registry.
        symbols: as they were named.
        loader: of versions.
        cache: of champions; None for none.
        patience: seconds that the registry may take if the cache has all of them.
        clock: the present, nanoseconds since 1970 UTC.

    Raises:
        NoChampionError: a symbol has no champion.
        AmbiguousModelError: a symbol has models of several timeframes or horizons.
        ModelIntegrityError: none of a symbol's champions is what was registered.
        TrackingUnreachableError: the registry does not answer, and the cache hasn't got a symbol.
    """
    named = [model_key(symbol) for symbol in symbols]
    kept = _kept(cache, named) if cache is not None else [None] * len(named)
    asked = clock()
    answers = _answers(models, named, None if None in kept else patience)
    together = [
        _Start(symbol, answer, old, asked, loader, cache)
        for symbol, answer, old in zip(symbols, answers, kept, strict=True)
    ]
    if len(together) == 1:
        return [together[0].first()]
    from concurrent.futures import ThreadPoolExecutor  # of several symbols alone

    with ThreadPoolExecutor(_AT_ONCE, "hamilton-boot") as pool:
        return list(pool.map(_Start.first, together))


def model_key(symbol: object) -> str | ModelKey:
    """A model key, or a symbol, of any spelling."""
    if isinstance(symbol, ModelKey):
        return symbol
    if isinstance(symbol, str):
        try:
            return ModelKey(*parse_model_name(symbol))
        except InputError:
            pass
    return parse_symbol(symbol)


@dataclass(frozen=True)
class _Start:
    """What is known of a symbol: the registry's answer, and what the cache has."""

    symbol: str | ModelKey
    answer: Sequence[Champion] | BrainError
    kept: KeptModel | None
    asked: int
    loader: Loader
    cache: ChampionCache | None

    def first(self) -> First:
        if isinstance(self.answer, BrainError):
            if self.kept is None:
                raise self.answer
            logger.warning("start from the cache of champions: %s", self.answer)
            return self._from_cache(self.kept)
        if not self.answer:
            if self.kept is None:
                raise NoChampionError(f"{self.symbol} has no champion; run the nightly job for it")
            return self._from_cache(self.kept)
        name, key = self.answer[0].model, self.answer[0].key
        cells = [cell_of(champion) for champion in self.answer]
        if self.kept is not None and not self._has(cells):
            return self._from_cache(self.kept)
        self.loader.expect(champion.record.family for champion in self.answer)
        loaded = self.loader.load(key, cells)
        if self.cache is not None and not loaded.failures:
            self._keep(self.cache, loaded, name)
        return First(name, loaded, self.asked)

    def _has(self, cells: Sequence[Cell]) -> bool:
        """Whether all versions are at hand, and the cells that the cache has are among them."""
        assert self.kept is not None
        regimes = {cell.regime for cell in cells}
        return {cell.regime for cell in self.kept.cells} <= regimes and all(
            self.cache is not None and self.cache.files(cell.digest) is not None for cell in cells
        )

    def _from_cache(self, kept: KeptModel) -> First:
        return First(kept.name, self.loader.load(kept.key, kept.cells), kept.confirmed)

    def _keep(self, cache: ChampionCache, loaded: Loaded, name: str) -> None:
        try:
            cache.keep_model(loaded.key, name, loaded.cells, self.asked)
        except LibraryError as error:
            logger.warning("%s", error)


def _kept(cache: ChampionCache, named: Sequence[str | ModelKey]) -> list[KeptModel | None]:
    models = {model.key: model for model in cache.models()}
    names = {key: key.name for key in models}
    keys = [ModelQuery.parse(each).choose(names) for each in named]
    return [None if key is None else models[key] for key in keys]


def _answers(
    models: ChampionSource, named: Sequence[str | ModelKey], patience: float | None
) -> list[Sequence[Champion] | BrainError]:
    """The registry's champions of each symbol, or why they aren't known."""
    if patience is None:
        return _ask(models, named)
    answers: list[list[Sequence[Champion] | BrainError]] = []
    # A daemon: a registry that hangs must not hold the end of the process up either.
    thread = threading.Thread(
        target=lambda: answers.append(_ask(models, named)), name="hamilton-boot", daemon=True
    )
    thread.start()
    thread.join(patience)
    if answers:
        return answers[0]
    late = LibraryError(f"the registry did not answer within {patience:g} seconds; look at it")
    return [late] * len(named)


def _ask(
    models: ChampionSource, named: Sequence[str | ModelKey]
) -> list[Sequence[Champion] | BrainError]:
    if len(named) < _MANY:
        return [_champions(partial(models.champions, each)) for each in named]
    everything = _champions(models.champions)
    if isinstance(everything, BrainError):
        return [everything] * len(named)
    by_key: dict[ModelKey, list[Champion]] = {}
    for champion in everything:
        by_key.setdefault(champion.key, []).append(champion)
    names = {key: key.name for key in by_key}

    def chosen(each: str | ModelKey) -> Sequence[Champion]:
        key = ModelQuery.parse(each).choose(names)
        return by_key[key] if key is not None else ()

    return [_champions(partial(chosen, each)) for each in named]


def _champions(ask: Callable[[], Sequence[Champion]]) -> Sequence[Champion] | BrainError:
    try:
        return ask()
    except BrainError as error:
        return error
