"""Importing a folder: its files found, read one after another, and stored in batches.

Files of one series come in the order of their periods. A batch is stored as follows: gaps ahead,
then the rows, each kind in one commit, then the gaps that are left. So an import may be killed at
any moment and started again, and what is stored is whole: nothing of a file that is broken is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from brain.errors import BrainError, InputError, LibraryError, SeriesFileError
from brain.series.store.queries import to_timestamp
from brain.series.store.store import SeriesStore
from brain.work import Failure, Progress
from market.collection.gaps import GapRevision, SeriesKey, gaps_of, revise_gaps
from market.collection.grid import FixedGrid, Span, Times, as_stamp, as_times, held
from market.imports import binance, cryptodatadownload, freqtrade, own
from market.imports.archive import CHECKSUM
from market.imports.layout import Place, SeriesFile, UnkeptError
from market.imports.merge import Merge, merge_rows
from market.imports.record import Piece, SeriesRecord, grid_of
from market.imports.results import ImportResult, SeriesImport, Unread
from market.imports.rows import Rows

__all__ = ["import_path"]

logger = logging.getLogger(__name__)

# Each tells its own files by what no other's have.
_LAYOUTS = (binance.recognise, freqtrade.recognise, own.recognise, cryptodatadownload.recognise)
# Descriptions and what systems leave in folders.
_QUIET = (".md", ".txt", ".html", ".log", ".py", ".ini", ".toml", ".yaml", ".yml", ".db")
_NO_TIMES: Times = np.empty(0, dtype=np.int64)


def import_path(
    path: str | Path,
    store: SeriesStore,
    *,
    exchange: str | None = None,
    renew: object = None,
    progress: Progress | None = None,
    now: pd.Timestamp | None = None,
    batch_rows: int = 500_000,
) -> ImportResult:
    """Store what a file or the files of a folder hold; nothing is fetched.

    A repetition changes nothing, and an import that was killed is just started again.

    Args:
        path: of a folder, in any depth, or of one file.
        store: to be written; rows are stored under the names that the files have.
        exchange: of files in layouts that name none.
        renew: since when stored rows with other values are replaced by those of the files,
            whatever pandas takes as a time; None: they stay, and the difference is a failure.
        progress: called as each series is done, with its result and the number of files so far.
        now: the moment, UTC, at which rows must be over; the clock's if None.
        batch_rows: so many rows are stored together; these are some 100 MB.

    Returns:
        A result for each series. A file's fault is a typed failure there, and the others go on.

    Raises:
        InputError: there is no such path, no file there, or ``renew`` is no time.
        SeriesStoreError: the store can't be read or written; then nothing can go on.
    """
    folder = Path(path)
    paths = list(_paths(folder, Path(store.root)))
    if not paths:
        raise InputError(f"there are no files in {folder}; name the folder that holds them")
    work = _Import(
        store.by_own_names(),
        pd.Timestamp.now("UTC") if now is None else now,
        to_timestamp(renew, "renew"),
        progress,
        batch_rows,
    )
    work.find(folder, paths, exchange)
    work.run()
    return work.result()


def _paths(folder: Path, store: Path) -> Iterator[Path]:
    """The files in a folder that may be of series; the store's own are none."""
    if folder.is_file():
        yield folder
        return
    if not folder.is_dir():
        raise InputError(f"there is no file or folder {folder}; correct the path")
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (Path(parent) / name).absolute() != store
        )
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith((CHECKSUM, *_QUIET)):
                yield Path(parent) / name


@dataclass
class _Series:
    """A series that is imported.

    Attributes:
        result: as far as it is known.
        files: that are left, in the order of their periods.
        record: of its gaps; None until the store is asked.
    """

    result: SeriesImport
    files: list[SeriesFile]
    record: SeriesRecord | None = None


@dataclass
class _Batch:
    """What is stored next: frames by kind, and pieces by series."""

    frames: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    pieces: dict[SeriesKey, list[Piece]] = field(default_factory=dict)
    done: list[_Series] = field(default_factory=list)
    rows: int = 0


