"""Console output: progress of long work, and the width of tables.

On a terminal a bar moves; elsewhere, as in a log file, each finished piece is a line.
"""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as ProgressBar,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from brain.work import Progress

__all__ = ["console", "progress"]


def console() -> Console:
    """Standard output, at least 140 columns wide where it is no terminal."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=max(out.width, 140))


def progress(title: str, out: Console) -> Progress:
    """Show progress under a title; the bar disappears after the last piece.

    Returns:
        A function to call after each piece of work.
    """
    bar = ProgressBar(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    )
    task = bar.add_task(title, total=None)
    bar.start()

    def advance(piece: object, done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        out.print(f"  {done}/{total} {piece}", markup=False)
        if done == total:
            bar.stop()

    return advance
