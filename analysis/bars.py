"""Bars for an analysis that was given none: the one place where it reads from the market room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from market.source import read_series

if TYPE_CHECKING:
    from registry.bars import Bars
    from registry.errors import BrainError
    from registry.library import BrainLibrary
    from registry.settings import Settings

__all__ = ["read_bars"]


def read_bars(
    settings: Settings, library: BrainLibrary, symbols: Sequence[str]
) -> tuple[dict[str, Bars], dict[str, BrainError]]:
    """The symbols' bars by symbol, and why others can't be read.

    Raises:
        InputError: the folder of ``settings.bars`` can't be used.
        SeriesStoreError: collected candles can't be read.
    """
    read = read_series(settings, library, symbols)
    return read.series, read.failures
