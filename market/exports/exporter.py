"""Exporting series of the store to files, one series after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from brain.errors import BrainError, InputError, LibraryError, SeriesFileError, did_you_mean
from brain.naming import parse_symbol, perpetual
from brain.series.bars import TIMEFRAMES, parse_timeframe
from brain.series.store.store import SeriesStore
from brain.text import count
from brain.work import Failure, Progress
from market.collection.gaps import SeriesKey
from market.collection.plan import HISTORIES
from market.exports.formats import Format, parse_format

__all__ = ["ExportResult", "ExportedSeries", "export_series"]

# Rows in memory at once: some 100 MB.
_ROWS = 500_000


@dataclass(frozen=True)
class ExportedSeries:
    """A series after an export.

    Attributes:
        key: exchange, symbol, kind and timeframe, which is empty for funding.
        files: that were written, relative to the folder; none if it has no place in the format.
        rows: that it has.
        first, last: the times of its first and last row.
        lacks: what of it has no place in the format, in words; empty: all has.
    """

    key: SeriesKey
    files: tuple[str, ...]
    rows: int
    first: pd.Timestamp
    last: pd.Timestamp
    lacks: str = ""

    @property
    def what(self) -> str:
        """The series in a few words, ``BTC/USDT:USDT binance candles 1h``."""
        exchange, symbol, kind, timeframe = self.key
        return " ".join(filter(None, (symbol, exchange, kind, timeframe)))

    def __str__(self) -> str:
        return f"{self.what}: {self.rows:,} rows"


@dataclass(frozen=True)
class ExportResult:
    """The results of an export.

    Attributes:
        series: those that were written, or have no place in the format.
        failures: a failure for each of the others.
    """

    series: tuple[ExportedSeries, ...]
    failures: tuple[Failure, ...]

    @property
    def files(self) -> int:
        """Files that were written."""
        return sum(len(one.files) for one in self.series)

    def __str__(self) -> str:
        rows = sum(one.rows for one in self.series if one.files)
        return (
            f"{count(self.files, 'file')} of {len(self.series):,} series, {rows:,} rows, "
            f"{len(self.failures):,} failed"
        )


def export_series(
    store: SeriesStore,
    folder: str | Path,
    form: str,
    *,
    exchanges: Sequence[str] = (),
    symbols: Sequence[str] = (),
    timeframe: str | None = None,
    progress: Progress | None = None,
) -> ExportResult:
    """Write candles, funding and open interest of the store to files.

    Files that are there are replaced, each once its successor is whole.

    Args:
        store: to be read; a series is written under the symbol that it is stored under.
        folder: of the files; it is made.
        form: one of :data:`market.exports.formats.FORMATS`.
        exchanges: only of these, ``binance`` or ``binance-spot``; all if empty.
        symbols: only of these; ``BTC/USDT`` means the perpetual and the pair of spot markets. All
            if empty.
        timeframe: of candles and open interest; all if None.
        progress: called as each series is done, with its result.

    Raises:
        InputError: there is no such format, symbol or timeframe, or the store holds no such series.
        SeriesStoreError: the store can't be read.
    """
    written = parse_format(form)
    if timeframe is not None:
        parse_timeframe(timeframe)
    store = store.by_own_names()
    chosen = list(_series(store, exchanges, _names(symbols), timeframe))
    if not chosen:
        raise InputError(_nothing(store, exchanges, symbols, timeframe))
    series: list[ExportedSeries] = []
    failures: list[Failure] = []
    for done, one in enumerate(chosen, 1):
        result = ExportedSeries(one.key, (), one.rows, one.first, one.last, written.lacks(one.key))
        try:
            files = _clear(written, one.key, series)
            if files:
                _write(store, Path(folder), written, one)
            result = ExportedSeries(
                one.key, tuple(files), one.rows, one.first, one.last, written.lacks(one.key)
            )
            series.append(result)
        except LibraryError:
            raise
        except BrainError as error:
            failures.append(Failure(result.what, error, symbol=one.key[1]))
        if progress is not None:
            progress(result, done, len(chosen))
    return ExportResult(tuple(series), tuple(failures))


@dataclass(frozen=True)
class _Extent:
    key: SeriesKey
    rows: int
    first: pd.Timestamp
    last: pd.Timestamp


def _series(
    store: SeriesStore, exchanges: Sequence[str], symbols: set[str], timeframe: str | None
) -> Iterator[_Extent]:
    for kind in HISTORIES:
        limit = None if kind == "funding" else timeframe
        found = store.extents(kind, exchange=exchanges or None, timeframe=limit)
        for row in found.to_dict("records"):
            if not symbols or row["symbol"] in symbols:
                key = (row["exchange"], row["symbol"], kind, row.get("timeframe", ""))
                yield _Extent(key, row["rows"], row["first"], row["last"])


def _names(symbols: Iterable[str]) -> set[str]:
    """The symbols as series may have them."""
    names: set[str] = set()
    for symbol in symbols:
        name = parse_symbol(symbol)
        names |= {name} if ":" in name else {name, perpetual(name)}
    return names


def _nothing(
    store: SeriesStore, exchanges: Sequence[str], symbols: Sequence[str], timeframe: str | None
) -> str:
    """Why nothing is to be written, and the cure."""
    extents = [store.extents(kind) for kind in HISTORIES]
    if not any(len(found) for found in extents):
        return f"the store at {store.root} holds no series; collect or import some first"
    for name, wanted in (("exchange", exchanges), ("symbol", symbols)):
        have = sorted({value for found in extents for value in found[name]})
        for value in wanted:
            if not ({value} if name == "exchange" else _names([value])) & set(have):
                return f"the store holds no series of {name} {value!r}; {did_you_mean(value, have)}"
    return (
        f"the store holds no such series at {timeframe or 'any timeframe'}; leave one of the "
        "limits out"
    )


def _clear(form: Format, key: SeriesKey, before: Iterable[ExportedSeries]) -> list[str]:
    """The files of a series, if no other series of the export has one of them.

    Raises:
        SeriesFileError: one has.
    """
    files = form.paths(key)
    for one in before:
        if set(files) & set(one.files):
            raise SeriesFileError(
                f"its file would be called {files[0]}, as that of {one.what}; export it alone, or "
                "in another format"
            )
    return files


def _write(store: SeriesStore, folder: Path, form: Format, one: _Extent) -> None:
    try:
        with ExitStack() as stack:
            write = form.open(folder, one.key, stack)
            for start, end in _parts(one):
                rows = _read(store, one.key, start, end)
                if len(rows):
                    write(rows)
    except OSError as error:
        raise SeriesFileError(
            f"it can't be written to {folder} ({error.strerror or error}); make the folder "
            "writable, or name another one"
        ) from error


def _parts(one: _Extent) -> Iterator[tuple[pd.Timestamp, pd.Timestamp]]:
    """Ranges that cover the series, each of so many rows at most."""
    end = one.last + pd.Timedelta(microseconds=1)
    step = TIMEFRAMES[one.key[3]] if one.key[3] else pd.Timedelta(hours=1)
    start = one.first
    while start < end:
        until = min(start + _ROWS * step, end)
        yield start, until
        start = until


def _read(
    store: SeriesStore, key: SeriesKey, start: pd.Timestamp, end: pd.Timestamp
) -> pd.DataFrame:
    exchange, symbol, kind, timeframe = key
    return store.read(
        kind,
        exchange=exchange,
        symbol=symbol,
        timeframe=timeframe or None,
        start=start,
        end=end,
    ).drop(columns="collected")
