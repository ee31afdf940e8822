"""Mutated answers: right values, what is missing on record, or one error of ours; nothing else.

Each symbol of each exchange has one mutation of its own in a collection, and now and then an
exchange has one in its list of instruments or its clock. What is stored is compared with what the
exchanges would have said; afterwards they are mended, and the next collection makes all whole.

No form shows that a row was shifted to a place where no other is missing and none is doubled, so
the clock and the listing times are mutated to absurd values alone, and a page of OKX's settlements,
which has no lower bound, is never shifted as a whole by their interval.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain.errors import BrainError
from brain.naming import perpetual
from brain.series.store import SeriesStore
from brain.series.store.schema import KINDS
from market.collection.gaps import ENDED, NO_ROW, open_gaps
from market.collection.results import CollectionResult
from tests.market.collection.mutations import CLOCKS, Mutation
from tests.market.collectors import HISTORIES, KEY, collector, exists, lacking, uncovered
from tests.market.exchange_server import EXCHANGES, NOW, ExchangeServer

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "DOGE/USDT", "KAITO/USDT", "LPT/USDT", "POL/USDT")
HOURS = 30
#: Seeds that showed a fault which was mended since.
REGRESSIONS = (21416, 21587, 21731)
BATCH = len(SYMBOLS) * len(EXCHANGES)

#: The endpoints that are mutated, with their fields of times.
_ENDPOINTS: Mapping[str, Mapping[str, tuple[str | int, ...]]] = {
    "binance": {
        "/fapi/v1/klines": (0,),
        "/fapi/v1/fundingRate": ("fundingTime",),
        "/futures/data/openInterestHist": ("timestamp",),
        "/fapi/v1/premiumIndex": (),
    },
    "bybit": {
        "/v5/market/kline": (0,),
        "/v5/market/funding/history": ("fundingRateTimestamp",),
        "/v5/market/open-interest": ("timestamp",),
        "/v5/market/mark-price-kline": (0,),
        "/v5/market/tickers": ("nextFundingTime",),
    },
    "okx": {
        "/api/v5/market/history-candles": (0,),
        "/api/v5/public/funding-rate-history": ("fundingTime",),
        "/api/v5/rubik/stat/contracts/open-interest-history": (0,),
        "/api/v5/public/mark-price": ("ts",),
        "/api/v5/public/open-interest": ("ts",),
    },
}
_LISTS = {
    "binance": "/fapi/v1/exchangeInfo",
    "bybit": "/v5/market/instruments-info",
    "okx": "/api/v5/public/instruments",
}
_CLOCKS = {
    "binance": ("/fapi/v1/time", "serverTime"),
    "bybit": ("/v5/market/time", "time"),
    "okx": ("/api/v5/public/time", "ts"),
}
_LISTED = ("drop", "null", "retype", "row", "double", "swap", "container", "body")


_SETTLEMENTS = "/api/v5/public/funding-rate-history"


def _is_shifted_whole(before: Any, after: Any) -> bool:
    """Whether all settlements of a page were moved to places of others."""
    pairs = zip(before["data"], after["data"], strict=True)
    moves = {int(new["fundingTime"]) - int(old["fundingTime"]) for old, new in pairs}
    return len(moves) == 1 and moves.pop() % (8 * 3_600_000) == 0


@dataclass
class Mutations:
    """The mutations of one collection; of each symbol a seed of its own.

    Attributes:
        server: whose answers are mutated.
        first: the seed of the first symbol at the first exchange.
        log: what was mutated, by exchange and symbol.
    """

    server: ExchangeServer
    first: int
    log: dict[tuple[str, str], str] = field(default_factory=dict)

    def seed(self, exchange: str, symbol: str) -> int:
        return self.first + EXCHANGES.index(exchange) * len(SYMBOLS) + SYMBOLS.index(symbol)

    def __call__(self, exchange: str, path: str, query: Mapping[str, str], body: Any) -> Any:
        seed = self.seed(exchange, SYMBOLS[0])
        draw = random.Random(f"{seed} exchange")
        whole = draw.choice([None, None, None, None, None, None, "list", "clock"])
        if whole == "clock" and path == _CLOCKS[exchange][0]:
            return self._clock(exchange, body, draw)
        if whole == "list" and path == _LISTS[exchange]:
            mutation = Mutation(seed, (), _LISTED)
            self.log[exchange, "*"] = f"{path} {mutation.kind}"
            return mutation(exchange, body, lambda rows: random.Random(seed).randrange(len(rows)))
        listing = self.server.truth.by_id(exchange, query.get("symbol") or query.get("instId"))
        symbol = None if listing is None else listing.symbol.partition(":")[0]
        if symbol not in SYMBOLS:
            return body
        seed = self.seed(exchange, symbol)
        endpoints = _ENDPOINTS[exchange]
        if path != random.Random(f"{seed} path").choice(list(endpoints)):
            return body
        mutation = Mutation(seed, endpoints[path])
        mutated = mutation(exchange, body, lambda rows: random.Random(seed).randrange(len(rows)))
        if path == _SETTLEMENTS and mutation.kind == "shift" and _is_shifted_whole(body, mutated):
            return body
        self.log[exchange, symbol] = f"{path} {mutation.kind}"
        return mutated

    def _clock(self, exchange: str, body: Any, draw: random.Random) -> Any:
        value = draw.choice(CLOCKS)
        holder = body["data"][0] if exchange == "okx" else body
        holder[_CLOCKS[exchange][1]] = value
        self.log[exchange, "*"] = f"clock {value!r}"
        return body


@pytest.fixture(scope="module")
def server() -> Iterator[ExchangeServer]:
    with ExchangeServer(fillers=0, scale=1000) as running:
        yield running


def _check(
    store: SeriesStore, server: ExchangeServer, result: CollectionResult, mutations: Mutations
) -> list[str]:
    """What is wrong with a collection of mutated answers, with the seeds that show it."""
    wrong: list[str] = []
    gaps = open_gaps(store)
    for series in result.series:
        key = (series.exchange, series.symbol)
        seed = mutations.seed(*key)
        what = mutations.log.get(key, ""), mutations.log.get((series.exchange, "*"), "")
        label = f"seed {seed} {series.what} {what}"
        error = series.failure
        if error is not None and (not isinstance(error, BrainError) or "report it" in str(error)):
            wrong.append(f"{label}: {error!r}")
        symbol = perpetual(series.symbol)
        if series.kind == "snapshots":
            rows = store.read("snapshots", exchange=series.exchange, symbol=symbol)
            right = server.truth.snapshot(series.exchange, symbol)
            wrong += [f"{label}: {text}" for text in value_faults(rows, right, "snapshots")]
            if not len(rows) and error is None:
                wrong.append(f"{label}: no snapshot, and no failure")
            continue
        start = NOW - pd.Timedelta(hours=HOURS)
        rows = store.read(series.kind, exchange=series.exchange, symbol=symbol)
        everything = exists(server.truth, series.exchange, symbol, series.kind)
        wrong += [f"{label}: {text}" for text in value_faults(rows, everything, series.kind)]
        right = everything[everything["time"] >= start.ceil("h")]
        missing = lacking(store, right, series.kind)
        off_record = uncovered(gaps, missing, series.kind)
        if len(off_record) and series.rows_stored is not None:
            wrong.append(f"{label}: {len(off_record)} rows missing and not on record")
        if not len(missing):
            continue
        own = gaps[(gaps["exchange"] == series.exchange) & (gaps["symbol"] == symbol)]
        untrue = own[(own["kind"] == series.kind) & own["reason"].isin([NO_ROW, ENDED])]
        false = len(missing) - len(uncovered(untrue, missing, series.kind))
        if false:
            wrong.append(f"{label}: {false} rows that exist are called {set(untrue['reason'])}")
    return wrong


def value_faults(rows: pd.DataFrame, right: pd.DataFrame, kind: str) -> list[str]:
    """How stored rows differ from the right ones; what may be unknown may be NaN."""
    wrong = []
    names = KEY.get(kind, ["exchange", "symbol", "time"])
    both = rows.merge(right, on=names, how="left", suffixes=("", "_right"), indicator=True)
    strange = both[both["_merge"] == "left_only"]
    if len(strange):
        wrong.append(f"{len(strange)} rows that no exchange has, first {strange['time'].iloc[0]}")
    both = both[both["_merge"] == "both"]
    for name, dtype in KINDS[kind].values.items():
        if name not in rows or f"{name}_right" not in both:
            continue
        stored, true = both[name], both[f"{name}_right"]
        if dtype == "number":
            same = np.isclose(stored.astype(float), true.astype(float), rtol=1e-9, equal_nan=True)
        else:
            same = ((stored == true) | (stored.isna() & true.isna())).to_numpy(dtype=bool)
        unknown = stored.isna().to_numpy() & (name in KINDS[kind].nullable)
        if not (same | unknown).all():
            place = int((~(same | unknown)).argmax())
            wrong.append(f"{name} {stored.iloc[place]} is {true.iloc[place]} in truth")
    return wrong


def _fuzz(server: ExchangeServer, root: Path, first: int) -> None:
    """One collection of mutated answers, and one after the exchanges are mended."""
    store = SeriesStore(root / f"series-{first}")
    mutations = Mutations(server, first)
    server.edit = mutations
    work = collector(store, server, request_timeout=5.0)
    try:
        result = work.collect_all_data(SYMBOLS, HOURS)
        wrong = _check(store, server, result, mutations)
    finally:
        server.edit = None
    result = work.collect_all_data(SYMBOLS, HOURS)
    start = (NOW - pd.Timedelta(hours=HOURS)).ceil("h")
    for exchange in EXCHANGES:
        for symbol in SYMBOLS:
            for kind in HISTORIES:
                right = exists(server.truth, exchange, perpetual(symbol), kind, start)
                if missing := len(lacking(store, right, kind)):
                    seed, log = mutations.seed(exchange, symbol), mutations.log
                    what = log.get((exchange, symbol)), log.get((exchange, "*"))
                    wrong.append(
                        f"seed {seed} {symbol} {exchange} {kind} {what}: {missing} rows missing "
                        "after all was mended"
                    )
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("first", range(0, 8 * BATCH, BATCH))
def test_mutated_answers(server: ExchangeServer, tmp_path: Path, first: int) -> None:
    _fuzz(server, tmp_path, first)


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_seeds_of_regressions(server: ExchangeServer, tmp_path: Path, seed: int) -> None:
    _fuzz(server, tmp_path, seed - seed % BATCH)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(1000 * BATCH, 1000 * BATCH + 10_000, BATCH))
def test_many_mutated_answers(server: ExchangeServer, tmp_path: Path, first: int) -> None:
    _fuzz(server, tmp_path, first)
