"""The command that exports: progress, a table, what failed, and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from brain.console import console, progress
from brain.disk import check_space
from brain.series.store.store import SeriesStore
from brain.settings import Settings
from market.exports.exporter import ExportedSeries, export_series

__all__ = ["run_export"]

_DONE, _PARTLY, _UNUSABLE = 0, 1, 2  # as the README's exit codes


def run_export(
    settings: Settings,
    folder: Path,
    form: str,
    *,
    exchanges: Sequence[str] = (),
    symbols: Sequence[str] = (),
    timeframe: str | None = None,
) -> int:
    """Export series of the settings' store to a folder.

    Args:
        settings: the store, and the space that must be free.
        folder, form, exchanges, symbols, timeframe: as of
            :func:`market.exports.exporter.export_series`.

    Returns:
        0; 1 if a series failed, 2 if all did.

    Raises:
        InputError: a limit is none, or the store holds no such series.
        StorageFullError: too little space is free.
        SeriesStoreError: the store can't be read.
    """
    out = console()
    check_space([folder], settings.free_mb)
    store = SeriesStore(settings.series)
    with progress(out, "Exporting") as (exporting,):
        result = export_series(
            store,
            folder,
            form,
            exchanges=exchanges,
            symbols=symbols,
            timeframe=timeframe,
            progress=exporting,
        )
    if result.series:
        out.print(_table(result.series))
    for failure in result.failures:
        out.print(str(failure), style="red", markup=False)
    out.print(f"{result}; in {folder}", markup=False)
    if not result.failures:
        return _DONE
    return _PARTLY if result.files else _UNUSABLE


def _table(series: Sequence[ExportedSeries]) -> Table:
    """A line for each series."""
    table = Table("series", title="Exported", title_justify="left")
    table.add_column("rows", justify="right")
    for name in ("from", "to", "files", "not in this format"):
        table.add_column(name)
    for one in series:
        table.add_row(
            one.what,
            f"{one.rows:,}",
            f"{one.first:%Y-%m-%d %H:%M}",
            f"{one.last:%Y-%m-%d %H:%M}",
            ", ".join(one.files),
            one.lacks,
        )
    return table
