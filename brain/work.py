"""Work that is done piece by piece: its progress and its failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from brain.errors import BrainError

__all__ = ["Failure", "Progress"]

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
