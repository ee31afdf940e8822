"""What a night analyses: which versions of which symbols, and on which data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from analysis.results import Stage
from brain.errors import (
    BrainError,
    InputError,
    ModelIntegrityError,
    NoChampionError,
    TrackingUnreachableError,
    UnknownSymbolError,
    did_you_mean,
)
from brain.naming import Tag, model_name, parse_model_id, parse_symbol
from brain.work import Failure

if TYPE_CHECKING:
    from brain.records import Version
    from brain.series.bars import Bars
    from brain.series.files import BarSet
    from engine.data.dataset import Dataset
    from registry.library import BrainLibrary

__all__ = ["choose_data", "choose_versions", "or_failure"]

Failures = list[Failure]

V = TypeVar("V")


@contextmanager
def or_failure(
    failures: Failures, symbol: str, stage: Stage, model_id: str | None = None
) -> Iterator[None]:
    """Note an error of ours as the failure of one symbol or model, and go on after the block.

    Raises:
        TrackingUnreachableError: nothing can go on without the tracking server.
    """
    try:
        yield
    except TrackingUnreachableError:
        raise
    except BrainError as error:
        failures.append(Failure(model_id or symbol, error, stage, symbol=symbol))


def choose_versions(
    library: BrainLibrary,
    symbols: Iterable[str] | None,
    models: Mapping[str, Iterable[str]] | None,
) -> tuple[dict[str, list[Version]], Failures]:
    """The versions to analyse, each once, by symbol; what is asked for and is not there fails.

    Args:
        symbols: all with champions, or all that ``models`` names, if None.
        models: model ids by symbol; of a symbol that is not in it, the champions.

    Raises:
        InputError: ``symbols`` or one of the models' values is a single text.
        NoChampionError: nothing was named, and no symbol has a champion.
    """
    failures: Failures = []
    named = _by_symbol(models or {}, failures)
    champions: dict[str, set[str]] = {}
    for champion in library.champions():
        champions.setdefault(champion.symbol, set()).add(champion.model_id)
    if symbols is None and models is None and not champions:
        raise NoChampionError("no symbol has a champion to analyse; run the nightly job first")
    chosen: dict[str, list[Version]] = {}
    for symbol in _symbols(symbols, named if models is not None else champions, failures):
        ids = named.get(symbol, champions.get(symbol, set()))
        if not ids:
            error = NoChampionError(f"{symbol} has no champion to analyse; run the nightly job")
            failures.append(Failure(symbol, error, Stage.CHOICE, symbol=symbol))
        for model_id in sorted(set(ids), key=_in_order):
            with or_failure(failures, symbol, Stage.CHOICE, model_id):
                chosen.setdefault(symbol, []).append(_version(library, symbol, model_id))
    return chosen, failures


def choose_data(
    symbols: Sequence[str],
    datasets: Mapping[str, Dataset | Bars] | None,
    read_bars: Callable[[Sequence[str]], BarSet],
) -> tuple[Mapping[str, Dataset | Bars], Failures]:
    """Datasets or bars by symbol, and what is missing.

    Args:
        datasets: by symbol; if None, bars are read.
        read_bars: reads them, and says why others can't be had.
    """
    failures: Failures = []
    if datasets is None:
        if not symbols:
            return {}, failures
        read = read_bars(symbols)
        failures += [replace(failure, part=Stage.BARS) for failure in read.failures]
        return read.bars, failures
    given = _by_symbol(datasets, failures)
    for symbol in symbols:
        if symbol not in given:
            cure = did_you_mean(symbol, given)
            error = UnknownSymbolError(f"no dataset of {symbol} is given; {cure}")
            failures.append(Failure(symbol, error, Stage.BARS, symbol=symbol))
    return {symbol: given[symbol] for symbol in symbols if symbol in given}, failures


def _version(library: BrainLibrary, symbol: str, model_id: str) -> Version:
    name, number = parse_model_id(model_id)
    if name != model_name(symbol):
        raise InputError(
            f"{model_id!r} is no model of {symbol}; name one as {model_name(symbol)}/{number}"
        )
    version = library.version(symbol, number)
    try:
        zone = datetime.fromisoformat(version.trained_until).tzinfo
    except ValueError:
        zone = None
    if zone is None:
        raise ModelIntegrityError(
            f"{model_id} is tagged {Tag.TRAINED_UNTIL}={version.trained_until!r}, which is no "
            "moment with a zone; register the version anew"
        )
    return version


def _in_order(model_id: str) -> tuple[int, str]:
    try:
        return parse_model_id(model_id)[1], model_id
    except InputError:
        return 0, str(model_id)


def _symbols(
    asked: Iterable[str] | None, known: Mapping[str, object], failures: Failures
) -> list[str]:
    if asked is None:
        return sorted(known)
    if isinstance(asked, str):
        raise InputError(f"symbols is the text {asked!r}; give a list, as [{asked!r}]")
    found: dict[str, None] = {}
    for value in asked:
        with or_failure(failures, str(value), Stage.CHOICE):
            found[parse_symbol(value)] = None
    return list(found)


def _by_symbol(given: Mapping[str, V], failures: Failures) -> dict[str, V]:
    found: dict[str, V] = {}
    for key, value in given.items():
        if isinstance(value, str):
            raise InputError(f"the models of {key} are the text {value!r}; give [{value!r}]")
        with or_failure(failures, str(key), Stage.CHOICE):
            found[parse_symbol(key)] = value
    return found
