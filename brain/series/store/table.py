"""One kind's Delta table: found, made, brought to today's layout; conflicts told from faults."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import pyarrow as pa
from deltalake import (
    CommitProperties,
    DeltaTable,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from brain.errors import SeriesStoreError
from brain.series.store.object_store import check_answers, is_s3
from brain.series.store.queries import ask
from brain.series.store.schema import Kind
from brain.series.store.sync import set_broken_summary_aside, sync_commits

__all__ = ["WRITER", "SeriesTable", "locks", "until_committed"]

logger = logging.getLogger(__name__)

Done = TypeVar("Done")

#: The application transaction whose version is the layout's. It changes with the rows, in one
#: commit.
_LAYOUT = "brain-layout"
_GIVE_UP_SECONDS = 300.0
_LONGEST_PAUSE_SECONDS = 2.0
WRITER = WriterProperties(compression="ZSTD", compression_level=1)


def locks(names: Iterable[str], layout: int | None = None) -> CommitProperties:
    """A commit that fails if another one, since the table was read, names one of these too.

    Delta lets two appends pass each other, also if both store the same key. As application
    transactions, named by the partitions that they write to, they conflict.

    Args:
        names: of partitions, as ``binance/2026-11``.
        layout: the layout that the table has with this commit, if it is another one than before.
    """
    found = [Transaction(name, int(time.time())) for name in names]
    if layout is not None:
        found.append(Transaction(_LAYOUT, layout))
    return CommitProperties(app_transactions=found)


def until_committed(work: Callable[[], Done]) -> Done:
    """Do it again, after a random pause, as long as other writers get in between.

    Raises:
        CommitFailedError: five minutes have not sufficed.
    """
    deadline = time.monotonic() + _GIVE_UP_SECONDS
    pause = 0.02
    while True:
        try:
            return work()
        except CommitFailedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0, pause))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


class SeriesTable:
    """The table of one kind.

    A thread has its own view of the table, so that a commit is held against what that very thread
    has read.

    Args:
        kind: of the series.
        address: folder or ``s3://`` address of the table.
        options: gives deltalake's storage options of this moment.
    """

    def __init__(self, kind: Kind, address: str, options: Callable[[], dict[str, str]]) -> None:
        self.kind = kind
        self.address = address
        self._options = options
        self._views = threading.local()

    def find(self) -> DeltaTable | None:
        """The table as it is now, in today's layout; None if there is none yet.

        Raises:
            SeriesStoreError: it has a newer layout.
        """
        options = self._options()
        view, used = getattr(self._views, "view", None), getattr(self._views, "options", None)
        if view is None or used != options:
            if is_s3(self.address):
                check_answers(self.address, options)
            try:
                view = self._open(options)
            except TableNotFoundError:
                return None
            self._views.view, self._views.options = view, options
        else:
            view.update_incremental()
        return self._in_todays_layout(view)

    def _open(self, options: dict[str, str]) -> DeltaTable:
        try:
            return DeltaTable(self.address, storage_options=options)
        except TableNotFoundError:
            raise
        except (DeltaError, OSError, ValueError):
            if not set_broken_summary_aside(self.address):
                raise
            return DeltaTable(self.address, storage_options=options)

    def make(self) -> DeltaTable:
        """The table as it is now; made if there is none."""
        found = self.find()
        while found is None:
            try:
                DeltaTable.create(
                    self.address,
                    schema=self.kind.schema,
                    partition_by=self.kind.partitions,
                    name=self.kind.name,
                    storage_options=self._options(),
                    commit_properties=locks([], layout=self.kind.version),
                )
            except (CommitFailedError, DeltaError) as error:
                if not _made_by_another(error):
                    raise
            else:
                sync_commits(self.address, -1, 0)
            found = self.find()
        return found

    def forget(self) -> None:
        """Open the table anew when it is next asked for."""
        self._views.__dict__.clear()

    def _in_todays_layout(self, view: DeltaTable) -> DeltaTable:
        layout = view.transaction_version(_LAYOUT) or 1
        if layout == self.kind.version:
            return view
        if layout > self.kind.version:
            raise SeriesStoreError(
                f"the {self.kind.name} at {self.address} have layout {layout}, and this program "
                f"knows layout {self.kind.version}; update the program"
            )
        self._migrate(view, layout)
        view.update_incremental()
        return self._in_todays_layout(view)

    def _migrate(self, view: DeltaTable, layout: int) -> None:
        rows = ask(view, "SELECT * FROM series")
        rows = rows.cast(pa.schema(_plain(field) for field in rows.schema))
        since, names = view.version(), ["/".join(part.values()) for part in view.partitions()]
        for step in range(layout, self.kind.version):
            rows = self.kind.migrations[step](rows)
        rows = rows.select(self.kind.schema.names).cast(self.kind.schema)
        try:
            write_deltalake(
                view,
                rows,
                mode="overwrite",
                schema_mode="overwrite",
                partition_by=self.kind.partitions,
                writer_properties=WRITER,
                commit_properties=locks(names, layout=self.kind.version),
            )
        except CommitFailedError:
            return  # somebody else has migrated or written; look again
        sync_commits(self.address, since, view.version())
        logger.warning(
            "migrated the %s at %s from layout %d to %d, %d rows",
            self.kind.name, self.address, layout, self.kind.version, len(rows),
        )  # fmt: skip


def _plain(field: pa.Field) -> pa.Field:
    """A column as it is stored; deltalake answers in views of text."""
    return field.with_type(pa.string()) if pa.types.is_string_view(field.type) else field


def _made_by_another(error: Exception) -> bool:
    return isinstance(error, CommitFailedError) or "already exists" in str(error)
