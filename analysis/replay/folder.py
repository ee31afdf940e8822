"""The folder of a replay: a library of its own, and the state after its last complete night.

Beside the database, the artifacts and the series store that every job of the house works on, there
is a file for each night that is complete, and a savepoint: a copy of the database, and the versions
of the series store's tables, after the last one of them. Whatever a night that was stopped left in
the library is taken back to the savepoint before that night is done again, so a replay that was
killed at any moment is the same as one that was left alone.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from brain.brief import Brief
from brain.errors import InputError, LeaseError, LibraryError
from brain.series.store.store import SeriesStore
from registry.library import BrainLibrary

__all__ = ["Clock", "ReplayFolder", "Savepoint"]

_DATABASE, _SERIES, _ARTIFACTS = "mlflow.db", "series", "artifacts"
_OPTIONS, _LOCK, _NIGHTS = "options.json", "lock", "nights"
_SAVEPOINT, _NEW = "savepoint-", "new-"
_STATE = "savepoint.json"


@dataclass
class Clock:
    """The moment of a replay's night, for its series store."""

    moment: pd.Timestamp

    def __call__(self) -> pd.Timestamp:
        return self.moment


@dataclass(frozen=True, repr=False)
class Savepoint(Brief):
    """The state after a night.

    Attributes:
        nights: that are complete.
        moment: of the last one, ISO 8601; empty before the first.
        tables: versions of the series store's tables.
        bars: digests of each symbol's bars by then.
    """

    nights: int
    moment: str
    tables: Mapping[str, int]
    bars: Mapping[str, str]


class ReplayFolder:
    """A replay's folder.

    Args:
        folder: which; it is made if there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def dsn(self) -> str:
        """The tracking URI of the replay's library."""
        return f"sqlite:///{self.folder / _DATABASE}"

    @property
    def artifact_root(self) -> str:
        """Where the artifacts of the library's experiments go."""
        return (self.folder / _ARTIFACTS).as_uri()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder against other processes.

        Raises:
            LeaseError: another one holds it.
            LibraryError: it can't be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise LibraryError(
                f"the replay's folder {self.folder} can't be made: {error}; name another one by "
                "the setting replays"
            ) from error
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        try:
            import fcntl
        except ModuleNotFoundError:  # where there is no such lock, whoever starts two must know
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LeaseError(
                f"another process is at work on the replay in {self.folder}; wait for its end, or "
                "give this one another name"
            ) from error

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Compare what decides the replay's results with what a former start stored, if any.

        Raises:
            InputError: something differs.
        """
        file = self.folder / _OPTIONS
        if not file.exists():
            return
        stored, present = json.loads(file.read_text()), json.loads(json.dumps(options))
        differ = [
            f"{name}={present.get(name)!r} and was {stored.get(name)!r}"
            for name in sorted(stored.keys() | present.keys())
            if stored.get(name) != present.get(name)
        ]
        if differ:
            raise InputError(
                f"the replay in {self.folder} was begun with other options: {'; '.join(differ)}; "
                "go on with those, or give this one another name"
            )

    def write_options(self, options: Mapping[str, Any]) -> None:
        """Store them, for later starts to be compared with."""
        _write(self.folder / _OPTIONS, json.dumps(options, indent=1, sort_keys=True))

    # --- the library ----------------------------------------------------------------------------

    def open(self, experiment: str, clock: Clock) -> tuple[BrainLibrary, Savepoint]:
        """The library as it was after the last complete night, and that state.

        Args:
            experiment: of the nights.
            clock: of the series store.
        """
        savepoint = self._last()
        if savepoint is None:
            for name in (_DATABASE, *(f"{_DATABASE}-{end}" for end in ("journal", "wal", "shm"))):
                (self.folder / name).unlink(missing_ok=True)
            for name in (_SERIES, _ARTIFACTS, _NIGHTS):
                shutil.rmtree(self.folder / name, ignore_errors=True)
        else:
            copy = self.folder / f"{_SAVEPOINT}{savepoint.nights:06}" / _DATABASE
            _copy_database(copy, self.folder / _DATABASE)
        store = SeriesStore(self.folder / _SERIES, clock=clock)
        library = BrainLibrary(self.dsn, series=store)
        if savepoint is None:
            library.check(experiment, self.artifact_root)
            savepoint = Savepoint(0, "", {}, {})
            self.save(library, savepoint)
        else:
            store.restore(savepoint.tables)
        return library, savepoint

    def save(self, library: BrainLibrary, savepoint: Savepoint) -> None:
        """Make the library's present state the one that the next start goes on from.

        Args:
            library: of :meth:`open`.
            savepoint: the state; its tables are filled in here.
        """
        name = f"{_SAVEPOINT}{savepoint.nights:06}"
        new = self.folder / f"{_NEW}{name}"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        _copy_database(self.folder / _DATABASE, new / _DATABASE)
        state = {**vars(savepoint), "tables": library.series.versions()}
        (new / _STATE).write_text(json.dumps(state))
        former = self._savepoints()
        # From here on this one is the last.
        shutil.rmtree(self.folder / name, ignore_errors=True)
        new.rename(self.folder / name)
        for folder in former:
            if folder.name != name:
                shutil.rmtree(folder, ignore_errors=True)

    def _savepoints(self) -> list[Path]:
        return sorted(self.folder.glob(f"{_SAVEPOINT}*"))

    def _last(self) -> Savepoint | None:
        """The last one that is whole: a former one may be gone in part."""
        for folder in reversed(self._savepoints()):
            if (folder / _STATE).exists() and (folder / _DATABASE).exists():
                return Savepoint(**json.loads((folder / _STATE).read_text()))
        return None

    # --- the nights -----------------------------------------------------------------------------

    def write_night(self, number: int, document: Mapping[str, Any]) -> None:
        """Store what a night came to; it counts once there is a savepoint after it."""
        (self.folder / _NIGHTS).mkdir(exist_ok=True)
        _write(self.folder / _NIGHTS / f"{number:06}.json", json.dumps(document))

    def read_nights(self, count: int) -> list[dict[str, Any]]:
        """The documents of the first nights."""
        files = (self.folder / _NIGHTS / f"{number:06}.json" for number in range(1, count + 1))
        return [json.loads(file.read_text()) for file in files]


def _write(file: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    new = file.with_name(f"{_NEW}{file.name}")
    new.write_text(text)
    new.replace(file)


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database, into one that may be open; all of it or nothing."""
    with closing(sqlite3.connect(source)) as former, closing(sqlite3.connect(target)) as later:
        former.backup(later)
