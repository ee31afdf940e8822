"""Faults on purpose, the same every time for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.market.exchange_server.values import chance

__all__ = ["FAULTS", "Faults"]

#: Faults of a whole answer, in the order in which they are drawn.
FAULTS = (
    "timeout",
    "reset",
    "too_many",
    "banned",
    "error",
    "truncated",
    "malformed",
    "empty",
)


@dataclass
class Faults:
    """The faults of all exchanges; every attribute may be set at any time.

    The rates are shares of requests, 0 to 1. A fault is drawn from the seed, the request and how
    often the same request was made before: it doesn't depend on the order in which concurrent
    requests arrive.

    Attributes:
        timeout: no answer for ``hang`` seconds.
        reset: the connection is torn down.
        too_many: "too many requests" in the exchange's form: HTTP 429 on Binance and OKX, a
            ``retCode`` 10006 within HTTP 200 on Bybit.
        banned: HTTP 418 on Binance, 403 on Bybit, 429 on OKX.
        error: HTTP 500, 502 or 503.
        truncated: half of the JSON; for half of these with the length of the whole.
        malformed: a page of HTML with HTTP 200.
        empty: nothing, with HTTP 200.
        duplicated: a page has some of its rows twice.
        unsorted: a page's rows are shuffled.
        streak: faults of a whole answer in a row for one and the same request, at most.
        retry_after: seconds to wait after answers of ``too_many`` and ``banned``.
        failing: (exchange, symbol) of which every request gets HTTP 500.
        blocked: exchanges that answer every request for an instrument with HTTP 403, as their
            firewalls do.
        skew: seconds by which an exchange's clock is ahead of the truth, by exchange.
        only: exchanges that faults are for; None: all.
        counts: how often each fault occurred.
    """

    seed: int = 0
    timeout: float = 0.0
    reset: float = 0.0
    too_many: float = 0.0
    banned: float = 0.0
    error: float = 0.0
    truncated: float = 0.0
    malformed: float = 0.0
    empty: float = 0.0
    duplicated: float = 0.0
    unsorted: float = 0.0
    streak: int = 2
    hang: float = 60.0
    retry_after: int = 1
    failing: set[tuple[str, str]] = field(default_factory=set)
    blocked: Collection[str] = ()
    skew: dict[str, float] = field(default_factory=dict)
    only: Collection[str] | None = None
    counts: Counter[str] = field(default_factory=Counter, repr=False)
    _down: frozenset[str] = field(default=frozenset(), repr=False)
    _streaks: Counter[str] = field(default_factory=Counter, repr=False)
    _draws: Counter[tuple[str, str]] = field(default_factory=Counter, repr=False)
    _switch: Callable[[frozenset[str]], None] | None = field(default=None, repr=False)

    @property
    def down(self) -> frozenset[str]:
        """ExchangeServer whose port is closed; setting it takes effect before it returns."""
        return self._down

    @down.setter
    def down(self, exchanges: Collection[str]) -> None:
        self._down = frozenset(exchanges)
        if self._switch is not None:
            self._switch(self._down)

    def attach(self, switch: Callable[[frozenset[str]], None]) -> None:
        """Call this from now on when ``down`` is set."""
        self._switch = switch

    @property
    def rates(self) -> Mapping[str, float]:
        return {name: getattr(self, name) for name in FAULTS}

    def draw(self, exchange: str, target: str) -> str | None:
        """The fault of the next answer to a request, one of ``FAULTS``, or None."""
        key = f"{exchange} {target}"
        nth = self._next_draw("whole", key)
        if self.only is not None and exchange not in self.only:
            return None
        if self._streaks[key] >= self.streak:
            self._streaks[key] = 0
            return None
        point = chance(self.seed, "whole", key, nth)
        for name, rate in self.rates.items():
            point -= rate
            if point < 0:
                self._streaks[key] += 1
                self.counts[name] += 1
                return name
        self._streaks[key] = 0
        return None

    def page(self, exchange: str, target: str, rows: list[Any]) -> list[Any]:
        """A page's rows, perhaps with some of them twice, perhaps shuffled."""
        key = f"{exchange} {target}"
        nth = self._next_draw("page", key)
        if (self.only is not None and exchange not in self.only) or len(rows) < 2:
            return rows
        generator = random.Random(f"{self.seed} {key} {nth}")
        if generator.random() < self.duplicated:
            duplicates = generator.sample(range(len(rows)), max(1, len(rows) // 10))
            rows = [row for i, row in enumerate(rows) for _ in range(1 + (i in duplicates))]
            self.counts["duplicated"] += 1
        if generator.random() < self.unsorted:
            rows = generator.sample(rows, len(rows))
            self.counts["unsorted"] += 1
        return rows

    def variant(self, exchange: str, target: str) -> float:
        """Which of a fault's forms, 0 to 1, for the present answer."""
        key = f"{exchange} {target}"
        return chance(self.seed, "variant", key, self._draws["whole", key])

    def _next_draw(self, draw: str, key: str) -> int:
        self._draws[draw, key] += 1
        return self._draws[draw, key]
