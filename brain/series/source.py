"""The source of a job's bars: a folder of files, candles of the series store, or the sample."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import pandas as pd

from brain.calendars import calendar_of
from brain.errors import (
    BrainError,
    InputError,
    LibraryError,
    SettingsError,
    UnknownSymbolError,
)
from brain.series.bars import COLUMNS, Bars, check_bars, parse_timeframe
from brain.series.faults import row_faults
from brain.series.files import folder_files, read_files, sample_folder, unread_files
from brain.series.times import when
from brain.text import count
from brain.work import Failure, errors_of

if TYPE_CHECKING:
    from brain.series.store.store import SeriesStore
    from brain.settings import Settings

__all__ = [
    "BarReader",
    "BarSource",
    "SeriesLibrary",
    "bars_of",
    "bars_with",
    "describe_source",
    "open_bars",
    "open_folder",
    "reads_store",
]

logger = logging.getLogger(__name__)


class SeriesLibrary(Protocol):
    """A Brain Library, as far as market series are concerned."""

    @property
    def series(self) -> SeriesStore:
        """The series store."""


def reads_store(settings: Settings) -> bool:
    """Whether bars are from the series store: exchanges are set, and no folder of bars."""
    return bool(settings.exchanges) and settings.bars is None


def describe_source(settings: Settings) -> str:
    """The source of the bars, for people."""
    if reads_store(settings):
        return f"{settings.candle_timeframe} candles of {settings.exchanges[0]}"
    return str(settings.bars or sample_folder())


class BarSource(Mapping[str, Bars]):
    """The bars of several symbols, each read when it is asked for.

    Reading a symbol raises BarsError, NotEnoughBarsError, InputError or UnknownSymbolError if its
    bars can't be used, and SeriesStoreError if the store can't be read.

    Args:
        symbols: of the source.
        reader: reads one symbol's bars, with the own columns that are named.
        columns: names of the own columns that the bars have.
        failures: of other symbols, or of files without a symbol in their names.
        note: of files that are not read; empty if there are none.
    """

    def __init__(
        self,
        symbols: Iterable[str],
        reader: Callable[[str, Sequence[str]], Bars],
        failures: Iterable[Failure] = (),
        columns: Sequence[str] = (),
        note: str = "",
    ) -> None:
        self._symbols = dict.fromkeys(symbols)
        self._reader = reader
        self._columns = columns
        self.failures = tuple(failures)
        self.note = note
        self._first: tuple[str, Bars] | None = None

    def __getitem__(self, symbol: str) -> Bars:
        if symbol not in self._symbols:
            raise KeyError(symbol)
        return self.read(symbol, self._columns)

    def read(self, symbol: str, columns: Sequence[str]) -> Bars:
        """A symbol's bars with these own columns; errors as when it is read by its symbol."""
        first, self._first = self._first, None
        if first and first[0] == symbol and first[1].own == tuple(columns):
            return first[1]
        return self._reader(symbol, columns)

    def __iter__(self) -> Iterator[str]:
        return iter(self._symbols)

    def __len__(self) -> int:
        return len(self._symbols)

    def check(self, failures: Sequence[Failure] = ()) -> None:
        """Look for a symbol whose bars can be used; those before it become failures.

        Args:
            failures: that may be the reason why there is none.

        Raises:
            InputError: there is none; the message tells the failures.
        """
        for symbol in tuple(self._symbols):
            try:
                self._first = (symbol, self.read(symbol, self._columns))
                return
            except LibraryError:
                raise
            except BrainError as error:
                del self._symbols[symbol]
                self.failures += (Failure(symbol, error, symbol=symbol),)
        raise InputError(errors_of([*sorted(self.failures, key=str), *failures]))


@runtime_checkable
class BarReader(Protocol):
    """Reads a symbol's bars with other own columns than they have by the symbol alone."""

    def read(self, symbol: str, columns: Sequence[str]) -> Bars:
        """A symbol's bars with these own columns; BarsError if there is no such column."""


def bars_with(bars: Mapping[str, Bars], symbol: str, columns: Sequence[str]) -> Bars:
    """A symbol's bars with these own columns, read anew where that can be done.

    Raises:
        BarsError: there is no such column.
    """
    if isinstance(bars, BarReader):
        return bars.read(symbol, columns)
    return bars[symbol].with_own(columns)


