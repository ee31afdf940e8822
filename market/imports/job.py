"""The command that imports: progress, a table, what failed, and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from brain.console import console, progress
from brain.disk import check_space
from brain.series.store.object_store import is_s3
from brain.series.store.store import SeriesStore
from brain.settings import Settings
from market.imports.importer import import_path
from market.imports.results import ImportResult, SeriesImport, Unread

__all__ = ["run_import"]

_DONE, _PARTLY, _UNUSABLE, _MOSTLY = 0, 1, 2, 4  # as the README's exit codes
_MOST_LINES = 20


def run_import(settings: Settings, path: Path, exchange: str | None = None) -> int:
    """Import a folder or a file into the settings' series store.

    Args:
        settings: the store, ``renew``, and the space that must be free.
        path: of the folder or file.
        exchange: of files in formats that name none.

    Returns:
        0; 1 if a file failed, 4 if most did, 2 if all did.

    Raises:
        InputError: there is no such path, no file there, or no such exchange.
        StorageFullError: too little space is free.
        SeriesStoreError: the store can't be read or written.
    """
    out = console()
    if not is_s3(settings.series):
        check_space([Path(settings.series)], settings.free_mb)
    store = SeriesStore(settings.series, renamed=settings.renamed)
    with progress(out, "Importing") as (importing,):
        result = import_path(
            path, store, exchange=exchange, renew=settings.renew, progress=importing
        )
    if result.series:
        out.print(series_table(result.series))
    for failure in result.failures:
        out.print(str(failure), style="red", markup=False)
    for line in _unread_lines(result.unread):
        out.print(line, markup=False)
    out.print(f"{result}.", markup=False)
    return _exit_code(result)


def _exit_code(result: ImportResult) -> int:
    if not result.failures:
        return _DONE
    if not result.files:
        return _UNUSABLE
    return _MOSTLY if len(result.failures) > result.files else _PARTLY


def _unread_lines(unread: Sequence[Unread]) -> list[str]:
    """A line for each reason, with the names of the first files."""
    by_reason: dict[str, list[str]] = {}
    for one in unread:
        by_reason.setdefault(one.reason, []).append(one.name)
    lines = []
    for reason, names in by_reason.items():
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        lines.append(f"left alone: {', '.join(names[:3])}{more}: {reason}")
    return lines[:_MOST_LINES]


def series_table(series: Sequence[SeriesImport]) -> Table:
    """A line for each series."""
    table = Table("series", title="Imported", title_justify="left")
    for name in ("files", "rows", "new", "missing"):
        table.add_column(name, justify="right")
    table.add_column("from")
    table.add_column("until")
    table.add_column("told")
    for one in series:
        told = [str(gap) for gap in one.gaps[:1]] + one.notes[:2]
        more = len(one.gaps[1:]) + len(one.notes[2:])
        told += [f"and {more} more"] if more else []
        table.add_row(
            one.what,
            f"{one.files:,}",
            f"{one.rows:,}",
            f"{one.rows_new:,}",
            f"{one.missing:,}",
            "" if one.start is None else f"{one.start:%Y-%m-%d %H:%M}",
            "" if one.end is None else f"{one.end:%Y-%m-%d %H:%M}",
            escape("; ".join(told)),
        )
    return table
