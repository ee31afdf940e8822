"""The simulated cases that judge the trial: no edge, an edge, and an edge in some cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np

from benchmarks.frame import Target
from benchmarks.promotion_markets import Market, Nights
from registry.promotion.boundary import Rule

__all__ = [
    "BACKTEST",
    "NIGHTS",
    "Case",
    "best_of",
    "chunks",
    "count_symbols",
    "mixture_cases",
    "null_cases",
    "power_cases",
]

#: Of the seeds that judge. Those on which the rule was chosen begin with 14 to 16.
JUDGED = 17
CHUNK = 100
BACKTEST = 420
NIGHTS = 180
#: Design choices that decisions 3 and 4 and their check on other bars tell, and a search's trials.
OWN_RECIPES = 40


def chunks(name: str, paths: int) -> Iterator[tuple[np.random.Generator, int]]:
    """Generators of a case's paths and how many of them, some at once."""
    for start in range(0, paths, CHUNK):
        yield (
            np.random.default_rng([JUDGED, crc32(name.encode()), start]),
            min(CHUNK, paths - start),
        )


@dataclass(frozen=True)
class Case:
    """A market and the trials on it.

    Attributes:
        name: unique; it is part of the seed.
        market: simulated.
        trial: keywords of :func:`benchmarks.promotion_trials.try_lines`.
        prepare: what is done to the nights before.
        oracle: whether power is compared with the oracle's.
        target: of the share of paths with a promotion (at most: of its upper bound).
    """

    name: str
    market: Market
    trial: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[Nights], Nights] = lambda nights: nights
    oracle: bool = False
    target: Target | None = None


def best_of(count: int, nights: Nights) -> Nights:
    """The line with the best backtest of so many, against the champion."""
    before = nights.profits[1 : count + 1, :, :BACKTEST].mean(axis=(2, 3))
    best = before.argmax(axis=0) + 1
    chosen = nights.profits[best, np.arange(len(best))]
    return Nights(np.stack([nights.profits[0], chosen]), nights.shares)


_ERROR = Target(0.05, "at most", of="ours")
_LONG = BACKTEST + NIGHTS
_BACKTEST = {"backtest": BACKTEST}
_SINGLE = Rule(weights=(1e-9, 1e-9, 1.0))


def count_symbols(symbols: int) -> str:
    """``1 symbol``, ``20 symbols``."""
    return "1 symbol" if symbols == 1 else f"{symbols} symbols"


def null_cases() -> Iterator[Case]:
    """Markets without any edge."""
    for symbols in (1, 10, 20):
        market = Market(symbols=symbols)
        yield Case(f"{count_symbols(symbols)}, live", market, target=_ERROR)
        longer = market.with_(nights=_LONG)
        yield Case(f"{count_symbols(symbols)}, backtest", longer, _BACKTEST, target=_ERROR)
    for symbols in (1, 20):
        market = Market(symbols=symbols, heavy=False)
        yield Case(f"{count_symbols(symbols)}, normal tails, live", market, target=_ERROR)
    skewed = Market(skewed=True)
    yield Case("20 symbols, skewed, live", skewed, target=_ERROR)
    yield Case("1 symbol, skewed, live", skewed.with_(symbols=1), target=_ERROR)
    longer = skewed.with_(nights=_LONG)
    yield Case("20 symbols, skewed, backtest", longer, _BACKTEST, target=_ERROR)
    starts = {1: 0, 2: 0} | {line: 7 * (line - 2) for line in range(3, 28)}
    weekly = Market(lines=28)
    yield Case("20 symbols, a new line every week", weekly, {"starts": starts}, target=_ERROR)
    spread = {"starts": starts, "rule": Rule(batch=0.1, least=1e-6)}
    yield Case("… each with a tenth of what is left", weekly, spread, target=_ERROR)
    eight = Market(lines=9, nights=_LONG)
    one = {"backtest": BACKTEST, "lines": (1,)}
    for recipes in (8, 1):
        yield Case(
            f"20 symbols, best of 8 by backtest, K = {recipes}",
            eight,
            {**one, "recipes": recipes},
            prepare=partial(best_of, 8),
            target=_ERROR if recipes == 8 else None,
        )
    flattering = Market(edge=2.0, later=(BACKTEST, -1.0), nights=_LONG)
    yield Case("20 symbols, backtest +2 and live −1", flattering, _BACKTEST, target=None)
    live = {"backtest": BACKTEST, "rule": Rule(confirmation=-5.0, confirmation_nights=0)}
    yield Case("… without a live confirmation of all cells", flattering, live)


def power_cases() -> Iterator[Case]:
    """Markets where line 1 is better by a constant edge."""

    def floor(bound: float) -> Target:
        return Target(bound, of="ours")

    market, longer = Market(), Market(nights=_LONG)
    for edge, target in ((1.0, floor(0.28)), (2.0, floor(0.88)), (3.0, None)):
        name = f"20 symbols +{edge:g}, live"
        yield Case(name, market.with_(edge=edge), oracle=True, target=target)
    for edge, target in ((1.0, floor(0.65)), (2.0, floor(0.95))):
        after = longer.with_(edge=edge)
        for recipes in (4, OWN_RECIPES):
            yield Case(
                f"20 symbols +{edge:g}, backtest, K = {recipes}",
                after,
                {**_BACKTEST, "recipes": recipes},
                target=target if recipes == 4 else None,
            )
    yield Case("1 symbol +2, live", Market(symbols=1, edge=2.0), oracle=True)
    yield Case("10 symbols +2, live", Market(symbols=10, edge=2.0), oracle=True)
    apart = Market(line_correlation=0.3, edge=2.0)
    yield Case("20 symbols +2, lines' correlation .3, live", apart, oracle=True)
    yield Case("20 symbols +2, each symbol by itself, live", Market(edge=2.0), {"rule": _SINGLE})


def mixture_cases() -> Iterator[Case]:
    """Markets where line 1 is better in a part of the cells."""
    yield Case("+4 in regime high", Market(edge=4.0, edge_regimes=(2,)))
    yield Case("+4 in regime low", Market(edge=4.0, edge_regimes=(0,)))
    yield Case("+4 in 4 of 20 symbols", Market(edge=4.0, edge_symbols=4))
    yield Case("+2 in 4 of 20 symbols", Market(edge=2.0, edge_symbols=4))
    yield Case("+2 in 10 of 20 symbols", Market(edge=2.0, edge_symbols=10))
