"""Importing a folder: its files found, and read one after another in the order of their periods.

Nothing of a file that is broken is stored, and an import may be killed at any moment and started
again, see :mod:`market.imports.storage`.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from brain.errors import BrainError, InputError, SeriesFileError
from brain.logs import FILE_ONLY
from brain.series.store.queries import to_timestamp
from brain.series.store.store import SeriesStore
from brain.work import Failure, Progress
from market.collection.gaps import SeriesKey
from market.exchanges.catalogue import check_exchange
from market.imports import binance, cryptodatadownload, freqtrade, own
from market.imports.archive import CHECKSUM
from market.imports.results import ImportResult, SeriesImport, Unread
from market.imports.rows import Rows
from market.imports.series_file import Place, SeriesFile, UnkeptError
from market.imports.storage import Part, Storage

__all__ = ["import_path"]

logger = logging.getLogger(__name__)

# Each tells its own files by what no other's have.
_FORMATS = (binance.recognise, freqtrade.recognise, own.recognise, cryptodatadownload.recognise)
# Files that are read ahead while a batch is stored: so many, and so many bytes on the disk.
_AHEAD, _AHEAD_BYTES = 12, 32 * 2**20
# Descriptions and what systems leave in folders.
_QUIET = (".md", ".txt", ".html", ".log", ".py", ".ini", ".toml", ".yaml", ".yml", ".db")


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
        exchange: of files in formats that name none.
        renew: since when stored rows with other values are replaced by those of the files,
            whatever pandas takes as a time; None: they stay, and the difference is a failure.
        progress: called as each series is done, with its result and the number of files so far.
        now: the moment, UTC, at which rows must be over; the clock's if None.
        batch_rows: so many rows are stored together; these are some 100 MB.

    Returns:
        A result for each series. A file's fault is a typed failure there, and the others go on.

    Raises:
        InputError: there is no such path, no file there, no such exchange, or ``renew`` is no time.
        SeriesStoreError: the store can't be read or written; then nothing can go on.
    """
    if exchange is not None:
        check_exchange(exchange)
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
        self._now = now
        self._progress = progress
        self._storage = Storage(store, now=now, renew=renew, batch_rows=batch_rows, fail=self._fail)
        self._files: dict[SeriesKey, list[SeriesFile]] = {}
        self._results: dict[SeriesKey, SeriesImport] = {}
        self._failures: list[Failure] = []
        self._unread: list[Unread] = []
        self._waiting: list[SeriesImport] = []
        self._before: SeriesFile | None = None
        self._done = 0

    def find(self, folder: Path, paths: Iterable[Path], exchange: str | None) -> None:
        """Recognise the files, by series."""
        listed = _listed(self._store)
        root = folder if folder.is_dir() else folder.parent
        for path in paths:
            name = path.relative_to(root).as_posix()
            try:
                file = _recognise(Place(path, name, exchange, listed))
            except UnkeptError as error:
                self._unread.append(Unread(name, str(error)))
            except Exception as error:
                if not isinstance(error, SeriesFileError):
                    logger.exception("%s failed", name)
                    error = _unexpected(error)
                self._note(Failure(name, error))
            else:
                self._files.setdefault(file.key, []).append(file)

    def run(self) -> None:
        """Read and store all of them: while a batch is stored the next files are read.

        Raises:
            SeriesStoreError: the store can't be read or written.
        """
        files = [
            file for key in sorted(self._files) for file in sorted(self._files[key], key=_order)
        ]
        with ThreadPoolExecutor(1, thread_name_prefix="files") as thread:
            for file, reading in _read_ahead(thread, files, self._now):
                result = self._result(file.key)
                self._note_twice(result, file)
                part = self._part(result, file, reading)
                self._done += 1
                if part is not None and self._storage.add(part):
                    self._finish()
        self._waiting += list(self._results.values())[-1:]
        self._storage.flush()
        self._finish()

    def _result(self, key: SeriesKey) -> SeriesImport:
        """The result of a series; where it is the next one, that before waits to be stored."""
        if key not in self._results:
            self._waiting += list(self._results.values())[-1:]
            self._results[key] = SeriesImport(key)
            self._storage.begin(self._results[key])
        return self._results[key]

    def _note_twice(self, result: SeriesImport, file: SeriesFile) -> None:
        """Tell of a file of the very period of the one before: files come by their periods."""
        before, self._before = self._before, file
        if before is None or file.period is None or before.key != file.key:
            return
        if before.period == file.period:
            result.notes.append(f"{file.name}: of the same period as {before.name}")

    def _part(self, result: SeriesImport, file: SeriesFile, reading: Future[Rows]) -> Part | None:
        try:
            rows = reading.result()
        except Exception as error:
            if not isinstance(error, SeriesFileError):
                logger.exception("%s failed", file.name)
                error = _unexpected(error)
            self._fail(file, error)
            return Part.failed(file, error)
        result.files += 1
        result.rows += len(rows.times)
        result.notes += [f"{file.name}: {note}" for note in rows.notes]
        if rows.error is not None:
            self._fail(file, rows.error)
        return Part.of(file, rows)

    def _finish(self) -> None:
        """Tell of the series that are stored whole: all but the one that is being read."""
        for result in self._waiting:
            self._storage.finish(result)
            if self._progress is not None:
                total = sum(map(len, self._files.values()))
                self._progress(result, self._done, total)
        self._waiting.clear()

    def _fail(self, file: SeriesFile, error: BrainError) -> None:
        self._note(Failure(file.name, error, symbol=file.key[1]))

    def _note(self, failure: Failure) -> None:
        logger.warning("%s", failure, extra=FILE_ONLY)
        self._failures.append(failure)

    def result(self) -> ImportResult:
        """What came of it."""
        series = tuple(self._results.values())
        return ImportResult(series, tuple(self._failures), tuple(self._unread))


