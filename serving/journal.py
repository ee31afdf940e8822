"""The journal of a symbol's decisions: append-only lines of JSON in numbered files.

A line is written by one ``write()`` before the decision that it tells is returned, so a process
that is killed loses none that was returned. Files are synchronised with the disk when they are
rotated and closed, and not by line: the operating system holds the last seconds, which a machine
that loses its power may lose. A line that a kill has cut off is cut off when the journal is opened
again.

Every line is an object with the format's version ``v`` and one entry by its name:

``open``
    The first line of each file: the model key, the close of the last bar before the file, and the
    book (:mod:`serving.book`) at that bar.
``champions``
    From here on these decide: cells by regime, the newest version's end of training, the cost of
    trading, and the limits of the desk.
``bar``
    A bar and its decision: all that was given, the moment, and what came of it. A bar without
    ``given`` is one that the calendar expected and nobody gave.
``warm``
    A bar of a warm-up, on which nothing is decided.
``row``
    A row of another kind than bars.
``switch``
    Why nothing may be held from now on by a call; empty if it may again.

Floats are written so that they are read back to the last bit; null is NaN.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from brain.errors import InputError, LibraryError, StorageFullError

__all__ = ["FORMAT", "SymbolJournal", "line", "number", "text", "value"]

#: The version of the lines' format.
FORMAT = 1
_ROTATE_BYTES = 64 * 2**20
_BLOCK = 65_536


def line(name: str, entry: str) -> str:
    """A line of an entry that is JSON already."""
    return f'{{"v":{FORMAT},"{name}":{entry}}}\n'


def number(x: float) -> str:
    """A float as JSON, to the last bit; NaN is null."""
    return "null" if math.isnan(x) else repr(x)


text = json.encoder.encode_basestring_ascii


def value(entry: float | None) -> float:
    """The inverse of :func:`number`."""
    return math.nan if entry is None else float(entry)


class SymbolJournal:
    """One symbol's journal, which one process writes at a time.

    Args:
        folder: of its files; made if it is missing.
        writes: whether lines are to be written; else the journal is only read.
        rotate_bytes: from which a file is full.

    Raises:
        InputError: another process writes the journal.
        LibraryError: its files can't be opened.
    """

    def __init__(
        self, folder: Path, *, writes: bool = True, rotate_bytes: int = _ROTATE_BYTES
    ) -> None:
        self.folder = folder
        self.model = folder.name
        self._rotate_bytes = rotate_bytes
        self._waiting = b""
        self._descriptor = -1
        self._size = 0
        if not writes:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for part in folder.glob("*.part"):  # of a rotation that was killed
                part.unlink()
            if files := self.files:
                self._open(files[-1])
        except OSError as error:
            raise self._failure("opened", error) from error

    @property
    def files(self) -> list[Path]:
        """The files, oldest first."""
        return sorted(self.folder.glob("*.jsonl"))

    @property
    def full(self) -> bool:
        """Whether it is time to rotate."""
        return self._size >= self._rotate_bytes

    def write(self, lines: str) -> None:
        """Append lines by one ``write()``.

        What a failed call could not write is written by the next, before its own.

        Raises:
            StorageFullError, LibraryError: the lines are not, or not all, written.
        """
        self._waiting += lines.encode("ascii")
        try:
            written = os.write(self._descriptor, self._waiting)
        except OSError as error:
            raise self._failure("written", error) from error
        self._size += written
        self._waiting = self._waiting[written:]
        if self._waiting:
            raise StorageFullError(
                f"the journal {self.folder} can't be written to its end; free some space"
            )

    def flush(self) -> None:
        """Write what a failed call could not."""
        if self._waiting:
            self.write("")

    def rotate(self, first: str) -> None:
        """Begin a new file with its first line, whole or not at all.

        Raises:
            StorageFullError, LibraryError: it can't be written.
        """
        try:
            if self._descriptor >= 0:
                self.flush()
                os.fsync(self._descriptor)
            files = self.files
            following = int(files[-1].stem) + 1 if files else 1
            path = self.folder / f"{following:06d}.jsonl"
            part = path.with_suffix(".part")
            with part.open("wb") as file:
                file.write(first.encode("ascii"))
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
            self._close()
            self._open(path)
        except OSError as error:
            raise self._failure("rotated", error) from error

    def close(self) -> None:
        """Synchronise and close; the journal can be opened again."""
        if self._descriptor >= 0:
            with suppress(OSError):
                os.fsync(self._descriptor)
            self._close()

    def entries(self, files: list[Path]) -> Iterator[tuple[str, Any]]:
        """The names and entries of all lines of files; a last line that was cut off is none.

        Raises:
            InputError: a newer program wrote the journal.
            LibraryError: a line can't be read.
        """
        for path in files:
            try:
                with path.open("rb") as file:
                    for place, raw in enumerate(file, start=1):
                        if raw.endswith(b"\n"):
                            yield self._parse(raw, f"{path}, line {place}")
            except OSError as error:
                raise self._failure("read", error) from error

    def files_after(self, close: int | None) -> list[Path]:
        """The newest files that have all bars after a close; all if None."""
        files = self.files
        if close is None:
            return files
        for at in range(len(files) - 1, 0, -1):
            _, entry = next(self.entries(files[at : at + 1]))
            if entry["after"] is not None and entry["after"] <= close:
                return files[at:]
        return files

    def _parse(self, raw: bytes, place: str) -> tuple[str, Any]:
        try:
            fields = json.loads(raw)
            version = fields.pop("v")
            ((name, entry),) = fields.items()
        except (ValueError, KeyError, AttributeError) as error:
            raise LibraryError(
                f"{place} is no line of a journal; restore the file, or begin a new journal"
            ) from error
        if version != FORMAT:
            raise InputError(
                f"{place} has format {version}, not {FORMAT}; use the program that wrote it"
            )
        return name, entry

    def _open(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        self._lock()
        self._size = _whole_lines(self._descriptor)
        os.ftruncate(self._descriptor, self._size)

    def _lock(self) -> None:
        try:
            import fcntl
        except ModuleNotFoundError:  # where there is no such lock, whoever starts two must know
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._close()
            raise InputError(
                f"another process writes the journal {self.folder}; end it, or name another folder"
            ) from error

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _failure(self, verb: str, error: OSError) -> LibraryError:
        import errno

        kind = (
            StorageFullError
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            else LibraryError
        )
        return kind(
            f"the journal {self.folder} can't be {verb} ({error.strerror}); nothing is to be "
            "traded on a decision that is not in it"
        )


def _whole_lines(descriptor: int) -> int:
    """The bytes up to the last end of a line."""
    size = os.fstat(descriptor).st_size
    end = size
    while end:
        start = max(0, end - _BLOCK)
        block = os.pread(descriptor, end - start, start)
        if (at := block.rfind(b"\n")) >= 0:
            return start + at + 1
        end = start
    return 0
