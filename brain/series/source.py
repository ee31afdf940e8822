"""The source of a job's bars: a folder of files, candles of the series store, or the sample."""

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

__all__ = ["BarSet", "SeriesLibrary", "bars_of", "describe_source", "read_bars", "reads_store"]


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
        return f"{settings.timeframe} candles of {settings.exchanges[0]}"
    return str(settings.bars or sample_folder())


def read_bars(
    settings: Settings, library: SeriesLibrary, symbols: Sequence[str] | None = None
) -> BarSet:
    """The symbols' bars, and the failures of others.

    Args:
        settings: with the folder of bars, or the exchanges, of which the first one's candles are
            read.
        library: with the series store.
        symbols: to read; those of the settings if None, and all of a folder if there are none.

    Raises:
        InputError: the folder can't be used.
        SettingsError: the bars are from the series store, and there are no symbols.
        SeriesStoreError: the store can't be read.
    """
    names = tuple(symbols if symbols is not None else settings.symbols)
    if not reads_store(settings):
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
        store: with the candles.
        exchange: of the candles, ``binance``.
        symbol: ``BTC/USDT`` or ``BTC/USDT:USDT``, the present or a former name; the bars get it.
        timeframe: of the candles.

    Returns:
        The series on its grid; missing candles are rows of NaN, and ``repairs`` counts them.

    Raises:
        InputError: the symbol has no perpetual, or there is no such timeframe.
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
