"""The result of an import: of each series and each file that failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from brain.text import count
from brain.work import Failure
from market.collection.gaps import SeriesKey
from market.collection.results import Gap
from market.imports.record import Piece

__all__ = ["ImportResult", "SeriesImport", "Unread"]


@dataclass
class SeriesImport:
    """One series after an import; numbers are of what its files cover.

    Attributes:
        key: exchange, symbol, kind and timeframe, which is empty for funding.
        files: how many were read whole.
        rows: in these.
        rows_new: of them, rows that were not stored before.
        rows_filled: of them, rows that were stored and lacked a value that they have.
        rows_renewed: of them, rows that were stored with other values, and replaced.
        start: of what the files cover, UTC; None if that is nothing.
        end: of that, exclusive.
        gaps: of the series in that range, as they are on record now.
        notes: on files: what was repaired.
    """

    key: SeriesKey
    files: int = 0
    rows: int = 0
    rows_new: int = 0
    rows_filled: int = 0
    rows_renewed: int = 0
    start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None
    gaps: tuple[Gap, ...] = ()
    notes: list[str] = field(default_factory=list)

    def extend(self, pieces: Iterable[Piece]) -> None:
        """Extend the range to what more files cover."""
        for piece in pieces:
            if piece.start < piece.end:
                self.start = piece.start if self.start is None else min(self.start, piece.start)
                self.end = piece.end if self.end is None else max(self.end, piece.end)

    @property
    def what(self) -> str:
        """The series in a few words, ``BTC/USDT:USDT binance candles 1h``."""
        exchange, symbol, kind, timeframe = self.key
        return " ".join(filter(None, (symbol, exchange, kind, timeframe)))

    @property
    def missing(self) -> int:
        """Rows that are missing in the range."""
        return sum(gap.count for gap in self.gaps)

    def __str__(self) -> str:
        return (
            f"{self.what}: {count(self.files, 'file')}, {self.rows:,} rows, {self.rows_new:,} new, "
            f"{self.missing:,} missing"
        )


@dataclass(frozen=True)
class Unread:
    """A file that was left alone.

    Attributes:
        name: of the file.
        reason: why.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class ImportResult:
    """The results of an import; no file is absent.

    Attributes:
        series: those of which any file was recognised, sorted.
        failures: a failure for each file that was not imported whole.
        unread: files of what is not kept.
    """

    series: tuple[SeriesImport, ...]
    failures: tuple[Failure, ...]
    unread: tuple[Unread, ...]

    @property
    def files(self) -> int:
        """Files that were read whole."""
        return sum(one.files for one in self.series)

    @property
    def rows_new(self) -> int:
        """Rows that were stored."""
        return sum(one.rows_new for one in self.series)

    def __str__(self) -> str:
        parts = [
            f"{count(self.files, 'file')} of {len(self.series):,} series",
            f"{sum(one.rows for one in self.series):,} rows, {self.rows_new:,} new",
            f"{sum(one.missing for one in self.series):,} missing",
        ]
        if filled := sum(one.rows_filled for one in self.series):
            parts.append(f"{filled:,} completed")
        if renewed := sum(one.rows_renewed for one in self.series):
            parts.append(f"{renewed:,} renewed")
        if self.unread:
            parts.append(f"{count(len(self.unread), 'file')} of what is not kept")
        parts.append(f"{count(len(self.failures), 'file')} failed")
        return ", ".join(parts)
