"""Writes to a series table: each is one commit, and is held against what others have written.

Rows are compared with the stored ones first. Those that are there already cost nothing more, new
ones are appended, and only a changed value rewrites a file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from brain.series.store.queries import Limits, partitions_of, query, quoted, stored_near
from brain.series.store.rows import compare
from brain.series.store.schema import MONTH, Kind
from brain.series.store.sync import sync_commits
from brain.series.store.table import WRITER, SeriesTable, locks, until_committed

__all__ = ["revise_rows", "tidy", "upsert_rows"]

logger = logging.getLogger(__name__)

# Live collection leaves a small file a partition and commit, and each costs every later reading
# some 0.1 ms. Every so many commits whoever makes one joins them.
_JOIN_EVERY = 32
# Files beyond this are left alone: joining stays cheap however large a month becomes.
_FILE_BYTES = 32 * 2**20


def upsert_rows(own: SeriesTable, rows: pa.Table) -> tuple[int, int]:
    """Store rows of :func:`brain.series.store.rows.to_rows`.

    Returns:
        How many were new, and how many changed.
    """
    return until_committed(lambda: _upsert(own, rows))


def _upsert(own: SeriesTable, rows: pa.Table) -> tuple[int, int]:
    kind, table = own.kind, own.make()
    found = compare(kind, rows, stored_near(table, kind, rows))
    changes = found.rows
    if len(changes) == 0:
        return 0, 0
    since = table.version()
    names = [_name(kind, part) for part in partitions_of(kind, changes)]
    if len(found.changed) == 0:
        write_deltalake(
            table,
            changes,
            mode="append",
            writer_properties=WRITER,
            commit_properties=locks(names),
        )
    else:
        _merge(table, kind, changes, names)
    _finish(own, table, since)
    return len(found.new), len(found.changed)


def _merge(table: DeltaTable, kind: Kind, rows: pa.Table, names: Sequence[str]) -> None:
    here = (
        " AND ".join(
            f"t.{column} = {quoted(part[column][0].as_py())}" for column in kind.partitions
        )
        for part in partitions_of(kind, rows)
    )
    same = (f't."{name}" = s."{name}"' for name in dict.fromkeys((*kind.key, *kind.partitions)))
    merger = table.merge(
        rows,
        f"({' OR '.join(f'({part})' for part in here)}) AND {' AND '.join(same)}",
        source_alias="s",
        target_alias="t",
        writer_properties=WRITER,
        commit_properties=locks(names),
    )
    merger.when_matched_update_all().when_not_matched_insert_all().execute()


def revise_rows(
    own: SeriesTable,
    change: Callable[[pa.Table], pa.Table | None],
    texts: Mapping[str, Sequence[str]],
) -> None:
    """Replace all rows that have these texts by what a function makes of them; None: leave them.

    If somebody else writes meanwhile, the rows are read and the function is called again.
    """
    condition = " AND ".join(Limits(texts).conditions(own.kind))

    def revise() -> None:
        table = own.make()
        rows = change(query(table, own.kind, list(own.kind.columns), condition))
        if rows is not None:
            _replace(own, table, rows, texts)

    until_committed(revise)


def _replace(
    own: SeriesTable, table: DeltaTable, rows: pa.Table, texts: Mapping[str, Sequence[str]]
) -> None:
    kind = own.kind
    since = table.version()
    condition = " AND ".join(Limits(texts).conditions(kind))
    (exchange,) = texts["exchange"]
    names = [exchange]
    if kind.monthly:
        months = query(table, kind, [MONTH], condition)[MONTH].to_pylist()
        months += rows[MONTH].to_pylist()
        names = [f"{exchange}/{month}" for month in sorted(set(months))]
    write_deltalake(
        table,
        rows,
        mode="overwrite",
        predicate=condition,
        writer_properties=WRITER,
        commit_properties=locks(names),
    )
    _finish(own, table, since)


def _finish(own: SeriesTable, table: DeltaTable, since: int) -> None:
    """Bring the commit to the disk; now and then join small files."""
    sync_commits(own.address, since, table.version())
    if table.version() % _JOIN_EVERY:
        return
    try:
        _join(own, table)
    except DeltaError as error:  # the rows are stored; somebody else will join the files
        logger.debug("did not join the files of %s: %s", own.kind.name, type(error).__name__)
        own.forget()


def _join(own: SeriesTable, table: DeltaTable) -> None:
    since = table.version()
    table.optimize.compact(target_size=_FILE_BYTES, writer_properties=WRITER)
    sync_commits(own.address, since, table.version())


def tidy(own: SeriesTable, keep_hours: int) -> None:
    """Join small files, and delete those that no version of the last hours holds."""
    if own.find() is None:
        return
    until_committed(lambda: _join(own, own.make()))
    own.make().vacuum(
        retention_hours=keep_hours, dry_run=False, enforce_retention_duration=False, full=True
    )


def _name(kind: Kind, rows: pa.Table) -> str:
    return "/".join(rows[column][0].as_py() for column in kind.partitions)
