"""What a file in a folder is, as far as its name and place tell: a series and a period, or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from market.collection.gaps import SeriesKey
from market.imports.rows import Rows

__all__ = ["Place", "SeriesFile", "UnkeptError"]

#: Reads a file: its path, the series that it is of, and the time by which rows must be over.
Reader = Callable[[Path, SeriesKey, pd.Timestamp], Rows]


class UnkeptError(Exception):
    """A file is of something that the store has no place for, such as single trades."""


@dataclass(frozen=True)
class Place:
    """Where a file is, and what is known beside it.

    Attributes:
        path: of the file.
        name: for people: relative to what is imported.
        exchange: that the caller names, for formats that name none; None: none is.
        listed: symbols by the exchange's own name of an instrument, by exchange.
    """

    path: Path
    name: str
    exchange: str | None
    listed: Mapping[str, Mapping[str, str]]

    @property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders above the file, the nearest last."""
        return self.path.absolute().parent.parts


@dataclass(frozen=True)
class SeriesFile:
    """A file of one series.

    Attributes:
        path, name: of the file, as of :class:`Place`.
        key: of the series.
        reader: of its rows.
        period: start and end, the end exclusive, that the file's name says; None: it says none.
    """

    path: Path
    name: str
    key: SeriesKey
    reader: Reader
    period: tuple[pd.Timestamp, pd.Timestamp] | None = None

    def read(self, now: pd.Timestamp) -> Rows:
        """Its rows.

        Args:
            now: by which these must be over.

        Raises:
            SeriesFileError: the file is broken, or isn't what its name says.
        """
        return self.reader(self.path, self.key, now)
