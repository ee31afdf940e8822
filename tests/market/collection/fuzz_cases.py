"""What a fuzz of the exchanges' answers mutates: endpoints, and a case of each series.

Mutations of one collection don't meet: each series has one of its own, of an answer of one of its
endpoints. Now and then an exchange has one in its list of instruments, in its funding intervals or
in its clock.

No form shows that a row was shifted to a place where no other is missing and none is doubled, so
the clock and the listing times are mutated to absurd values alone, and a page of OKX's settlements,
which has no lower bound, is never shifted as a whole by their interval.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count, product
from typing import Any

from tests.market.collection.mutations import CLOCKS, Mutation
from tests.market.exchange_server import EXCHANGES, ExchangeServer

__all__ = ["BATCH", "SYMBOLS", "Case", "Mutations", "cases_from"]

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "DOGE/USDT", "KAITO/USDT", "LPT/USDT", "POL/USDT")

#: The endpoints of each kind that are mutated, with their fields of times.
_ENDPOINTS: Mapping[str, Mapping[str, Mapping[str, tuple[str | int, ...]]]] = {
    "binance": {
        "candles": {"/fapi/v1/klines": (0,)},
        "funding": {"/fapi/v1/fundingRate": ("fundingTime",)},
        "open_interest": {"/futures/data/openInterestHist": ("timestamp",)},
        "snapshots": {"/fapi/v1/premiumIndex": (), "/fapi/v1/openInterest": ()},
    },
    "bybit": {
        "candles": {"/v5/market/kline": (0,)},
        "funding": {"/v5/market/funding/history": ("fundingRateTimestamp",)},
        "open_interest": {
            "/v5/market/open-interest": ("timestamp",),
            "/v5/market/mark-price-kline": (0,),
        },
        "snapshots": {"/v5/market/tickers": ("nextFundingTime",)},
    },
    "okx": {
        "candles": {"/api/v5/market/history-candles": (0,)},
        "funding": {"/api/v5/public/funding-rate-history": ("fundingTime",)},
        "open_interest": {"/api/v5/rubik/stat/contracts/open-interest-history": (0,)},
        "snapshots": {
            "/api/v5/public/mark-price": ("ts",),
            "/api/v5/public/open-interest": ("ts",),
        },
    },
}
_KINDS = ("candles", "funding", "open_interest", "snapshots")
BATCH = len(EXCHANGES) * len(SYMBOLS) * len(_KINDS)

_CLOCKS = {"binance": "/fapi/v1/time", "bybit": "/v5/market/time", "okx": "/api/v5/public/time"}
_CLOCK_FIELDS = {"binance": "serverTime", "bybit": "time", "okx": "ts"}
#: Answers that are of all of an exchange's instruments.
_LISTS = {
    "binance": ("/fapi/v1/exchangeInfo", "/fapi/v1/fundingInfo"),
    "bybit": ("/v5/market/instruments-info",),
    "okx": ("/api/v5/public/instruments", "/api/v5/public/funding-rate"),
}
_LISTED = ("drop", "null", "retype", "row", "double", "swap", "container", "body")
# A mutation may change nothing, such as a swap of the only row; then others are tried.
_TRIES, _FAR = 8, 10**9

#: Makes another body of an answer's.
Change = Callable[[Any], Any]

_SETTLEMENTS = "/api/v5/public/funding-rate-history"


@dataclass(frozen=True)
class Case:
    """What is mutated by a seed.

    Attributes:
        exchange: whose answers.
        path: of the endpoint.
        symbol: of the series; empty where the answers are of the whole exchange.
    """

    exchange: str
    path: str
    symbol: str = ""

    @property
    def kind(self) -> str:
        """Of the series; empty where it is no series."""
        kinds = _ENDPOINTS[self.exchange]
        return next((kind for kind, paths in kinds.items() if self.path in paths), "")


def cases_from(first: int) -> dict[Case, int]:
    """The seeds of one collection's cases: of each series in turn, and now and then an exchange."""
    seeds = count(first)
    cases: dict[Case, int] = {}
    for exchange, symbol, kind in product(EXCHANGES, SYMBOLS, _KINDS):
        seed = next(seeds)
        path = random.Random(f"{seed} path").choice(list(_ENDPOINTS[exchange][kind]))
        cases[Case(exchange, path, symbol)] = seed
    for place, exchange in enumerate(EXCHANGES):
        seed = first + place
        draw = random.Random(f"{seed} exchange")
        if draw.random() < 0.3:
            paths = [*_LISTS[exchange], *_LISTS[exchange], _CLOCKS[exchange]]
            cases[Case(exchange, draw.choice(paths))] = seed
    return cases


