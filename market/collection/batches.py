"""Rows on their way to the store: gathered across series, and committed by one thread.

A commit costs some 0.1 s however few its rows are. So all rows are gathered, and committed together
once they are many, or have waited for some seconds, or no producer is at work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import pandas as pd

from brain.series.store.store import SeriesStore
from market.collection.gaps import GapRevision, revise_gaps

__all__ = ["Batches"]

T = TypeVar("T")


@dataclass
class _Batch:
    """What is stored next.

    Attributes:
        frames: rows by kind.
        rows: how many these are.
        revisions: of gaps, each with the time of its check.
        waiters: to be resolved when all of it is stored.
    """

    frames: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    rows: int = 0
    revisions: list[tuple[GapRevision, pd.Timestamp]] = field(default_factory=list)
    waiters: list[asyncio.Future[None]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.frames or self.revisions or self.waiters)


class Batches:
    """Gathers rows and gap revisions, and stores them: rows first, then the revisions.

    To be used within one event loop, as an async context manager; leaving it stores the rest.

    Args:
        store: the series store.
        rows: when so many wait, they are stored; when twice as many wait, :meth:`add` waits.
        seconds: that rows wait at most.
    """

    def __init__(self, store: SeriesStore, *, rows: int = 50_000, seconds: float = 5.0) -> None:
        self._store = store
        self._rows = rows
        self._seconds = seconds
        self._next = _Batch()
        self._producers = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Condition()
        self._error: BaseException | None = None
        self._closing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="series-store")
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        self._changed.set()
        try:
            if self._worker is not None:
                await self._worker
        finally:
            self._thread.shutdown()

    async def call(self, work: Callable[[], T]) -> T:
        """Work with the store, in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @contextmanager
    def producer(self) -> Iterator[None]:
        """A context that may add rows; while there is none, rows are stored without waiting."""
        self._producers += 1
        try:
            yield
        finally:
            self._producers -= 1
            self._changed.set()

    async def add(self, kind: str, frame: pd.DataFrame) -> None:
        """Add rows to be stored; waits while too many are waiting already.

        Raises:
            SeriesStoreError: an earlier batch could not be stored.
        """
        self._check()
        if len(frame) == 0:
            return
        async with self._room:
            await self._room.wait_for(lambda: self._next.rows < 2 * self._rows or self._error)
        self._check()
        self._next.frames.setdefault(kind, []).append(frame)
        self._next.rows += len(frame)
        self._changed.set()

    async def settle(self, revision: GapRevision | None, checked: pd.Timestamp) -> None:
        """Wait until all rows added so far are stored, and then the revision.

        Args:
            revision: of one series' gaps; None: there is none.
            checked: when the exchange was asked.

        Raises:
            SeriesStoreError: it could not be stored.
        """
        self._check()
        if revision is not None:
            self._next.revisions.append((revision, checked))
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._next.waiters.append(waiter)
        self._changed.set()
        await waiter

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    async def _work(self) -> None:
        while True:
            if not self._next:
                if self._closing:
                    return
                self._changed.clear()
                await self._changed.wait()
                continue
            await self._wait_for_more()
            batch, self._next = self._next, _Batch()
            try:
                await self.call(partial(_commit, self._store, batch))
            except BaseException as error:
                self._error = error
                raise
            finally:
                async with self._room:
                    self._room.notify_all()
                self._resolve(batch)
                if self._error is not None:
                    self._resolve(self._next)

    async def _wait_for_more(self) -> None:
        """Wait until the batch is worth a commit."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        while self._producers and self._next.rows < self._rows and not self._closing:
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _resolve(self, batch: _Batch) -> None:
        for waiter in batch.waiters:
            if waiter.done():
                continue
            if self._error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(self._error)


def _commit(store: SeriesStore, batch: _Batch) -> None:
    for kind, frames in batch.frames.items():
        store.upsert(kind, frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True))
    by_exchange: dict[str, list[tuple[GapRevision, pd.Timestamp]]] = {}
    for revision, checked in batch.revisions:
        by_exchange.setdefault(revision.key[0], []).append((revision, checked))
    for exchange, revisions in by_exchange.items():
        checked = max(time for _, time in revisions)
        revise_gaps(store, exchange, [revision for revision, _ in revisions], checked)