class _Import:
    """One import.

    Args:
        store: by its own names.
        now: the moment at which rows must be over.
        renew: since when stored rows are replaced; None: never.
        progress: called with each series.
        batch_rows: that are stored together.
    """

    def __init__(
        self,
        store: SeriesStore,
        now: pd.Timestamp,
        renew: pd.Timestamp | None,
        progress: Progress | None,
        batch_rows: int,
    ) -> None:
        self._store = store
        self._batch_rows = batch_rows
        self._now = now
        self._renew = renew
        self._progress = progress
        self._series: dict[SeriesKey, _Series] = {}
        self._failures: list[Failure] = []
        self._unread: list[Unread] = []
        self._batch = _Batch()
        self._files = 0
        self._files_done = 0

    # --- finding --------------------------------------------------------------------------------

    def find(self, folder: Path, paths: Iterable[Path], exchange: str | None) -> None:
        """Recognise the files, by series."""
        listed = _listed(self._store)
        root = folder if folder.is_dir() else folder.parent
        files: dict[SeriesKey, list[SeriesFile]] = {}
        for path in paths:
            name = path.relative_to(root).as_posix()
            try:
                file = _recognise(Place(path, name, exchange, listed))
            except UnkeptError as error:
                self._unread.append(Unread(name, str(error)))
            except SeriesFileError as error:
                self._failures.append(Failure(name, error))
            else:
                files.setdefault(file.key, []).append(file)
        for key in sorted(files):
            ordered = sorted(files[key], key=_order)
            self._series[key] = _Series(SeriesImport(key), ordered)
            self._files += len(ordered)

    # --- reading --------------------------------------------------------------------------------

    def run(self) -> None:
        """Read and store all of them.

        Raises:
            SeriesStoreError: the store can't be read or written.
        """
        for one in self._series.values():
            for file in one.files:
                self._read(one, file)
                self._files_done += 1
                if self._batch.rows >= self._batch_rows:
                    self._commit()
            self._batch.done.append(one)
        self._commit()

    def _read(self, one: _Series, file: SeriesFile) -> None:
        """Read a file into the batch."""
        record = self._record(one)
        try:
            rows = file.read(self._now)
        except LibraryError:
            raise
        except SeriesFileError as error:
            self._fail(file, error)
            if file.period is not None:
                piece = Piece(*file.period, times=_NO_TIMES, fault=str(error))
                self._batch.pieces.setdefault(file.key, []).append(piece)
            return
        one.result.files += 1
        one.result.rows += len(rows.frame)
        one.result.notes += [f"{file.name}: {note}" for note in rows.notes]
        if rows.hours is not None:
            record.hours = rows.hours
        if rows.error is not None:
            self._fail(file, rows.error)
        piece = _piece(file, rows)
        self._take(one, file, rows, piece)

    def _take(self, one: _Series, file: SeriesFile, rows: Rows, piece: Piece) -> None:
        """Add a file's rows to the batch, without those that are there or stored already."""
        record = self._record(one)
        pieces = self._batch.pieces.setdefault(file.key, [])
        if any(_share_times(piece, other) for other in pieces):
            self._commit()  # so that the rows of both files are compared
            pieces = self._batch.pieces.setdefault(file.key, [])
        pieces.append(piece)
        frame = rows.frame
        if held(piece.times, record.times).any():
            merge = merge_rows(self._store, file.key, frame, self._renew)
            frame = merge.new
            self._store_changes(one, file, merge)
        one.result.rows_new += len(frame)
        if len(frame):
            self._batch.frames.setdefault(file.key[2], []).append(frame)
            self._batch.rows += len(frame)

    def _store_changes(self, one: _Series, file: SeriesFile, merge: Merge) -> None:
        """Store the rows that complete stored ones, or replace them."""
        one.result.rows_filled += merge.filled
        one.result.rows_renewed += merge.renewed
        if len(merge.changed):
            self._store.upsert(file.key[2], merge.changed)
        if merge.error is not None:
            self._fail(file, merge.error)

    def _fail(self, file: SeriesFile, error: BrainError) -> None:
        failure = Failure(file.name, error, symbol=file.key[1])
        logger.warning("%s", failure)
        self._failures.append(failure)

    # --- storing --------------------------------------------------------------------------------

    def _commit(self) -> None:
        """Store the batch: gaps ahead, rows, then the gaps that are left."""
        batch, self._batch = self._batch, _Batch()
        scopes: dict[SeriesKey, Span] = {}
        for key, pieces in batch.pieces.items():
            scope = self._record(self._series[key]).scope(pieces)
            if scope is not None:
                scopes[key] = scope
        self._revise(self._record(self._series[key]).ahead(s) for key, s in scopes.items())
        for kind, frames in batch.frames.items():
            frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
            self._store.append(kind, frame)
        revisions: list[GapRevision | None] = []
        for key, scope in scopes.items():
            one = self._series[key]
            record = self._record(one)
            record.add(batch.pieces[key])
            revisions.append(record.after(scope))
            _extend(one.result, batch.pieces[key])
        self._revise(revisions)
        for one in batch.done:
            self._finish(one)

    def _revise(self, revisions: Iterable[GapRevision | None]) -> None:
        by_exchange: dict[str, list[GapRevision]] = {}
        for revision in revisions:
            if revision is not None:
                by_exchange.setdefault(revision.key[0], []).append(revision)
        for exchange, some in by_exchange.items():
            revise_gaps(self._store, exchange, some, self._now)

    def _finish(self, one: _Series) -> None:
        result = one.result
        if one.record is not None and result.start is not None and result.end is not None:
            result.gaps = tuple(one.record.gaps_in(Span(result.start, result.end, 0)))
        one.record = None  # its times are many
        if self._progress is not None:
            self._progress(result, self._files_done, self._files)

    def _record(self, one: _Series) -> SeriesRecord:
        """The record of a series, as it was when the series was first asked for."""
        if one.record is None:
            exchange, symbol, kind, timeframe = one.result.key
            times = self._store.times(
                kind, exchange=exchange, symbol=symbol, timeframe=timeframe or None
            )
            gaps = gaps_of(self._store.read("gaps", exchange=exchange, symbol=symbol))
            hours = _listed_hours(self._store, exchange, symbol) if kind == "funding" else None
            key = one.result.key
            one.record = SeriesRecord(key, as_times(times), gaps.get(key, []), hours)
        return one.record

    def result(self) -> ImportResult:
        """What came of it."""
        series = tuple(one.result for one in self._series.values())
        return ImportResult(series, tuple(self._failures), tuple(self._unread))


