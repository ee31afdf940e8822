"""What the three exchanges' interfaces have in common: parameters, replies and windows of rows."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.market.exchange_server.catalogue import Listing
from tests.market.exchange_server.faults import Faults
from tests.market.exchange_server.truth import Truth

__all__ = ["Exchange", "Parameters", "RefusedError", "Reply"]

Times = NDArray[np.int64]
#: Gives the existing times of a series within ``[low, high)``.
Source = Callable[[int, int], Times]


@dataclass
class Reply:
    """An answer; ``body`` is JSON unless it is bytes."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, separators=(",", ":")).encode()


class RefusedError(Exception):
    """A request that the exchange answers with an error."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self.reply = reply


class Exchange(ABC):
    """An exchange's interface.

    Args:
        truth: what exists.
        faults: what goes wrong with pages and clocks.
        scale: how many times as fast as ours the clock of the rate limits runs.
        budget: the share of the real limits that is granted.
    """

    name: str
    #: Parameters of each path, beside those that every path takes.
    paths: Mapping[str, Callable[[Parameters], Any]]

    def __init__(self, truth: Truth, faults: Faults, *, scale: float, budget: float) -> None:
        self.truth = truth
        self.faults = faults
        self.scale = scale
        self.budget = budget

    @abstractmethod
    def wrong(self, parameter: str, trouble: str) -> RefusedError:
        """The refusal of a parameter that is ``missing``, ``malformed`` or ``unknown``."""

    @abstractmethod
    def limited(self, path: str, query: Mapping[str, str]) -> Reply | None:
        """Count a request; the refusal where there were too many."""

    @abstractmethod
    def faulty(self, fault: str) -> Reply:
        """The answer of ``too_many`` or ``banned``."""

    @abstractmethod
    def answered(self, body: Any) -> Reply:
        """What a path's function returned, as the exchange wraps it."""

    @abstractmethod
    def lost(self) -> Reply:
        """The answer of a path that there is not."""

    @property
    def clock(self) -> int:
        """The exchange's own time in milliseconds."""
        return self.truth.clock + round(1000 * self.faults.skew.get(self.name, 0.0))

    def reply(self, path: str, query: Mapping[str, str], *, counted: bool = False) -> Reply:
        """Answer one request, unless it is ``counted`` already."""
        refusal = None if counted else self.limited(path, query)
        if refusal is not None:
            return refusal
        function = self.paths.get(path)
        if function is None:
            return self.lost()
        parameters = Parameters(self, query)
        try:
            body = function(parameters)
            parameters.finish()
        except RefusedError as refused:
            return refused.reply
        return self.answered(body)

    def symbol_in(self, query: Mapping[str, str]) -> str | None:
        """The unified symbol that a request is about, where it names one that exists."""
        named = query.get("symbol") or query.get("instId")
        listing = self.truth.by_id(self.name, named)
        return None if listing is None else listing.symbol

    def rows(
        self,
        listing: Listing,
        series: tuple[str, str | None],
        source: Source,
        span: tuple[int, int],
        page: tuple[int, bool, int],
    ) -> Times:
        """The times of one page, oldest first, without those that a hole holds.

        Args:
            listing: of which instrument.
            series: kind and timeframe.
            source: of all times.
            span: ``[low, high)`` that is asked for.
            page: how many at most; whether the newest of them; milliseconds between rows, at least.
        """
        holes = self.truth.ledger.of(listing, *series)
        limit, newest, step = page
        low, high = span
        # More than a page: as many as holes may take away, and the page's two ends.
        wide = (
            limit + 2 + sum((h.end.value - h.start.value) // 1_000_000 // step + 1 for h in holes)
        )
        if newest:
            high = min(high, self.truth.clock + 1)
            if listing.delisted is not None:
                high = min(high, listing.delisted + 1)
            found = source(max(low, high - wide * step), high)
        else:
            low = max(low, listing.listed // step * step - step)
            found = source(low, min(high, low + wide * step))
        left = found
        for hole in holes:
            if hole.open:
                left = left[~hole.holds(left)]
        left = left[-limit:] if newest else left[:limit]
        if len(left) == limit:
            found = found[found >= left[0]] if newest else found[found <= left[-1]]
        for hole in holes:
            hole.asked += bool(hole.holds(found).any())
        return left


class Parameters:
    """The parameters of one request, each read once; what is left over is refused.

    Exchanges ignore parameters that they don't know. Here they are refused, for such a parameter is
    a misspelt one.
    """

    def __init__(self, exchange: Exchange, query: Mapping[str, str]) -> None:
        self._exchange = exchange
        self._query = query
        self._read: set[str] = set()

    def text(self, name: str, default: str | None = None) -> str:
        """A parameter; it has to be there unless it has a default."""
        self._read.add(name)
        found = self._query.get(name, "")
        if found:
            return found
        if default is None:
            raise self._exchange.wrong(name, "missing")
        return default

    def choice(self, name: str, among: Collection[str], default: str | None = None) -> str:
        found = self.text(name, default)
        if found not in among:
            raise self._exchange.wrong(name, "malformed")
        return found

    def number(self, name: str, default: int | None) -> int | None:
        """A whole number that is not negative, or the default."""
        found = self.text(name, "")
        if not found:
            return default
        if not (found.isascii() and found.isdigit() and len(found) <= 20):
            raise self._exchange.wrong(name, "malformed")
        return int(found)

    def limit(self, default: int, most: int, *, clamp: bool = False) -> int:
        """The number of rows of a page, 1 to ``most``; what is more is refused or clamped."""
        found = self.number("limit", default) or 0
        if found < 1 or (found > most and not clamp):
            raise self._exchange.wrong("limit", "malformed")
        return min(found, most)

    def __str__(self) -> str:
        return str(sorted(self._query.items()))

    def finish(self) -> None:
        """Refuse what was not read."""
        for name in self._query:
            if name not in self._read:
                raise self._exchange.wrong(name, "unknown")
