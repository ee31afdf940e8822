"""Work that is done piece by piece: its progress and its failures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from brain.errors import BrainError

__all__ = ["Failure", "Progress", "Tally", "errors_of"]

_MOST_ERRORS = 10  # in one line; of more, the names

#: The call after each piece of work: the piece, whose ``str`` is a line for people, the number of
#: pieces that are done, and the number of all pieces.
Progress = Callable[[object, int, int], None]


@dataclass(frozen=True)
class Failure:
    """A piece of work that failed, and why; the other pieces are done.

    Attributes:
        subject: a symbol, a model id, a series, an exchange or a file.
        error: the reason.
        part: a family or a stage of the subject's work; empty for all of it.
        symbol: of the work; empty if it was for no symbol.
    """

    subject: str
    error: BrainError
    part: str = ""
    symbol: str = ""

    @property
    def what(self) -> str:
        """Subject and part in a few words, ``BTC/USD lightgbm``."""
        return f"{self.subject} {self.part}".rstrip()

    def __str__(self) -> str:
        return f"{self.what} failed: {self.error}"


def errors_of(failures: Sequence[Failure]) -> str:
    """The errors of failures in one line; of many, the names of the later ones."""
    errors = [str(failure.error) for failure in failures[:_MOST_ERRORS]]
    others = ", ".join(failure.what for failure in failures[_MOST_ERRORS:])
    return " | ".join(errors + ([f"and likewise {others}"] if others else []))


class Tally:
    """Counts pieces of work for a progress, where their number is learnt along the way.

    Args:
        progress: called after each piece; nobody is if None.
        expected: number of pieces, as far as it can be told before any is begun.
    """

    def __init__(self, progress: Progress | None, expected: int) -> None:
        self._progress = progress
        self._expected = expected
        self._done = 0

    def expect(self, more: int) -> None:
        """Correct the number of pieces by so many; fewer than thought are negative."""
        self._expected += more

    def add(self, piece: object) -> None:
        """Count a piece that is done."""
        self._done += 1
        if self._progress is not None:
            self._progress(piece, self._done, self._expected)
