"""Where a job's bars are from: a folder of files, the collected candles, or the packaged sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from brain.errors import BrainError, LibraryError, SettingsError, UnknownSymbolError
from brain.series.bars import Bars, check_bars, parse_timeframe
from brain.series.files import BarSet, read_folder, sample_folder
from brain.work import Failure

if TYPE_CHECKING:
    from brain.series.store.store import SeriesStore
    from brain.settings import Settings

__all__ = ["BarSet", "SeriesLibrary", "bars_of", "describe_source", "is_collected", "read_bars"]


class SeriesLibrary(Protocol):
    """What is needed of a Brain Library to read and write market series."""

    @property
    def series(self) -> SeriesStore:
        """The series store."""


def is_collected(settings: Settings) -> bool:
    """Whether bars come from the series store: exchanges are named, and no folder of bars is."""
    return bool(settings.exchanges) and settings.bars is None


def describe_source(settings: Settings) -> str:
    """Where the bars are from, for people."""
    if is_collected(settings):
        return f"{settings.timeframe} candles of {settings.exchanges[0]}"
    return str(settings.bars or sample_folder())


def read_bars(
    settings: Settings, library: SeriesLibrary, symbols: Sequence[str] | None = None
) -> BarSet:
    """The symbols' bars, and why others can't be had.

    Args:
        settings: whose folder or exchanges; of several exchanges the first one's candles.
        library: whose candles are read.
        symbols: which; those of the settings if None, and all that a folder holds if these name
            none.

    Raises:
        InputError: the folder can't be used.
        SettingsError: candles are to be read, and no symbols are named.
        SeriesStoreError: the store can't be read.
    """
    names = tuple(symbols if symbols is not None else settings.symbols)
    if not is_collected(settings):
        return read_folder(settings.bars or sample_folder(), names or None)
    if not names:
        raise SettingsError(
            "exchanges are named and no symbols; name these too, for example "
            "BRAIN_SYMBOLS=BTC/USDT,ETH/USDT"
        )
    bars: dict[str, Bars] = {}
    failures: list[Failure] = []
    for symbol in names:
        try:
            bars[symbol] = bars_of(
                library.series, settings.exchanges[0], symbol, settings.timeframe
            )
        except LibraryError:
            raise
        except BrainError as error:
            failures.append(Failure(symbol, error, symbol=symbol))
    return BarSet(bars, tuple(failures))


def bars_of(store: SeriesStore, exchange: str, symbol: str, timeframe: str) -> Bars:
    """One exchange's candles of a symbol's perpetual as checked bars.

    Args:
        store: the series store.
        exchange: its name, ``binance``.
        symbol: ``BTC/USDT`` or ``BTC/USDT:USDT``, by any of its names; the bars carry this one.
        timeframe: of the candles.

    Returns:
        The series on its grid; candles that were not to be had are rows of NaN, and ``repairs``
        counts them.

    Raises:
        InputError: the symbol has no perpetual, or the timeframe is none.
        UnknownSymbolError: the store holds no such candles.
        BarsError: the candles are broken, or more than half of them are missing.
        SeriesStoreError: the store can't be read.
    """
    parse_timeframe(timeframe)
    contract = store.present_name(symbol)
    candles = store.read("candles", symbol=contract, exchange=exchange, timeframe=timeframe)
    if candles.empty:
        raise UnknownSymbolError(
            f"the store holds no {timeframe} candles of {contract} on {exchange}; collect them "
            "first, or correct symbol, exchange or timeframe"
        )
    return check_bars(
        candles, symbol=symbol, timeframe=timeframe, source=f"{contract} on {exchange}"
    )
