"""Writes to a series table: each is one commit, and conflicts with those of other writers.

Rows are compared with the stored ones first. Those that are there already cost nothing more, new
ones are appended, and only a changed value of an upsert rewrites a file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from brain.series.store.queries import RowFilter, partitions_of, query, quoted, rows_near
from brain.series.store.rows import compare
from brain.series.store.schema import MONTH, Kind
from brain.series.store.sync import sync_commits
from brain.series.store.table import WRITER, SeriesTable, locks, until_committed

__all__ = ["append_rows", "expire", "restore_rows", "revise_rows", "tidy", "upsert_rows"]

logger = logging.getLogger(__name__)

# Live collection leaves a small file a partition and commit, and each costs every later reading
# some 0.1 ms. Every so many commits whoever makes one joins them.
_JOIN_EVERY = 32
# Files beyond this are left alone: joining stays cheap however large a month becomes.
_FILE_BYTES = 32 * 2**20


def upsert_rows(table: SeriesTable, rows: pa.Table) -> tuple[int, int]:
    """Store rows of :func:`brain.series.store.rows.to_rows`.

    Returns:
        How many were new, and how many changed.
    """
    return until_committed(lambda: _upsert(table, rows))


def _upsert(table: SeriesTable, rows: pa.Table) -> tuple[int, int]:
    kind, delta = table.kind, table.find_or_create()
    difference = compare(kind, rows, rows_near(delta, kind, rows))
    if len(difference.changed) == 0:
        _write_new(table, delta, difference.new)
        return len(difference.new), 0
    version = delta.version()
    _merge(delta, kind, difference.rows)
    _finish(table, delta, version)
    return len(difference.new), len(difference.changed)


def append_rows(table: SeriesTable, rows: pa.Table) -> tuple[int, int]:
    """Store those rows of :func:`brain.series.store.rows.to_rows` whose key is not stored yet.

    Returns:
        How many were new, and how many have other values than those that are stored.
    """
    return until_committed(lambda: _append(table, rows))


def _append(table: SeriesTable, rows: pa.Table) -> tuple[int, int]:
    delta = table.find_or_create()
    difference = compare(table.kind, rows, rows_near(delta, table.kind, rows))
    _write_new(table, delta, difference.new)
    return len(difference.new), len(difference.changed)


def _write_new(table: SeriesTable, delta: DeltaTable, rows: pa.Table) -> None:
    """Append rows, unless another commit names one of their partitions since the table was read."""
    if len(rows) == 0:
        return
    version = delta.version()
    write_deltalake(
        delta,
        rows,
        mode="append",
        writer_properties=WRITER,
        commit_properties=locks(_partition_names(table.kind, rows)),
    )
    _finish(table, delta, version)


def _merge(delta: DeltaTable, kind: Kind, rows: pa.Table) -> None:
    affected = (
        " AND ".join(
            f"t.{column} = {quoted(part[column][0].as_py())}" for column in kind.partitions
        )
        for part in partitions_of(kind, rows)
    )
    columns = dict.fromkeys((*kind.key, *kind.partitions))
    same_key = " AND ".join(f't."{name}" = s."{name}"' for name in columns)
    merger = delta.merge(
        rows,
        f"({' OR '.join(f'({part})' for part in affected)}) AND {same_key}",
        source_alias="s",
        target_alias="t",
        writer_properties=WRITER,
        commit_properties=locks(_partition_names(kind, rows)),
    )
    merger.when_matched_update_all().when_not_matched_insert_all().execute()


def revise_rows(
    table: SeriesTable,
    change: Callable[[pa.Table], pa.Table | None],
    texts: Mapping[str, Sequence[str]],
) -> None:
    """Replace all rows that have these texts by what a function makes of them.

    If another writer commits meanwhile, the rows are read and the function is called again.

    Args:
        table: whose rows are replaced.
        change: returns the rows that take the place of those that it gets; None leaves them.
        texts: values by text column, as of :class:`~brain.series.store.queries.RowFilter`; one
            of the kind's partition among them.
    """
    condition = " AND ".join(RowFilter(texts).conditions(table.kind))

    def revise() -> None:
        delta = table.find_or_create()
        rows = change(query(delta, table.kind, list(table.kind.columns), condition))
        if rows is not None:
            _replace(table, delta, rows, texts)

    until_committed(revise)


def _replace(
    table: SeriesTable, delta: DeltaTable, rows: pa.Table, texts: Mapping[str, Sequence[str]]
) -> None:
    kind = table.kind
    version = delta.version()
    condition = " AND ".join(RowFilter(texts).conditions(kind))
    (partition,) = texts[kind.partition]
    partitions = [partition]
    if kind.monthly:
        months = query(delta, kind, [MONTH], condition)[MONTH].to_pylist()
        months += rows[MONTH].to_pylist()
        partitions = [f"{partition}/{month}" for month in sorted(set(months))]
    write_deltalake(
        delta,
        rows,
        mode="overwrite",
        predicate=condition,
        writer_properties=WRITER,
        commit_properties=locks(partitions),
    )
    _finish(table, delta, version)


def _finish(table: SeriesTable, delta: DeltaTable, version: int) -> None:
    """Bring the commits after a version to the disk; now and then join small files."""
    sync_commits(table.address, version, delta.version())
    if delta.version() % _JOIN_EVERY:
        return
    try:
        _join_files(table, delta)
    except DeltaError as error:  # the rows are stored; a later commit will join the files
        logger.debug("did not join the files of %s: %s", table.kind.name, type(error).__name__)
        table.forget()


def _join_files(table: SeriesTable, delta: DeltaTable) -> None:
    version = delta.version()
    delta.optimize.compact(target_size=_FILE_BYTES, writer_properties=WRITER)
    sync_commits(table.address, version, delta.version())


def restore_rows(table: SeriesTable, version: int) -> None:
    """Give a table the rows that it had at a version; nothing is done where there is no table."""
    delta = table.find()
    if delta is None or delta.version() == version:
        return
    before = delta.version()
    delta.restore(version, commit_properties=locks([]))
    sync_commits(table.address, before, delta.version())


def tidy(table: SeriesTable, keep_hours: int) -> None:
    """Join small files, and delete those that no version of the last hours holds."""
    if table.find() is None:
        return
    until_committed(lambda: _join_files(table, table.find_or_create()))
    table.find_or_create().vacuum(
        retention_hours=keep_hours, dry_run=False, enforce_retention_duration=False, full=True
    )


def expire(table: SeriesTable) -> None:
    """Delete the files that the table has replaced, at once: no earlier version can be read."""
    delta = table.find()
    if delta is None:
        return
    # Not those that no version names: another writer may be about to commit them.
    delta.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=False)


def _partition_names(kind: Kind, rows: pa.Table) -> list[str]:
    return [
        "/".join(part[column][0].as_py() for column in kind.partitions)
        for part in partitions_of(kind, rows)
    ]
