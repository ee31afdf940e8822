"""Mutated recorded answers of the real exchanges, collected from loopback.

What is stored of the recorded answers as they are is the truth that the mutated ones are held to.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from brain.errors import BrainError
from brain.series.store import SeriesStore
from market.collection.gaps import ENDED, NO_ROW, open_gaps
from tests.market.collection.mutations import Mutation
from tests.market.collection.test_fuzz import value_faults
from tests.market.collectors import HISTORIES, collect, lacking, uncovered
from tests.market.exchange_server import ExchangeServer
from tests.market.test_recorded import gct, recorded, small

pytestmark = pytest.mark.skipif(
    "BRAIN_RECORDED_DATA" not in os.environ, reason="BRAIN_RECORDED_DATA names no folder"
)


@dataclass(frozen=True)
class Recording:
    """Recorded answers by path, as if the exchange had been asked for BTC/USDT.

    Attributes:
        now: the exchange's time.
        timeframe, hours: of the collection.
        rows: of each history's path, with their field of times.
        answers: of the other paths, whole.
    """

    now: str
    timeframe: str
    hours: int
    rows: Mapping[str, tuple[list[Any], str | int]]
    answers: Mapping[str, Any]


_KLINES = "endTime=1602819948&interval=5m&startTime=1602816348&symbol=LTCUSDT"


@cache
def recording(exchange: str) -> Recording:
    if exchange == "binance":
        info = recorded("binance/gct_recorded.json")["/fapi/v1/fundingInfo"][0]["response"]
        rows: dict[str, tuple[list[Any], str | int]] = {
            "klines": (gct("/fapi/v1/klines", _KLINES), 0),
            "fundingRate": (gct("/fapi/v1/fundingRate", "symbol=BTCUSDT"), "fundingTime"),
        }
        return Recording(
            "2020-10-16 03:43",
            "5m",
            30,
            rows,
            {
                "exchangeInfo": recorded("binance/fapi_v1_exchangeInfo_20210721.json"),
                "fundingInfo": info,
            },
        )
    if exchange == "bybit":
        candles = small("bybit", "v5_market_kline")["result"]["list"]
        listed = recorded("bybit/v5_market_instruments-info_linear_20260809.json")
        rows = {"market/kline": (candles, 0)}
        return Recording("2022-12-09 18:30", "1h", 2, rows, {"instruments-info": listed})
    candles = small("okx", "api_v5_market_candles_1H")["data"]
    rates = small("okx", "api_v5_public_funding-rate-history")["data"]
    rows = {"candles": (candles, 0), "funding-rate-history": (rates, "fundingTime")}
    answers = {"public/instruments": recorded("okx/api_v5_public_instruments_SWAP_20220513.json")}
    return Recording("2026-08-15 19:30", "1h", 20, rows, answers)


_CLOCKS = {"binance": "fapi/v1/time", "bybit": "v5/market/time", "okx": "public/time"}
_HISTORIES = (
    "klines", "fundingRate", "openInterestHist", "kline", "funding/history", "open-interest",
    "candles", "funding-rate-history", "open-interest-history",
)  # fmt: skip


class Replay:
    """Answers as recorded, perhaps with one path's answers mutated."""

    def __init__(self, exchange: str, seed: int | None = None) -> None:
        self.exchange, self.seed = exchange, seed
        self.recording = recording(exchange)
        paths = [*self.recording.rows, *self.recording.answers]
        self.path = None if seed is None else random.Random(f"{seed} path").choice(paths)

    def __call__(self, exchange: str, path: str, query: Mapping[str, str], body: Any) -> Any:
        if path.endswith(_CLOCKS[exchange]):
            return self._clock(body)
        answer = self._answer(path, query, body)
        keys = (*self.recording.rows, *self.recording.answers)
        key = next((key for key in keys if path.endswith(key)), "")
        if self.seed is None or key != self.path:
            return answer
        times = (self.recording.rows[key][1],) if key in self.recording.rows else ()
        mutation = Mutation(self.seed, times)
        if mutation.kind == "shift" and self.exchange == "okx":
            return answer  # so few rows are recorded that no neighbour shows a shift
        return mutation(exchange, answer, self._place)

    def _place(self, rows: list[Any]) -> int:
        """Half of the time the row that bitcoin is listed in."""
        draw = random.Random(self.seed)
        names = ("BTCUSDT", "BTC-USDT-SWAP")
        ids = [
            row.get("symbol", row.get("instId")) if isinstance(row, dict) else "" for row in rows
        ]
        own = [place for place, name in enumerate(ids) if name in names]
        return own[0] if own and draw.random() < 0.5 else draw.randrange(len(rows))

    def _clock(self, body: Any) -> Any:
        now = pd.Timestamp(self.recording.now, tz="UTC").value // 1_000_000
        if self.exchange == "okx":
            return {"code": "0", "data": [{"ts": str(now)}]}
        return {**body, "serverTime": now, "time": now}

    def _answer(self, path: str, query: Mapping[str, str], body: Any) -> Any:
        for name, answer in self.recording.answers.items():
            if path.endswith(name):
                if query.get("status", "Trading") != "Trading":
                    break
                return json.loads(json.dumps(answer))
        for name in sorted(_HISTORIES, key=len, reverse=True):
            if path.endswith(name):
                return self._history(path, query, body)
        return body

    def _history(self, path: str, query: Mapping[str, str], body: Any) -> Any:
        rows: list[Any] = []
        for name, (all_rows, field) in self.recording.rows.items():
            if path.endswith(name):
                low, high = _window(query)
                rows = [row for row in all_rows if low <= int(row[field]) <= high]
        rows = json.loads(json.dumps(rows))
        if self.exchange == "binance":
            return rows
        if self.exchange == "bybit":
            return {"retCode": 0, "result": {"list": rows, "nextPageCursor": ""}}
        return {"code": "0", "data": rows}


