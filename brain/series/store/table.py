"""The Delta table of one kind: opened, created, migrated to its present layout; its conflicts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import pyarrow as pa
import tenacity
from deltalake import (
    CommitProperties,
    DeltaTable,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from brain.errors import SeriesStoreError
from brain.series.store.object_store import check_reachable, is_s3
from brain.series.store.queries import FileGoneError, run_sql
from brain.series.store.schema import Kind
from brain.series.store.sync import set_corrupt_checkpoint_aside, sync_commits

__all__ = ["WRITER", "SeriesTable", "locks", "read_again", "until_committed"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: The application transaction whose version is the layout's. It changes with the rows, in one
#: commit.
_LAYOUT = "brain-layout"
_GIVE_UP_SECONDS = 300.0
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 2.0
_READINGS = 6
WRITER = WriterProperties(compression="ZSTD", compression_level=1)


def locks(partitions: Iterable[str], layout: int | None = None) -> CommitProperties:
    """A commit that fails if another one, since the table was read, names one of its partitions.

    Delta lets two appends pass each other, also if both store the same key. As application
    transactions, named by the partitions that they write to, they conflict.

    Args:
        partitions: by name, as ``binance/2026-11``.
        layout: the layout that the table has with this commit, if it is another one than before.
    """
    transactions = [Transaction(name, int(time.time())) for name in partitions]
    if layout is not None:
        transactions.append(Transaction(_LAYOUT, layout))
    return CommitProperties(app_transactions=transactions)


def until_committed(work: Callable[[], T]) -> T:
    """Do the work, again after random pauses as long as its commit conflicts with another writer's.

    Raises:
        CommitFailedError: it still conflicts after five minutes.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(CommitFailedError),
        wait=tenacity.wait_random_exponential(
            multiplier=_FIRST_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS
        ),
        stop=tenacity.stop_after_delay(_GIVE_UP_SECONDS),
        reraise=True,
    )
    return retrying(lambda: read_again(work))


def read_again(work: Callable[[], T]) -> T:
    """Do what reads a table, and again, a few times, if a file is deleted under it.

    Raises:
        FileGoneError: it is gone for good.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(FileGoneError),
        wait=tenacity.wait_random_exponential(multiplier=_FIRST_PAUSE_SECONDS, max=1.0),
        stop=tenacity.stop_after_attempt(_READINGS),
        reraise=True,
    )
    return retrying(work)


class SeriesTable:
    """The table of one kind.

    Every thread has a view of its own, so that its commits conflict with whatever was committed
    since that thread has read the table.

    Args:
        kind: of the series.
        address: folder or ``s3://`` address of the table.
        options: returns deltalake's present storage options.
    """

    def __init__(self, kind: Kind, address: str, options: Callable[[], dict[str, str]]) -> None:
        self.kind = kind
        self.address = address
        self._options = options
        self._views = threading.local()

    def find(self) -> DeltaTable | None:
        """The table as it is now, in the kind's layout; None if there is none yet.

        Raises:
            SeriesStoreError: it has a newer layout.
        """
        options = self._options()
        view, view_options = (getattr(self._views, name, None) for name in ("view", "options"))
        if view is None or view_options != options:
            if is_s3(self.address):
                check_reachable(self.address, options)
            try:
                view = self._open(options)
            except TableNotFoundError:
                return None
            self._views.view, self._views.options = view, options
        else:
            view.update_incremental()
        return self._in_present_layout(view)

    def _open(self, options: dict[str, str]) -> DeltaTable:
        try:
            return DeltaTable(self.address, storage_options=options)
        except TableNotFoundError:
            raise
        except (DeltaError, OSError, ValueError):
            if not set_corrupt_checkpoint_aside(self.address):
                raise
            return DeltaTable(self.address, storage_options=options)

    def find_or_create(self) -> DeltaTable:
        """The table as it is now; created if there is none.

        Raises:
            SeriesStoreError: it has a newer layout.
        """
        delta = self.find()
        while delta is None:
            try:
                DeltaTable.create(
                    self.address,
                    schema=self.kind.schema,
                    partition_by=self.kind.partitions,
                    name=self.kind.name,
                    configuration=self.kind.configuration,
                    storage_options=self._options(),
                    commit_properties=locks([], layout=self.kind.version),
                )
            except (CommitFailedError, DeltaError) as error:
                if not _exists_already(error):
                    raise
            else:
                sync_commits(self.address, -1, 0)
            delta = self.find()
        return delta

    def forget(self) -> None:
        """Open the table anew when it is next used."""
        self._views.__dict__.clear()

    def _in_present_layout(self, view: DeltaTable) -> DeltaTable:
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
        return self._in_present_layout(view)

    def _migrate(self, view: DeltaTable, layout: int) -> None:
        rows = run_sql(view, "SELECT * FROM series")
        rows = rows.cast(pa.schema(_without_view(field) for field in rows.schema))
        version, partitions = view.version(), ["/".join(p.values()) for p in view.partitions()]
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
                commit_properties=locks(partitions, layout=self.kind.version),
            )
        except CommitFailedError:
            return  # another process has migrated the table or stored rows; look again
        sync_commits(self.address, version, view.version())
        logger.warning(
            "migrated the %s at %s from layout %d to %d, %d rows",
            self.kind.name, self.address, layout, self.kind.version, len(rows),
        )  # fmt: skip


def _without_view(field: pa.Field) -> pa.Field:
    """A column of the table; deltalake's queries return text as string views."""
    return field.with_type(pa.string()) if pa.types.is_string_view(field.type) else field


def _exists_already(error: Exception) -> bool:
    return isinstance(error, CommitFailedError) or "already exists" in str(error)
