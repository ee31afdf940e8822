"""The bars of a job at a moment of the past: nothing that was not complete by then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from functools import cache

import pandas as pd

from brain.series.bars import Bars
from brain.series.source import BarSource, bars_with

__all__ = ["PastBars"]

_Reader = Callable[[str, tuple[str, ...]], Bars]


class PastBars:
    """A job's bars, read once, as they were at any moment.

    Args:
        bars: by symbol.
        columns: names of the own columns that they have.
    """

    def __init__(self, bars: Mapping[str, Bars], columns: Sequence[str]) -> None:
        self._symbols = tuple(bars)
        self._columns = tuple(columns)
        self._read: _Reader = cache(lambda symbol, own: bars_with(bars, symbol, own))

    def __iter__(self) -> Iterator[str]:
        return iter(self._symbols)

    def only(self, symbols: Sequence[str]) -> PastBars:
        """The same of some of the symbols."""
        some = copy(self)
        some._symbols = tuple(symbols)
        return some

    def whole(self, symbol: str) -> Bars:
        """A symbol's bars, those after every moment included; errors as of a :class:`BarSource`."""
        return self._read(symbol, self._columns)

    def at(self, moment: pd.Timestamp, symbols: Sequence[str]) -> BarSource:
        """The bars at a moment, as a night reads them.

        Args:
            moment: bars that close later are not there.
            symbols: that the night is of.
        """

        def reader(symbol: str, own: Sequence[str]) -> Bars:
            return self._read(symbol, tuple(own)).at(moment)

        return BarSource(symbols, reader, columns=self._columns)
