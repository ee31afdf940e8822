"""What people see while they wait: progress on long work, and tables.

On a terminal a bar moves; elsewhere, in a log file say, each finished piece is a line.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

__all__ = ["console", "progress"]


def console() -> Console:
    """Standard output, at least 140 columns wide where it is no terminal."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=max(found.width, 140))


def progress(title: str, out: Console) -> Callable[[object, int, int], None]:
    """Show progress under a title.

    Returns:
        To be called as each piece is done, with the piece (its ``str`` is a line), how many are
        done, and of how many. The bar goes with the last.
    """
    bar = Progress(
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
