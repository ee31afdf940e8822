"""Console output: progress of long work, and the width of tables.

On a terminal bars move; elsewhere, as in a log file, each finished piece is a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as ProgressBar,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from brain.work import Progress

__all__ = ["console", "progress"]


def console() -> Console:
    """Standard output, at least 160 columns wide where it is no terminal."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=max(out.width, 160))


@contextmanager
def progress(out: Console, *titles: str) -> Iterator[tuple[Progress, ...]]:
    """Show progress, a bar for each title, for as long as the block lasts.

    Yields:
        For each title a function to call after each piece of work.
    """
    bars = ProgressBar(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    )

    def advance(bar: TaskID, piece: object, done: int, total: int) -> None:
        bars.update(bar, completed=done, total=total)
        out.print(f"  {done}/{total} {piece}", markup=False)

    with bars:
        yield tuple(partial(advance, bars.add_task(title, total=None)) for title in titles)
