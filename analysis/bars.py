"""Bars for an analysis that was given none.

The one place where the analysis reads from the market room, until series come from the Brain
Library.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from market.files import read_folder, sample_folder

if TYPE_CHECKING:
    from registry.bars import Bars
    from registry.errors import BrainError
    from registry.settings import Settings

__all__ = ["read_bars"]


def read_bars(
    settings: Settings, symbols: Sequence[str]
) -> tuple[dict[str, Bars], dict[str, BrainError]]:
    """The symbols' bars by symbol, and why others can't be read.

    Raises:
        InputError: the folder of ``settings.bars`` can't be used.
    """
    read = read_folder(settings.bars or sample_folder(), symbols)
    return read.series, read.failures
