"""Work that is done piece by piece: how far it is, and what of it could not be done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from brain.errors import BrainError

__all__ = ["Failure", "Progress"]

#: Called as each piece is done: with the piece, whose ``str`` is a line for people, with how many
#: are done, and with how many there will be.
Progress = Callable[[object, int, int], None]


@dataclass(frozen=True)
class Failure:
    """What could not be done, and why; the rest is done.

    Attributes:
        subject: a symbol, a model id, a series, an exchange or a file.
        error: what went wrong.
        part: of the subject: a family or a stage of the work; empty if it is all of it.
        symbol: whose work it was; empty if it was no symbol's.
    """

    subject: str
    error: BrainError
    part: str = ""
    symbol: str = ""

    @property
    def what(self) -> str:
        """Explainer and part in a few words, ``BTC/USD lightgbm``."""
        return f"{self.subject} {self.part}".rstrip()

    def __str__(self) -> str:
        return f"{self.what} failed: {self.error}"
