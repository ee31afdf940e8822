"""What a collection was asked for, and the results as they come."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from brain.errors import BrainError
from brain.naming import present_name
from market.collection.plan import KINDS, Range
from market.collection.results import SeriesResult

__all__ = ["CollectionRequest", "Progress", "Tally"]

#: Called with what is done (its ``str`` is a line), how many are done, and of how many.
Progress = Callable[[object, int, int], None]


@dataclass(frozen=True)
class CollectionRequest:
    """What was asked for.

    Attributes:
        names: Symbols as they were written.
        hours: Of history before ``until``.
        until: The end of it; None: the present.
        timeframe: Of candles and open interest.
        renamed: Symbols by their former name, canonical.
        former: The former names, oldest first, by the present one.
    """

    names: tuple[str, ...]
    hours: float
    until: pd.Timestamp | None
    timeframe: str
    renamed: Mapping[str, str]
    former: Mapping[str, Sequence[str]]

    def canonical(self) -> tuple[dict[str, list[str]], dict[str, BrainError]]:
        """The names by canonical symbol, and what is wrong with those that are none."""
        found: dict[str, list[str]] = {}
        wrong: dict[str, BrainError] = {}
        for name in self.names:
            try:
                found.setdefault(present_name(name, self.renamed), []).append(name)
            except BrainError as error:
                wrong[name] = error
        return found, wrong

    def range(self, now: pd.Timestamp) -> Range:
        """The times that are meant, by an exchange's clock."""
        until = now if self.until is None else min(self.until, now)
        return Range(self.hours, until, now)


class Tally:
    """The results as they come, and who is told of them."""

    def __init__(
        self, asked: CollectionRequest, exchanges: Sequence[str], progress: Progress | None
    ) -> None:
        self._asked = asked
        self._progress = progress
        self._places = [
            (name, exchange, kind)
            for name in asked.names
            for exchange in exchanges
            for kind in KINDS
        ]
        self._results: dict[tuple[str, str, str], SeriesResult] = {}

    def add(self, names: Sequence[str], result: SeriesResult) -> None:
        """A series is done; it was asked for under these names."""
        for name in names:
            named = dataclasses.replace(result, symbol=name)
            self._results[name, result.exchange, result.kind] = named
            if self._progress is not None:
                self._progress(named, len(self._results), len(self._places))

    def fail(self, names: Sequence[str], exchange: str, error: BrainError) -> None:
        """None of the kinds of these names can be had from the exchange."""
        for kind in KINDS:
            frame = self._asked.timeframe if kind in ("candles", "open_interest") else ""
            failed = SeriesResult("", exchange, kind, frame, None, 0, None, None, failure=error)
            self.add(names, failed)

    def results(self) -> tuple[SeriesResult, ...]:
        """All of them, in the order in which they were asked for."""
        return tuple(self._results[place] for place in self._places)
