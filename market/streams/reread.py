"""Reads a recording again: the rows that it makes with the present reader of frames."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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
_NEW = "_merge == 'left_only'"


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
    work.store_listening(pd.Timestamp(segments[0].since, unit="us", tz="UTC"))
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

    def store_listening(self, since: pd.Timestamp) -> None:
        """Store what was listened to since a moment, in place of what is stored of it."""
        self.normaliser.note_listening()
        rows = self.normaliser.listening.take()
        if not rows:
            return
        fresh = listening_frame(rows)
        until = fresh["start"].max()
        for exchange, own in fresh.groupby("exchange"):
            self._store.revise(
                "listening",
                partial(self._revised, fresh=own, since=since, until=until),
                exchange=str(exchange),
                symbols=sorted(set(own["symbol"])),
            )

    def _revised(
        self, old: pd.DataFrame, fresh: pd.DataFrame, since: pd.Timestamp, until: pd.Timestamp
    ) -> pd.DataFrame:
        """The rows with those of a stretch of time replaced; what a stream goes on with stays."""
        old = old.drop(columns="collected")
        key = ["exchange", "symbol", "kind", "start"]
        same = old.merge(fresh, on=key, suffixes=("", " now"))
        longer = same[(same["reason"] == same["reason now"]) & (same["end"] > same["end now"])]
        outside = old[(old["start"] < since) | (old["start"] > until)]
        rows = pd.concat([outside, fresh, longer[old.columns]], ignore_index=True)
        rows = rows.drop_duplicates(key, keep="last", ignore_index=True)
        self.count("listening", len(rows.merge(old, how="left", indicator=True).query(_NEW)))
        return rows

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
