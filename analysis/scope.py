"""The scope of an analysis: the versions of each symbol, and the data of each symbol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from analysis.failures import Stage, catch_failure
from brain.errors import (
    BarsError,
    InputError,
    ModelIntegrityError,
    NoChampionError,
    UnknownSymbolError,
    did_you_mean,
)
from brain.naming import Tag, model_name, parse_model_id, parse_symbol
from brain.series.source import BarReader
from brain.work import Failure
from engine.data.dataset import Dataset

if TYPE_CHECKING:
    from brain.records import Version
    from brain.series.bars import Bars
    from brain.series.source import BarSource
    from registry.library import BrainLibrary

__all__ = ["DataReader", "choose_data", "choose_versions", "data_with"]

V = TypeVar("V")

#: Reads the data of one symbol, with the own columns that are named; BarsError if it lacks one.
DataReader = Callable[[Sequence[str]], "Dataset | Bars"]


def choose_versions(
    library: BrainLibrary,
    symbols: Iterable[str] | None,
    models: Mapping[str, Iterable[str]] | None,
) -> tuple[dict[str, list[Version]], list[Failure]]:
    """The versions to analyse.

    Args:
        library: where they are registered.
        symbols: all with champions, or all that ``models`` names, if None.
        models: model ids by symbol; of a symbol that is not in it, the champions.

    Returns:
        Each version once, by symbol, and a failure for whatever symbol or model is not there.

    Raises:
        InputError: ``symbols`` or one of the models' values is a single text.
        NoChampionError: neither symbols nor models are named, and no symbol has a champion.
    """
    failures: list[Failure] = []
    ids_by_symbol = _by_symbol(models or {}, failures)
    for key, value in (models or {}).items():
        if isinstance(value, str):
            raise InputError(f"the models of {key} are the text {value!r}; give [{value!r}]")
    parsed = None if symbols is None else _parsed(symbols, failures)
    champions: dict[str, set[str]] = {}
    # One search brings all champions; models that are named need none.
    if models is None or not set(parsed or ()) <= set(ids_by_symbol):
        for champion in library.champions():
            champions.setdefault(champion.symbol, set()).add(champion.model_id)
    if symbols is None and models is None and not champions:
        raise NoChampionError("no symbol has a champion to analyse; run the nightly job first")
    candidates = champions if models is None else ids_by_symbol
    versions: dict[str, list[Version]] = {}
    for symbol in sorted(candidates) if parsed is None else parsed:
        ids = ids_by_symbol.get(symbol, champions.get(symbol, set()))
        if not ids:
            error = NoChampionError(f"{symbol} has no champion to analyse; run the nightly job")
            failures.append(Failure(symbol, error, Stage.CHOICE, symbol=symbol))
        for model_id in sorted(set(ids), key=_place):
            with catch_failure(failures, symbol, Stage.CHOICE, model_id):
                versions.setdefault(symbol, []).append(_version(library, symbol, model_id))
    return versions, failures


def choose_data(
    symbols: Sequence[str],
    datasets: Mapping[str, Dataset | Bars] | None,
    open_bars: Callable[[Sequence[str]], BarSource],
) -> tuple[dict[str, DataReader], list[Failure]]:
    """The data to analyse; none is read yet.

    Args:
        symbols: whose.
        datasets: by symbol; if None, they are bars of the source.
        open_bars: opens the source of the symbols' bars.

    Returns:
        By symbol what reads its dataset or bars, and a failure for each symbol without any.
    """
    failures: list[Failure] = []
    if not symbols:
        return {}, failures
    if datasets is None:
        datasets = bars = open_bars(symbols)
        failures += [replace(failure, part=Stage.BARS) for failure in bars.failures]
        missing = {failure.symbol for failure in failures}
        symbols = [symbol for symbol in symbols if symbol not in missing]
    keys = _by_symbol({key: key for key in datasets}, failures)
    for symbol in symbols:
        if symbol not in keys:
            cure = did_you_mean(symbol, keys)
            error = UnknownSymbolError(f"no dataset of {symbol} is given; {cure}")
            failures.append(Failure(symbol, error, Stage.BARS, symbol=symbol))
    readers: dict[str, DataReader] = {
        symbol: partial(data_with, datasets, keys[symbol]) for symbol in symbols if symbol in keys
    }
    return readers, failures


def data_with(
    datasets: Mapping[str, Dataset | Bars], symbol: str, columns: Sequence[str]
) -> Dataset | Bars:
    """A symbol's dataset, or its bars with these own columns, read anew where that can be done.

    Raises:
        BarsError: it lacks one of the columns.
    """
    if isinstance(datasets, BarReader):
        return datasets.read(symbol, columns)
    data = datasets[symbol]
    if not isinstance(data, Dataset):
        return data.with_own(columns)
    if missing := [column for column in columns if column not in data.own]:
        raise BarsError(
            f"the dataset of {symbol} has no column {missing[0]!r}, which a version was trained "
            "on; give the bars, or a dataset of them with this column"
        )
    return data


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


def _place(model_id: str) -> tuple[int, str]:
    """Sorts model ids by their numbers, and what is none before all others."""
    try:
        return parse_model_id(model_id)[1], model_id
    except InputError:
        return 0, str(model_id)


def _parsed(symbols: Iterable[str], failures: list[Failure]) -> list[str]:
    """The symbols in their usual spelling, each once."""
    if isinstance(symbols, str):
        raise InputError(f"symbols is the text {symbols!r}; give a list, as [{symbols!r}]")
    parsed: dict[str, None] = {}
    for value in symbols:
        with catch_failure(failures, str(value), Stage.CHOICE):
            parsed[parse_symbol(value)] = None
    return list(parsed)


def _by_symbol(entries: Mapping[str, V], failures: list[Failure]) -> dict[str, V]:
    """The entries by symbols in their usual spelling."""
    parsed: dict[str, V] = {}
    for key, value in entries.items():
        with catch_failure(failures, str(key), Stage.CHOICE):
            parsed[parse_symbol(key)] = value
    return parsed
