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
from brain.model_keys import ModelKey, ModelQuery, ahead
from brain.naming import Tag, parse_model_id, parse_symbol
from brain.series.source import BarReader
from brain.work import Failure
from engine.data.dataset import Dataset

if TYPE_CHECKING:
    from brain.records import Champion, Version
    from brain.series.bars import Bars
    from brain.series.source import BarSource
    from registry.library import BrainLibrary

__all__ = ["DataReader", "check_data", "choose_data", "choose_versions", "data_with"]

V = TypeVar("V")

#: Reads the data of one symbol, with the own columns that are named; BarsError if it lacks one.
DataReader = Callable[[Sequence[str]], "Dataset | Bars"]


def choose_versions(
    library: BrainLibrary,
    symbols: Iterable[str] | None,
    models: Mapping[str, Iterable[str]] | None,
    *,
    timeframe: str | None = None,
    horizon: int | None = None,
) -> tuple[dict[ModelKey, list[Version]], list[Failure]]:
    """The versions to analyse.

    Args:
        library: where they are registered.
        symbols: all with champions, or all that ``models`` names, if None.
        models: model ids by symbol; of a symbol that is not in it, the champions.
        timeframe, horizon: of the versions; where None, those of the symbol's only model, or of
            the models named.

    Returns:
        Each version once, by its key, and a failure for whatever symbol or model is not there, and
        for each symbol whose champions are of several models.

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
    champions: list[Champion] = []
    # One search brings all champions; models that are named need none.
    if models is None or not set(parsed or ()) <= set(ids_by_symbol):
        champions = library.champions(timeframe=timeframe, horizon=horizon)
    if symbols is None and models is None and not champions:
        raise NoChampionError("no symbol has a champion to analyse; run the nightly job first")
    candidates = {champion.symbol for champion in champions} if models is None else ids_by_symbol
    versions: dict[ModelKey, list[Version]] = {}
    for symbol in sorted(candidates) if parsed is None else parsed:
        query = ModelQuery(symbol, timeframe, horizon)
        with catch_failure(failures, symbol, Stage.CHOICE):
            named = symbol in ids_by_symbol
            ids = set(ids_by_symbol[symbol]) if named else _champion_ids(query, champions)
            if not ids:
                raise NoChampionError(f"no model of {symbol} is named to analyse; name one")
            for model_id in sorted(ids, key=_place):
                with catch_failure(failures, symbol, Stage.CHOICE, model_id):
                    version = _version(library, query, model_id)
                    versions.setdefault(version.key, []).append(version)
    return versions, failures


def _champion_ids(query: ModelQuery, champions: Iterable[Champion]) -> set[str]:
    """The ids of the champions of the one model that is asked for.

    Raises:
        AmbiguousModelError: there are champions of several.
        NoChampionError: there is none.
    """
    key = query.choose({champion.key: champion.model for champion in champions})
    if key is None:
        raise NoChampionError(f"{query} has no champion to analyse; run the nightly job")
    return {champion.model_id for champion in champions if champion.key == key}


def choose_data(
    keys: Sequence[ModelKey],
    datasets: Mapping[str, Dataset | Bars] | None,
    open_bars: Callable[[Sequence[str]], BarSource],
) -> tuple[dict[ModelKey, DataReader], list[Failure]]:
    """The data to analyse; none is read yet.

    Args:
        keys: of the versions to analyse.
        datasets: by symbol; if None, they are bars of the source.
        open_bars: opens the source of the symbols' bars.

    Returns:
        By key what reads the dataset or bars of its symbol, and a failure for each symbol without
        any.
    """
    failures: list[Failure] = []
    symbols = list(dict.fromkeys(key.symbol for key in keys))
    if not symbols:
        return {}, failures
    if datasets is None:
        datasets = bars = open_bars(symbols)
        failures += [replace(failure, part=Stage.BARS) for failure in bars.failures]
        missing = {failure.symbol for failure in failures}
        symbols = [symbol for symbol in symbols if symbol not in missing]
    spellings = _by_symbol({name: name for name in datasets}, failures)
    for symbol in symbols:
        if symbol not in spellings:
            cure = did_you_mean(symbol, spellings)
            error = UnknownSymbolError(f"no dataset of {symbol} is given; {cure}")
            failures.append(Failure(symbol, error, Stage.BARS, symbol=symbol))
    readers: dict[ModelKey, DataReader] = {
        key: partial(data_with, datasets, spellings[key.symbol])
        for key in keys
        if key.symbol in symbols and key.symbol in spellings
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


def check_data(key: ModelKey, data: Dataset | Bars) -> None:
    """Refuse data of another timeframe, or a dataset of another horizon, than the versions'.

    Raises:
        InputError: they differ.
    """
    if data.timeframe != key.timeframe:
        raise InputError(
            f"versions of {key} can't be explained on {data.timeframe} bars; give "
            f"{key.timeframe} bars, or name timeframe={data.timeframe} for its own models"
        )
    horizon = getattr(data, "horizon", None)  # bars have none
    if horizon not in (None, key.horizon):
        raise InputError(
            f"versions of {key} can't be explained by a dataset that looks {ahead(horizon)}; give "
            f"its bars, or a dataset of horizon {key.horizon}"
        )


def _version(library: BrainLibrary, query: ModelQuery, model_id: str) -> Version:
    version = library.version_in(query, model_id)
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
