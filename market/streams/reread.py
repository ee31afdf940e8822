"""Reads a recording again: the rows that it makes with the present reader of frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from brain.errors import InputError
from brain.series.store.store import SeriesStore
from market.streams.frames import listening_frame, row_frames
from market.streams.normaliser import Normaliser
from market.streams.recording import read_segments

__all__ = ["reread"]

# Candles are the exchange's history as soon as that is collected, which knows better.
_REPLACED = ("liquidations", "snapshots")
_MANY = 100_000


def reread(
    folder: Path, store: SeriesStore, *, progress: Callable[[object, int, int], None] | None = None
) -> dict[str, int]:
    """Store what a recording says, in place of what a former reader made of the same frames.

    A running stream is not disturbed; what it has not yet written is not read.

    Args:
        folder: of the recording.
        store: the series store, by its own names.
        progress: called after each segment.

    Returns:
        Rows that were new or changed, by kind.

    Raises:
        InputError: there is no recording.
        SeriesStoreError: the store can't be written.
    """
    segments = read_segments(folder)
    if not segments:
        raise InputError(f"{folder} holds no recording; name its folder (BRAIN_FRAMES)")
    work = _Rereading(store)
    for done, segment in enumerate(segments, start=1):
        for block in segment.blocks():
            for entry in block:
                work.normaliser.take(entry)
            if len(work.normaliser.rows) > _MANY:
                work.store_rows()
        work.store_rows()
        if progress is not None:
            progress(segment.path.name, done, len(segments))
    work.normaliser.note_listening()
    listening = work.normaliser.listening.take()
    if listening:
        counts = store.upsert("listening", listening_frame(listening))
        work.count("listening", counts.inserted + counts.updated)
    return work.counts


class _Rereading:
    def __init__(self, store: SeriesStore) -> None:
        self.normaliser = Normaliser()
        self.counts: dict[str, int] = {}
        self._store = store
        # When each liquidation came first: a repetition must not change it.
        self._known: set[tuple[object, ...]] = set()

    def store_rows(self) -> None:
        rows = self.normaliser.take_rows()
        rows.liquidations = [row for row in rows.liquidations if self._is_first(row)]
        for kind, frame in row_frames(rows).items():
            self.count(kind, self._store_frame(kind, frame))

    def count(self, kind: str, rows: int) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + rows

    def _store_frame(self, kind: str, frame: pd.DataFrame) -> int:
        if kind not in _REPLACED:
            return self._store.append(kind, frame).inserted
        counts = self._store.upsert(kind, frame)
        return counts.inserted + counts.updated

    def _is_first(self, row: tuple[object, ...]) -> bool:
        exchange, _, _, liquidation = row
        key = (exchange, *liquidation[:3])  # type: ignore[index]  # symbol, time, order
        if key in self._known:
            return False
        self._known.add(key)
        return True
