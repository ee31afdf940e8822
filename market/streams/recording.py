"""The recording: all that came over the WebSockets, as it came, for a stated time.

What a stream stores is a function of its recording alone. So a stream that was killed goes on from
its recording, and a mended reader of frames reads what the former one has read.

A recording is a folder of segments, and a segment a file of blocks: a length, a checksum, and
compressed lines, each an *entry*: when it came, what it is, of which connection, and its text. A
block that was torn by the end of a process ends its segment. The first entry of a segment is the
state of whoever reads it up to there, so that it can be read by itself.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa

from brain.disk import is_full
from brain.errors import InputError, SeriesStoreError, StorageFullError

__all__ = ["Entry", "Recording", "Segment", "read_segments"]

_MAGIC = b"BRF1"
_HEADER = struct.Struct("<4sIII")  # magic, bytes compressed, bytes of the lines, checksum
_CODEC = pa.Codec("zstd", compression_level=1)
_SUFFIX = ".frames"
_LARGEST_BLOCK = 1 << 28


class Entry(NamedTuple):
    """One thing that happened to a stream.

    Attributes:
        received: microseconds since 1970 by this machine's clock, in the order of the entries.
        event: ``state``, ``begin``, ``open``, ``frame``, ``lack``, ``close``, ``end``.
        connection: its number; 0 of all.
        text: of a frame as it came; else JSON.
    """

    received: int
    event: str
    connection: int
    text: str


@dataclass(frozen=True)
class Segment:
    """A file of a recording.

    Attributes:
        path: of the file.
        since: when its first entry came, in microseconds.
    """

    path: Path
    since: int

    def entries(self) -> Iterator[Entry]:
        """Its entries, up to the first block that is torn."""
        for block in self.blocks():
            yield from block

    def blocks(self) -> Iterator[list[Entry]]:
        """Its blocks, up to the first that is torn."""
        with self.path.open("rb") as file:
            while (lines := _next_block(file)) is not None:
                yield [_entry(line) for line in lines]


def read_segments(folder: Path) -> list[Segment]:
    """The segments of a recording, oldest first."""
    paths = sorted(folder.glob(f"*{_SUFFIX}"))
    return [Segment(path, int(path.name.removesuffix(_SUFFIX))) for path in paths]


class Recording:
    """Writes a recording; one process at a time.

    Args:
        folder: made if it is not there.

    Raises:
        InputError: another process writes there.
        SeriesStoreError: the folder can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise _fault(folder, error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise InputError(
                f"another stream records into {folder}; stop it, or name another folder "
                "(BRAIN_FRAMES)"
            ) from None
        self._file: IO[bytes] | None = None
        self._path: Path | None = None
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """Of the segment that is written."""
        return self._bytes

    def start_segment(self, state: Entry) -> None:
        """Begin another segment with a state."""
        self._close_file()
        path = self.folder / f"{state.received:020}{_SUFFIX}"
        try:
            self._file = path.open("xb", buffering=0)
        except FileExistsError:
            raise SeriesStoreError(
                f"the recording {path} is there already; this machine's clock was set back: wait "
                "until it has caught up, or name another folder (BRAIN_FRAMES)"
            ) from None
        except OSError as error:
            raise _fault(self.folder, error) from error
        self._path = path
        self._bytes = 0
        self.write([state])

    def write(self, entries: list[Entry]) -> None:
        """Write entries as a block; all of them are there, or none.

        Raises:
            StorageFullError: the disk is full.
            SeriesStoreError: the file can't be written.
        """
        if self._file is None or not entries:
            return
        block = _block(entries)
        try:
            written = self._file.write(block)
            if written != len(block):
                raise OSError(28, "No space left on device")
        except OSError as error:
            self._take_back()
            raise _fault(self.folder, error) from error
        self._bytes += len(block)

    def sync(self) -> None:
        """Bring what was written to the disk."""
        if self._file is not None:
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                raise _fault(self.folder, error) from error

    def expire(self, before: int) -> int:
        """Delete segments all of whose entries came before a moment, in microseconds.

        Returns:
            How many were deleted.
        """
        segments = read_segments(self.folder)
        old = [segment for segment, later in pairwise(segments) if later.since <= before]
        for segment in old:
            segment.path.unlink(missing_ok=True)
        return len(old)

    def close(self) -> None:
        """Let another process write."""
        self._close_file()
        os.close(self._lock)

    def _take_back(self) -> None:
        """Cut a torn block off, so that what follows can be read."""
        if self._file is not None:
            self._file.truncate(self._bytes)
            self._file.seek(self._bytes)

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _block(entries: list[Entry]) -> bytes:
    raw = "\n".join(map(_line, entries)).encode("utf-8", "surrogatepass")
    packed = _CODEC.compress(raw, asbytes=True)
    return _HEADER.pack(_MAGIC, len(packed), len(raw), zlib.crc32(packed)) + packed


def _line(entry: Entry) -> str:
    received, event, connection, text = entry
    if "\n" in text:  # none of JSON, but anything may come
        return f"{received}\t{event}!\t{connection}\t{json.dumps(text)}"
    return f"{received}\t{event}\t{connection}\t{text}"


def _next_block(file: IO[bytes]) -> list[str] | None:
    """The lines of the next block; None at the end, and where it is torn."""
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    magic, length, size, checksum = _HEADER.unpack(header)
    if magic != _MAGIC or length > _LARGEST_BLOCK or size > 16 * _LARGEST_BLOCK:
        return None
    packed = file.read(length)
    if len(packed) < length or zlib.crc32(packed) != checksum:
        return None
    raw = _CODEC.decompress(packed, decompressed_size=size, asbytes=True)
    return raw.decode("utf-8", "surrogatepass").split("\n")


def _entry(line: str) -> Entry:
    received, event, connection, text = line.split("\t", 3)
    if event.endswith("!"):
        event, text = event[:-1], json.loads(text)
    return Entry(int(received), event, int(connection), text)


def _fault(folder: Path, error: OSError) -> SeriesStoreError | StorageFullError:
    if is_full(error):
        return StorageFullError(
            f"the disk of the recording {folder} is full; free some space there"
        )
    return SeriesStoreError(
        f"the recording {folder} can't be written ({error.strerror}); make it writable, or name "
        "another folder (BRAIN_FRAMES)"
    )
