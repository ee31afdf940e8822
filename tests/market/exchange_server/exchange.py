"""What the three fakes have in common: parameters, replies and pages of rows."""

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

__all__ = ["FakeExchange", "Parameters", "RefusedError", "Reply"]

Times = NDArray[np.int64]
#: The existing times of a series within ``[low, high)``.
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


class FakeExchange(ABC):
    """A fake of one exchange's REST interface.

    Args:
        truth: what exists.
        faults: of pages and clocks.
        scale: how many times as fast as ours the clock of the rate limits runs.
        budget: the share of the real limits that is granted.
    """

    name: str
    #: The function that makes the body of each path's answers.
    paths: Mapping[str, Callable[[Parameters], Any]]

    def __init__(self, truth: Truth, faults: Faults, *, scale: float, budget: float) -> None:
        self.truth = truth
        self.faults = faults
        self.scale = scale
        self.budget = budget

    @abstractmethod
    def parameter_error(self, parameter: str, fault: str) -> RefusedError:
        """The refusal of a parameter that is ``missing``, ``malformed`` or ``unknown``."""

    @abstractmethod
    def limited(self, path: str, query: Mapping[str, str]) -> Reply | None:
        """Count a request; the refusal where there were too many."""

    @abstractmethod
    def fault_reply(self, fault: str) -> Reply:
        """The answer of ``too_many`` or ``banned``."""

    @abstractmethod
    def envelope(self, body: Any) -> Reply:
        """What a path's function returned, as the exchange wraps it."""

    @abstractmethod
    def not_found(self) -> Reply:
        """The answer of an unknown path."""

    @property
    def clock(self) -> int:
        """The exchange's own time in milliseconds."""
        return self.truth.clock + round(1000 * self.faults.skew.get(self.name, 0.0))

    def reply(self, path: str, query: Mapping[str, str], *, counted: bool = False) -> Reply:
        """The answer of one request, which is ``counted`` already or has to be."""
        refusal = None if counted else self.limited(path, query)
        if refusal is not None:
            return refusal
        function = self.paths.get(path)
        if function is None:
            return self.not_found()
        parameters = Parameters(self, query)
        try:
            body = function(parameters)
            parameters.finish()
        except RefusedError as error:
            return error.reply
        return self.envelope(body)

    def symbol_in(self, query: Mapping[str, str]) -> str | None:
        """The unified symbol of a request's instrument, if there is such an instrument."""
        instrument_id = query.get("symbol") or query.get("instId")
        listing = self.truth.by_id(self.name, instrument_id)
        return None if listing is None else listing.symbol

    def rows(
        self,
        listing: Listing,
        series: tuple[str, str | None],
        source: Source,
        span: tuple[int, int],
        page: tuple[int, bool, int],
    ) -> Times:
        """The times of one page, oldest first, without those in a hole.

        Args:
            listing: of the rows.
            series: kind and timeframe.
            source: of all times.
            span: ``[low, high)`` of the request.
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
            times = source(max(low, high - wide * step), high)
        else:
            low = max(low, listing.listed // step * step - step)
            times = source(low, min(high, low + wide * step))
        rows = times
        for hole in holes:
            if hole.open:
                rows = rows[~hole.mask(rows)]
        rows = rows[-limit:] if newest else rows[:limit]
        if len(rows) == limit:
            times = times[times >= rows[0]] if newest else times[times <= rows[-1]]
        for hole in holes:
            hole.requests += bool(hole.mask(times).any())
        return rows


class Parameters:
    """The parameters of one request; those that no method was called for are refused.

    ExchangeServer ignore unknown parameters. Here they are refused, for they are misspelt ones.
    """

    def __init__(self, exchange: FakeExchange, query: Mapping[str, str]) -> None:
        self._exchange = exchange
        self._query = query
        self._names: set[str] = set()

    def text(self, name: str, default: str | None = None) -> str:
        """A parameter; it has to be there unless it has a default."""
        self._names.add(name)
        value = self._query.get(name, "")
        if value:
            return value
        if default is None:
            raise self._exchange.parameter_error(name, "missing")
        return default

    def choice(self, name: str, among: Collection[str], default: str | None = None) -> str:
        value = self.text(name, default)
        if value not in among:
            raise self._exchange.parameter_error(name, "malformed")
        return value

    def number(self, name: str, default: int | None) -> int | None:
        """A whole number that is not negative, or the default."""
        value = self.text(name, "")
        if not value:
            return default
        if not (value.isascii() and value.isdigit() and len(value) <= 20):
            raise self._exchange.parameter_error(name, "malformed")
        return int(value)

    def limit(self, default: int, largest: int, *, clamp: bool = False) -> int:
        """The number of rows of a page, 1 to ``largest``; more are refused or clamped."""
        limit = self.number("limit", default) or 0
        if limit < 1 or (limit > largest and not clamp):
            raise self._exchange.parameter_error("limit", "malformed")
        return min(limit, largest)

    def __str__(self) -> str:
        return str(sorted(self._query.items()))

    def finish(self) -> None:
        """Refuse the parameters that no method was called for."""
        for name in self._query:
            if name not in self._names:
                raise self._exchange.parameter_error(name, "unknown")