@dataclass
class Mutations:
    """The mutations of one collection, an edit of a server's answers.

    Attributes:
        server: whose answers are mutated.
        cases: their seeds.
        log: the mutations that changed an answer.
    """

    server: ExchangeServer
    cases: Mapping[Case, int]
    log: dict[Case, str] = field(default_factory=dict)
    _changes: dict[Case, Change] = field(default_factory=dict)

    def label(self, exchange: str, symbol: str, kind: str) -> str:
        """A series, and the seeds and mutations that may touch it."""
        touching = [
            f"seed {seed} {case.path} {self.log[case]}"
            for case, seed in self.cases.items()
            if case in self.log
            and case.exchange == exchange
            and (case.symbol, case.kind) in (("", ""), (symbol, kind))
        ]
        return f"{exchange} {symbol} {kind} ({'; '.join(touching)})"

    def __call__(self, exchange: str, path: str, query: Mapping[str, str], body: Any) -> Any:
        listing = self.server.truth.by_id(exchange, query.get("symbol") or query.get("instId"))
        symbol = "" if listing is None else listing.symbol.partition(":")[0]
        case = Case(exchange, path, symbol)
        seed = self.cases.get(case)
        if seed is None:
            return body
        if case not in self._changes:
            self._changes[case] = self._change(case, seed, body)
        return self._changes[case](body)

    def _change(self, case: Case, seed: int, body: Any) -> Change:
        """The first of a seed's changes that makes another body."""
        for change, what in _changes(case, seed):
            mutated = change(body)
            whole = what == "shift" and case.path == _SETTLEMENTS and _is_shifted(body, mutated)
            if mutated != body and not whole:
                self.log[case] = what
                return change
        return lambda body: body


def _changes(case: Case, seed: int) -> Iterator[tuple[Change, str]]:
    """Changes of a case's answers, with what they are."""
    if case.path == _CLOCKS[case.exchange]:
        value = random.Random(f"{seed} clock").choice(CLOCKS)
        yield partial(_with_clock, case.exchange, value), repr(value)
        return
    times = _ENDPOINTS[case.exchange][case.kind][case.path] if case.symbol else ()
    for further in range(seed, seed + _TRIES * _FAR, _FAR):
        mutation = Mutation(further, times, None if case.symbol else _LISTED)
        yield partial(_mutated, case.exchange, mutation), mutation.kind


def _with_clock(exchange: str, value: Any, body: Any) -> Any:
    changed = {_CLOCK_FIELDS[exchange]: value}
    if exchange == "okx":
        return {**body, "data": [{**body["data"][0], **changed}]}
    return {**body, **changed}


def _mutated(exchange: str, mutation: Mutation, body: Any) -> Any:
    place = random.Random(mutation.seed)
    return mutation(exchange, body, lambda rows: place.randrange(len(rows)))


def _is_shifted(before: Any, after: Any) -> bool:
    """Whether all settlements of a page were moved to places of others."""
    pairs = zip(before["data"], after["data"], strict=True)
    moves = {int(new["fundingTime"]) - int(old["fundingTime"]) for old, new in pairs}
    return len(moves) == 1 and moves.pop() % (8 * 3_600_000) == 0
