"""What a collection is to do, and the results as its series are done."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from brain.errors import BrainError
from brain.naming import present_name
from brain.work import Progress
from market.collection.former_names import former_names
from market.collection.plan import KINDS, SENTIMENT, Period
from market.collection.results import SeriesResult

__all__ = ["CollectionRequest", "Tally"]


@dataclass(frozen=True)
class CollectionRequest:
    """What to collect.

    Attributes:
        names: symbols as the caller wrote them.
        hours: of history before ``until``.
        until: the end of it; None: the present.
        timeframe: of candles and open interest.
        renamed: canonical symbols, new by old.
        renew: since when stored rows are requested again, and replaced where they differ; None:
            none are.
    """

    names: tuple[str, ...]
    hours: float
    until: pd.Timestamp | None
    timeframe: str
    renamed: Mapping[str, str]
    renew: pd.Timestamp | None = None

    def names_by_symbol(self) -> tuple[dict[str, list[str]], dict[str, BrainError]]:
        """The names by present canonical symbol, and the errors of those that are no symbol."""
        names: dict[str, list[str]] = {}
        errors: dict[str, BrainError] = {}
        for name in self.names:
            try:
                names.setdefault(present_name(name, self.renamed), []).append(name)
            except BrainError as error:
                errors[name] = error
        return names, errors

    @cached_property
    def former_names(self) -> Mapping[str, Sequence[str]]:
        """The former names, oldest first, by present canonical symbol."""
        return former_names(self.renamed)

    def period(self, now: pd.Timestamp) -> Period:
        """The times to cover, by an exchange's clock."""
        end = now if self.until is None else min(self.until, now)
        start = end - pd.Timedelta(hours=self.hours)
        return Period(start if self.renew is None else min(start, self.renew), end, now)


class Tally:
    """The results of a collection, gathered as its series are done.

    Args:
        request: of the collection.
        exchanges: by name.
        progress: called with each result.
        publishers: of sentiment, by name.
    """

    def __init__(
        self,
        request: CollectionRequest,
        exchanges: Sequence[str],
        progress: Progress | None,
        publishers: Sequence[str] = (),
    ) -> None:
        self._timeframe = request.timeframe
        self._progress = progress
        self._order = [
            (name, where, kind)
            for name in request.names
            for where, kinds in (
                *((exchange, KINDS) for exchange in exchanges),
                *((publisher, (SENTIMENT,)) for publisher in publishers),
            )
            for kind in kinds
        ]
        self._results: dict[tuple[str, str, str], SeriesResult] = {}

    def add(self, names: Sequence[str], result: SeriesResult) -> None:
        """Add the result of a series, for each name of its symbol in the request."""
        for name in names:
            one = dataclasses.replace(result, symbol=name)
            self._results[name, result.exchange, result.kind] = one
            if self._progress is not None:
                self._progress(one, len(self._results), len(self._order))

    def fail(self, names: Sequence[str], exchange: str, error: BrainError) -> None:
        """Add a failure of all kinds of these names at an exchange."""
        for kind in KINDS:
            timeframe = self._timeframe if kind in ("candles", "open_interest") else ""
            failure = SeriesResult(
                "", exchange, kind, timeframe, None, 0, None, None, failure=error
            )
            self.add(names, failure)

    def results(self) -> tuple[SeriesResult, ...]:
        """All results, in the order of the request."""
        return tuple(self._results[place] for place in self._order)