def open_folder(
    settings: Settings,
    symbols: Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> BarSource:
    """The bars of a folder, or the sample, see :func:`open_bars`."""
    names = tuple(symbols if symbols is not None else settings.symbols)
    folder = settings.bars or sample_folder()
    files, failures = folder_files(folder, names or None, timeframe=settings.timeframe)

    def reader(symbol: str, own: Sequence[str]) -> Bars:
        return read_files(symbol, files[symbol], calendar_of(settings.calendar, symbol), own)

    own = settings.columns if columns is None else columns
    return BarSource(files, reader, failures, own, _unread_note(folder, files))


def open_bars(
    settings: Settings,
    library: SeriesLibrary,
    symbols: Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> BarSource:
    """The bars of a job.

    Args:
        settings: with the folder of bars, or the exchanges, of which the first one's candles are
            read.
        library: with the series store.
        symbols: whose; those of the settings if None, and all of a folder if there are none.
        columns: names of the own columns; those of the settings if None.

    Raises:
        InputError: the folder can't be used.
        SettingsError: the bars are from the series store, and there are no symbols.
    """
    if not reads_store(settings):
        return open_folder(settings, symbols, columns=columns)
    names = tuple(symbols if symbols is not None else settings.symbols)
    own = settings.columns if columns is None else columns
    if not names:
        raise SettingsError(
            "exchanges are named and no symbols; name these too, for example "
            "BRAIN_SYMBOLS=BTC/USDT,ETH/USDT"
        )
    exchange, timeframe = settings.exchanges[0], settings.candle_timeframe

    def read(symbol: str, columns: Sequence[str]) -> Bars:
        return bars_of(library.series, exchange, symbol, timeframe).with_own(columns)

    return BarSource(names, read, columns=own)


def _unread_note(folder: str | Path, files: dict[str, list[Path]]) -> str:
    names = unread_files(folder, files)
    if not names:
        return ""
    note = f"Files beside the bars that are not read: {', '.join(names)}."
    logger.warning("%s: %s", folder, note)
    return note


def bars_of(
    store: SeriesStore,
    exchange: str,
    symbol: str,
    timeframe: str,
    *,
    now: pd.Timestamp | None = None,
) -> Bars:
    """One exchange's candles of a symbol as checked bars.

    Args:
        store: with the candles.
        exchange: of the candles, ``binance``; ``binance-spot`` is its spot market, with pairs in
            place of perpetuals.
        symbol: ``BTC/USDT`` or ``BTC/USDT:USDT``, the present or a former name; the bars get it.
        timeframe: of the candles.
        now: the moment, UTC, at which the bars are read; the clock's if None.

    Returns:
        The series on its grid; missing and impossible candles are rows of NaN, and ``repairs``
        counts them.

    Raises:
        InputError: the symbol has no perpetual, or is no pair of a spot market, or there is no such
            timeframe.
        UnknownSymbolError: the store holds no such candles.
        BarsError: the candles are broken, lie in the future, or more than half of them are missing.
        SeriesStoreError: the store can't be read.
    """
    parse_timeframe(timeframe)
    contract = store.listed_name(symbol, exchange)
    candles = store.read(
        "candles",
        symbol=contract,
        exchange=exchange,
        timeframe=timeframe,
        columns=["time", *COLUMNS],
    )
    if candles.empty:
        raise UnknownSymbolError(
            f"the store holds no {timeframe} candles of {contract} on {exchange}; collect or "
            "import them first, or correct symbol, exchange or timeframe"
        )
    source = f"{contract} on {exchange}"
    candles = _sound(candles, source)
    return check_bars(candles, symbol=symbol, timeframe=timeframe, source=source, now=now)


def _sound(candles: pd.DataFrame, source: str) -> pd.DataFrame:
    """The candles, those that can't be true as missing ones; the store may be older than the rule.

    A collection asks for them again.
    """
    faults = row_faults("candles", candles)
    bad = faults != ""
    if not bad.any():
        return candles
    first = int(bad.argmax())
    logger.warning(
        "%s: %s taken as missing, first at %s: %s; collect with --renew to ask for them again",
        source,
        count(bad.sum(), "impossible candle"),
        when(candles["time"].iloc[first]),
        faults[first],
    )
    values = candles[list(COLUMNS)].mask(pd.Series(bad, index=candles.index), axis=0)
    return candles.assign(**{name: values[name] for name in COLUMNS})
