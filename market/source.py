"""Where a job's bars are from: a folder of files, the collected candles, or the packaged sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from market.files import FolderBars, read_folder, sample_folder
from registry.errors import BrainError, LibraryError, SettingsError
from registry.market_bars import bars_of
from registry.naming import present_name

if TYPE_CHECKING:
    from registry.bars import Bars
    from registry.library import BrainLibrary
    from registry.settings import Settings

__all__ = ["describe_source", "is_collected", "read_series"]


def is_collected(settings: Settings) -> bool:
    """Whether bars come from the series store: exchanges are named, and no folder of bars is."""
    return bool(settings.exchanges) and settings.bars is None


def describe_source(settings: Settings) -> str:
    """Where the bars are from, for people."""
    if is_collected(settings):
        return f"{settings.timeframe} candles of {settings.exchanges[0]}"
    return str(settings.bars or sample_folder())


def read_series(
    settings: Settings, library: BrainLibrary, symbols: Sequence[str] | None = None
) -> FolderBars:
    """The symbols' bars, and why others can't be had.

    Args:
        library: whose candles are read, those of the first of the exchanges.
        symbols: which; those of the settings if None, and all that a folder holds if these name
            none.

    Raises:
        InputError: the folder can't be used.
        SettingsError: candles are to be read, and no symbols are named.
        SeriesStoreError: the store can't be read.
    """
    wanted = tuple(symbols if symbols is not None else settings.symbols)
    if not is_collected(settings):
        return read_folder(settings.bars or sample_folder(), wanted or None)
    if not wanted:
        raise SettingsError(
            "exchanges are named and no symbols; name these too, for example "
            "BRAIN_SYMBOLS=BTC/USDT,ETH/USDT"
        )
    series: dict[str, Bars] = {}
    failures: dict[str, BrainError] = {}
    for symbol in wanted:
        try:
            stored = present_name(symbol, settings.renamed)
            bars = bars_of(library.series, settings.exchanges[0], stored, settings.timeframe)
            series[symbol] = replace(bars, symbol=symbol)
        except LibraryError:
            raise
        except BrainError as error:
            failures[symbol] = error
    return FolderBars(series, failures)