# --- helpers ------------------------------------------------------------------------------------


def _recognise(place: Place) -> SeriesFile:
    for recognise in _FORMATS:
        file = recognise(place)
        if file is not None:
            return file
    raise SeriesFileError(
        "it is not recognised; keep names and folders as they were published, or leave it out"
    )


def _read_ahead(
    thread: Executor, files: Iterable[SeriesFile], now: pd.Timestamp
) -> Iterator[tuple[SeriesFile, Future[Rows]]]:
    """The files in their order, some of which are being read ahead."""
    ahead: deque[tuple[SeriesFile, Future[Rows]]] = deque()
    sizes: deque[int] = deque()
    for file in files:
        ahead.append((file, thread.submit(file.read, now)))
        sizes.append(_size(file.path))
        while len(ahead) > 1 and (len(ahead) > _AHEAD or sum(sizes) > _AHEAD_BYTES):
            sizes.popleft()
            yield ahead.popleft()
    yield from ahead


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _unexpected(error: Exception) -> SeriesFileError:
    return SeriesFileError(f"{type(error).__name__}: {error}; the log has the details, report it")


def _order(file: SeriesFile) -> tuple[pd.Timestamp, str]:
    """By period; files that name none come last."""
    start = pd.Timestamp.max.tz_localize("UTC") if file.period is None else file.period[0]
    return start, file.name


def _listed(store: SeriesStore) -> Mapping[str, Mapping[str, str]]:
    """Symbols by instrument, by exchange, of earlier collections."""
    rows = store.read("instruments", columns=["exchange", "symbol", "instrument", "multiplier"])
    listed: dict[str, dict[str, str]] = {}
    for exchange, symbol, instrument, multiplier in rows.itertuples(index=False, name=None):
        if pd.isna(multiplier) or multiplier == 1:
            listed.setdefault(exchange, {})[instrument] = symbol
    return listed
