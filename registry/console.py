"""What people see while they wait: progress on long work, and tables.

On a terminal a bar moves; elsewhere, in a log file say, each finished piece is a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

__all__ = ["Advance", "console", "progress"]


class Advance(Protocol):
    """Called as each piece is done."""

    def __call__(self, said: str, done: int, total: int) -> None:
        """Say what is done, and how many of how many pieces are."""


def console() -> Console:
    """Where tables and progress go: standard output, at least 120 columns where it is no terminal."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=max(found.width, 120))


@contextmanager
def progress(title: str, out: Console) -> Iterator[Advance]:
    """Show progress under a title until the block is left."""
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

    def advance(said: str, done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        out.print(f"  {done}/{total} {said}", markup=False)

    out.print(title, style="bold")
    with bar:
        yield advance