# --- helpers ------------------------------------------------------------------------------------


def _recognise(place: Place) -> SeriesFile:
    for recognise in _LAYOUTS:
        file = recognise(place)
        if file is not None:
            return file
    raise SeriesFileError(
        "it is not recognised; keep names and folders as they were published, or leave it out"
    )


def _order(file: SeriesFile) -> tuple[pd.Timestamp, str]:
    """By period; files that name none come last."""
    start = pd.Timestamp.max.tz_localize("UTC") if file.period is None else file.period[0]
    return start, file.name


def _piece(file: SeriesFile, rows: Rows) -> Piece:
    times = pd.DatetimeIndex(rows.frame["time"]).asi8  # sorted, each once
    if file.period is not None:
        return Piece(*file.period, times=times, impossible=rows.impossible)
    marks = [*times[:1], *times[-1:], *rows.impossible]
    if not marks:
        never = pd.Timestamp(0, tz="UTC")
        return Piece(never, never, times)
    grid = grid_of(file.key, None)
    step = grid.step if isinstance(grid, FixedGrid) else pd.Timedelta(microseconds=1)
    return Piece(as_stamp(min(marks)), as_stamp(max(marks)) + step, times, rows.impossible)


def _share_times(one: Piece, other: Piece) -> bool:
    if not (len(one.times) and len(other.times)):
        return False
    apart = one.times[0] > other.times[-1] or other.times[0] > one.times[-1]
    return not apart and bool(held(one.times, other.times).any())


def _extend(result: SeriesImport, pieces: Iterable[Piece]) -> None:
    """Extend the range of a result to what more pieces cover."""
    for piece in pieces:
        if piece.start < piece.end:
            start, end = piece.start, piece.end
            result.start = start if result.start is None else min(result.start, start)
            result.end = end if result.end is None else max(result.end, end)


def _listed(store: SeriesStore) -> Mapping[str, Mapping[str, str]]:
    """Symbols by instrument, by exchange, of earlier collections."""
    rows = store.read("instruments", columns=["exchange", "symbol", "instrument", "multiplier"])
    listed: dict[str, dict[str, str]] = {}
    for exchange, symbol, instrument, multiplier in rows.itertuples(index=False, name=None):
        if pd.isna(multiplier) or multiplier == 1:
            listed.setdefault(exchange, {})[instrument] = symbol
    return listed


def _listed_hours(store: SeriesStore, exchange: str, symbol: str) -> float | None:
    rows = store.read("instruments", exchange=exchange, symbol=symbol)
    hours = rows.sort_values("seen")["funding_interval_hours"].dropna()
    return float(hours.iloc[-1]) if len(hours) else None
