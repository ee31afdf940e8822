"""Brings a stream to the disk: entries to the recording, and then what they say to the store.

Nothing is in the store whose entries are not in the recording. What can't be written now is kept,
and written later; while too much is kept, there is no room, and nothing more is read.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from brain.errors import SeriesStoreError, StorageFullError
from brain.series.store.store import SeriesStore
from market.streams.frames import listening_frame, row_frames
from market.streams.listening import ListeningRow
from market.streams.normaliser import Normaliser, Rows
from market.streams.pace import Pace
from market.streams.recording import Entry, Recording, read_segments

__all__ = ["Counts", "Stored", "Writer", "recover", "store_rows", "write_checkpoint"]

logger = logging.getLogger(__name__)

_CHECKPOINT = "stored.json"
# So many rows are committed before their time.
_MANY_ROWS = 20_000
# So many entries or rows may wait for a disk; an entry is some 500 bytes.
_MOST_WAITING = 400_000

#: Called with the kind and the rows of it that were stored.
Stored = Callable[[str, pd.DataFrame], None]


@dataclass
class Counts:
    """What was stored, by kind.

    Attributes:
        rows: that are new.
        repeated: rows that were stored already.
    """

    rows: dict[str, int] = field(default_factory=dict)
    repeated: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, rows: int, repeated: int) -> None:
        """Count more."""
        self.rows[kind] = self.rows.get(kind, 0) + rows
        self.repeated[kind] = self.repeated.get(kind, 0) + repeated


def store_rows(
    store: SeriesStore,
    rows: Rows,
    listening: list[ListeningRow],
    counts: Counts | None = None,
    stored: Stored | None = None,
) -> None:
    """Store rows of streams, and then what was listened to.

    A row that is stored already stays as it is: it is the first that came, or the exchange's
    history.

    Raises:
        SeriesStoreError: the store can't be written.
    """
    for kind, frame in row_frames(rows).items():
        done = store.append(kind, frame)
        if counts is not None:
            counts.add(kind, done.inserted, len(getattr(rows, kind)) - done.inserted)
        if stored is not None:
            stored(kind, frame)
    if listening:
        store.upsert("listening", listening_frame(listening))


class Writer:
    """Writes what a stream takes in. To be used within one event loop.

    Args:
        recording: of the stream.
        store: the series store.
        normaliser: that has taken all entries.
        pace: how often.
        stored: called in the writer's thread with what was stored.

    Attributes:
        room: set while there is room for more.
        counts: of the rows.
        stored_at: when all up to then was stored, in seconds since 1970.
    """

    def __init__(
        self,
        recording: Recording,
        store: SeriesStore,
        normaliser: Normaliser,
        pace: Pace,
        stored: Stored | None = None,
    ) -> None:
        self._recording, self._store, self._normaliser = recording, store, normaliser
        self._pace, self._stored = pace, stored
        self._entries: list[Entry] = []
        self._rows: list[Rows] = []
        self._listening: dict[tuple[object, int], ListeningRow] = {}
        self._threads = {
            name: ThreadPoolExecutor(1, thread_name_prefix=f"stream-{name}")
            for name in ("recording", "store")
        }
        self._segment_since = 0
        self._stored_since = _checkpoint(recording.folder)
        self._segment_at = 0.0
        self.room = asyncio.Event()
        self.room.set()
        self.counts = Counts()
        self._troubles: dict[str, str] = {}
        self._many, self._stopping = asyncio.Event(), asyncio.Event()
        self._recording_lock = asyncio.Lock()
        self.stored_at = time.time()

    @property
    def trouble(self) -> str:
        """Why something can't be written at present; empty: it can."""
        return "; ".join(self._troubles.values())

    def take(self, entry: Entry) -> None:
        """Have an entry recorded, and what it says stored."""
        self._entries.append(entry)
        self._normaliser.take(entry)
        if len(self._normaliser.rows) > _MANY_ROWS:
            self._many.set()
        if len(self._entries) > _MOST_WAITING or len(self._normaliser.rows) > _MOST_WAITING:
            self.room.clear()

    async def run(self, now: Callable[[], int]) -> None:
        """Write until :meth:`finish`; to be awaited, for a write that is cancelled is none.

        Args:
            now: the clock of the entries, in microseconds.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._flush_always(now))
            group.create_task(self._commit_always())

    def stop(self) -> None:
        """Let :meth:`run` come to its end."""
        self._stopping.set()
        self._many.set()

    async def finish(self) -> None:
        """Write all that is left, after :meth:`run` has come to its end.

        Raises:
            SeriesStoreError: it can't be written; the recording has what it has.
        """
        try:
            await self._commit()
        finally:
            for thread in self._threads.values():
                thread.shutdown()

    async def start_segment(self, now: int) -> None:
        """Begin a segment of the recording.

        Raises:
            SeriesStoreError: it can't be written; the recording goes on in the present one.
        """
        await self._record(now)

    # --- the recording ----------------------------------------------------------------------------

    async def _flush_always(self, now: Callable[[], int]) -> None:
        while not await self._stopped_within(self._pace.flush):
            age = time.monotonic() - self._segment_at
            full = age > self._pace.segment or self._recording.bytes > self._pace.segment_bytes
            try:
                await self._record(now() if full else None)
            except (SeriesStoreError, StorageFullError) as error:
                self._note("recording", error)
            else:
                self._troubles.pop("recording", None)

    async def _record(self, segment: int | None = None) -> None:
        """Write all entries so far, and begin a segment if it is given a time."""
        async with self._recording_lock:
            entries, self._entries = self._entries, []
            # Of this very moment: what comes from here on stands in the next segment.
            text = None if segment is None else self._normaliser.state()
            try:
                await self._in("recording", lambda: self._write(entries))
            except (SeriesStoreError, StorageFullError):
                self._entries = entries + self._entries
                raise
            if text is None or segment is None:
                return
            state = Entry(segment, "state", 0, text)
            # What is not stored yet is kept, however old it is.
            before = min(segment - int(1e6 * self._pace.keep), self._stored_since)
            await self._in("recording", lambda: self._recording.start_segment(state))
            await self._in("recording", lambda: self._recording.expire(before))
            self._segment_since, self._segment_at = segment, time.monotonic()

    def _write(self, entries: list[Entry]) -> None:
        self._recording.write(entries)
        self._recording.sync()

    # --- the store --------------------------------------------------------------------------------

    async def _commit_always(self) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            due = max(begun + self._pace.commit, loop.time())  # however long one takes
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._many.wait()
            if self._stopping.is_set():
                return
            self._many.clear()
            begun = loop.time()
            try:
                await self._commit()
            except (SeriesStoreError, StorageFullError) as error:
                self._note("store", error)
            else:
                self._troubles.pop("store", None)
                self.room.set()

    async def _commit(self) -> None:
        """Store all rows so far, whose entries are recorded first."""
        moment, since = time.time(), self._segment_since
        self._normaliser.note_listening()
        self._rows.append(self._normaliser.take_rows())
        for row in self._normaliser.listening.take():
            self._listening[row.series, row.start] = row
        await self._record()
        listening = list(self._listening.values())
        await self._in("store", lambda: self._store_all(listening, since))
        for row in listening:
            if self._listening.get((row.series, row.start)) == row:
                del self._listening[row.series, row.start]
        self._stored_since = since
        self.stored_at = moment

    def _store_all(self, listening: list[ListeningRow], since: int) -> None:
        while self._rows:
            store_rows(self._store, self._rows[0], [], self.counts, self._stored)
            del self._rows[0]
        store_rows(self._store, Rows(), listening)
        write_checkpoint(self._recording.folder, since)

    def _note(self, what: str, error: Exception) -> None:
        if what not in self._troubles:
            logger.error("what came is kept in memory for now: %s", error)
        self._troubles[what] = str(error)
        waiting = len(self._entries) + len(self._normaliser.rows) + sum(map(len, self._rows))
        if waiting > _MOST_WAITING:
            self.room.clear()

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def _in(self, thread: str, work: Callable[[], object]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads[thread], work)


def write_checkpoint(folder: Path, since: int) -> None:
    """Note that all before a segment is stored.

    Args:
        folder: of the recording.
        since: when the segment begins, in microseconds.
    """
    path = folder / _CHECKPOINT
    if _checkpoint(folder) == since:
        return
    fresh = path.with_suffix(".new")
    try:
        fresh.write_text(json.dumps({"since": since}))
        fresh.replace(path)
    except OSError as error:
        raise SeriesStoreError(f"{path} can't be written: {error.strerror}") from error


def _checkpoint(folder: Path) -> int:
    try:
        return int(json.loads((folder / _CHECKPOINT).read_text())["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def recover(folder: Path, normaliser: Normaliser, store: SeriesStore) -> Entry | None:
    """Have a normaliser take what a former stream recorded, and store what that did not.

    Returns:
        The last entry; None: there is no recording.
    """
    since, last = _checkpoint(folder), None
    segments = read_segments(folder)
    first = [segment for segment in segments if segment.since >= since] or segments[-1:]
    for segment in first:
        for block in segment.blocks():
            for last in block:
                normaliser.take(last)
            if len(normaliser.rows) > _MANY_ROWS:
                store_rows(store, normaliser.take_rows(), [])
        store_rows(store, normaliser.take_rows(), [])
    if last is not None:
        normaliser.note_listening()
        store_rows(store, Rows(), normaliser.listening.take())
    return last