def _window(query: Mapping[str, str]) -> tuple[int, int]:
    """The first and the last time of a request, in milliseconds."""
    low = next((int(query[n]) for n in ("startTime", "start") if n in query), 0)
    high = next((int(query[n]) for n in ("endTime", "end") if n in query), 1 << 62)
    if "after" in query:  # OKX counts neither end
        low, high = int(query.get("before", -1)) + 1, int(query["after"]) - 1
    return low, high


@pytest.fixture(scope="module")
def server() -> Iterator[ExchangeServer]:
    with ExchangeServer(fillers=0, scale=1000) as running:
        yield running


@pytest.fixture(scope="module")
def truth(
    server: ExchangeServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], pd.DataFrame]:
    """What is stored of the answers as they are, by exchange and kind."""
    frames: dict[tuple[str, str], pd.DataFrame] = {}
    for exchange in ("binance", "bybit", "okx"):
        store = SeriesStore(tmp_path_factory.mktemp(exchange))
        _collect(server, store, exchange, None)
        for kind in HISTORIES:
            frames[exchange, kind] = store.read(kind)
    counts = {key: len(rows) for key, rows in frames.items() if len(rows)}
    assert counts == {
        ("binance", "candles"): 360,
        ("binance", "funding"): 4,
        ("bybit", "candles"): 2,
        ("okx", "candles"): 1,
        ("okx", "funding"): 2,
    }
    return frames


def _collect(server: ExchangeServer, store: SeriesStore, exchange: str, seed: int | None) -> Any:
    server.edit = Replay(exchange, seed)
    taken = server.edit.recording
    try:
        return collect(
            server, store, "BTC/USDT", taken.hours, exchange=exchange, timeframe=taken.timeframe
        )
    finally:
        server.edit = None


def _fuzz(
    server: ExchangeServer,
    truth: Mapping[tuple[str, str], pd.DataFrame],
    root: Path,
    exchange: str,
    seed: int,
) -> None:
    store = SeriesStore(root / f"{exchange}-{seed}")
    result = _collect(server, store, exchange, seed)
    replay, wrong = Replay(exchange, seed), []
    label = f"{exchange} seed {seed} {replay.path} {Mutation(seed).kind}"
    for series in (s for s in result.series if s.kind in HISTORIES):
        error, right = series.failure, truth[exchange, series.kind]
        if error is not None and (not isinstance(error, BrainError) or "report it" in str(error)):
            wrong.append(f"{error!r}")
        rows = store.read(series.kind)
        wrong += value_faults(rows, right, series.kind)
        missing = lacking(store, right, series.kind)
        gaps = open_gaps(store, kind=series.kind)
        if series.rows_stored is not None and len(uncovered(gaps, missing, series.kind)):
            wrong.append(f"{series.kind}: rows missing and not on record")
        untrue = gaps[gaps["reason"].isin([NO_ROW, ENDED])]
        if len(missing) - len(uncovered(untrue, missing, series.kind)):
            wrong.append(f"{series.kind}: rows that exist are called {set(untrue['reason'])}")
    assert not wrong, f"{label}: {wrong}"


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("exchange", ["binance", "bybit", "okx"])
def test_mutated_recorded_answers(
    server: ExchangeServer, truth: Any, tmp_path: Path, exchange: str, seed: int
) -> None:
    _fuzz(server, truth, tmp_path, exchange, seed)


@pytest.mark.parametrize(
    ("exchange", "seed"),
    [
        # Two rows of the instrument differed in when it was listed: the first was taken.
        ("bybit", 1_000_016),
        # A settlement was given some milliseconds before another one, with the same rate.
        ("binance", 1_000_729),
    ],
)
def test_seeds_of_regressions(
    server: ExchangeServer, truth: Any, tmp_path: Path, exchange: str, seed: int
) -> None:
    _fuzz(server, truth, tmp_path, exchange, seed)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(1_000_000, 1_001_000, 50))
@pytest.mark.parametrize("exchange", ["binance", "bybit", "okx"])
def test_many_mutated_recorded_answers(
    server: ExchangeServer, truth: Any, tmp_path: Path, exchange: str, first: int
) -> None:
    for seed in range(first, first + 50):
        _fuzz(server, truth, tmp_path, exchange, seed)
