"""Any other exchange through ccxt, at a server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from aiohttp import web

from brain.errors import (
    ExchangeBlockedError,
    ExchangeRefusedError,
    ExchangeUnreachableError,
    InputError,
)
from brain.series.store.store import SeriesStore
from market.collection.batches import Batches
from market.collection.exchange_collection import ExchangeCollection
from market.collection.request import CollectionRequest, Tally
from market.exchanges.generic import GenericExchange
from tests.market.loopback import serving

HOUR = 3_600_000
NOW = pd.Timestamp("2026-11-20 12:34", tz="UTC")
CLOCK = NOW.value // 1_000_000
BTC = "BTC/USDT:USDT"


def contract(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "direct",
        "quanto_multiplier": "1",
        "in_delisting": False,
        "funding_interval": 28800,
        "order_price_round": "0.1",
        "mark_price_round": "0.01",
        "leverage_min": "1",
        "leverage_max": "100",
        "order_size_min": 1,
        "order_size_max": 1000000,
        "maker_fee_rate": "-0.0001",
        "taker_fee_rate": "0.0005",
        "status": "trading",
        "create_time": 1600000000,
    }


class Gate:
    """The endpoints that ccxt's gate requests, of futures with settlement in USDT."""

    def __init__(self) -> None:
        self.missing: set[int] = set()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        if request.path.endswith("/usdt/contracts"):
            return web.json_response([contract("BTC_USDT")])
        if request.path.endswith("/spot/time"):
            return web.json_response({"server_time": CLOCK})
        if request.path.endswith("/candlesticks"):
            low = int(query.get("from", CLOCK // 1000 - 100 * 3600)) * 1000
            until = int(query["to"]) * 1000 if "to" in query else low + 100 * HOUR
            rows = [
                {"t": t // 1000, "o": "1", "h": "3", "l": "1", "c": "2", "v": 5, "sum": "10"}
                for t in range(-(-low // HOUR) * HOUR, min(until, CLOCK) + 1, HOUR)
                if t not in self.missing
            ]
            return web.json_response(rows[:100])
        if request.path.endswith("/funding_rate"):
            low, high = int(query.get("from", 0)), int(query.get("to", 1 << 40))
            times = [t // 1000 for t in range(0, CLOCK, 8 * HOUR) if low <= t // 1000 <= high]
            return web.json_response([{"t": t, "r": "0.0001"} for t in times[:100]])
        return web.json_response([])


def run_client(
    work: Callable[[GenericExchange], Awaitable[Any]], gate: Callable[..., Any] | None = None
) -> Any:
    async def run() -> Any:
        async with (
            serving(gate or Gate()) as url,
            GenericExchange("gate", url.replace("http://", "http://me:geheim@")) as exchange,
        ):
            exchange._client.options["fetchMarkets"] = {"types": ["swap"]}
            return await work(exchange)

    return asyncio.run(run())


async def join(pages: Any) -> pd.DataFrame:
    frames: list[pd.DataFrame] = [page.rows async for page in pages]
    return pd.concat(frames, ignore_index=True)


def test_candles_come_whole_past_a_hole_and_closed() -> None:
    gate = Gate()
    start = NOW - pd.Timedelta(days=20)
    first = -(-(start.value // 1_000_000) // HOUR) * HOUR
    gate.missing = set(range(first + 10 * HOUR, first + 260 * HOUR, HOUR))

    async def work(exchange: GenericExchange) -> pd.DataFrame:
        instrument = (await exchange.instruments())[BTC]
        assert (instrument.exchange, instrument.contract_size) == ("gate", 1.0)
        return await join(exchange.candles(instrument, "1h", start, NOW))

    rows = run_client(work, gate)
    expected = [t for t in range(first, CLOCK - HOUR + 1, HOUR) if t not in gate.missing]
    assert [t.value // 1_000_000 for t in rows["time"]] == expected
    assert rows["quote_volume"].isna().all()
    assert (rows["exchange"] == "gate").all()


def test_funding_comes_whole() -> None:
    async def work(exchange: GenericExchange) -> pd.DataFrame:
        instrument = (await exchange.instruments())[BTC]
        return await join(exchange.funding(instrument, NOW - pd.Timedelta(days=30), NOW))

    rows = run_client(work)
    assert len(rows) == 90
    assert (rows["time"].diff().dropna() == pd.Timedelta(hours=8)).all()
    assert (rows["interval_hours"] == 8).all()


def test_what_is_not_had_is_said() -> None:
    async def work(exchange: GenericExchange) -> None:
        instrument = (await exchange.instruments())[BTC]
        with pytest.raises(ExchangeRefusedError, match="open interest"):
            await join(exchange.open_interest(instrument, "1h", NOW, NOW))
        with pytest.raises(InputError, match="no candles of '3m'"):
            await join(exchange.candles(instrument, "3m", NOW, NOW))
        await exchange.probes()[0].run()

    run_client(work)


def test_what_ccxt_lacks_is_no_failure_of_a_collection(tmp_path: Path) -> None:
    store = SeriesStore(tmp_path / "series")
    request = CollectionRequest(("BTC/USDT",), hours=48, until=None, timeframe="1h", renamed={})
    tally = Tally(request, ["gate"], None)

    async def collect(exchange: GenericExchange) -> None:
        async with Batches(store) as batches:
            await ExchangeCollection(exchange, request, batches, store, tally).run()

    run_client(collect)
    results = {result.kind: result for result in tally.results()}
    assert not [result for result in results.values() if result.failure is not None]
    assert results["candles"].missing == 0
    assert results["funding"].rows_stored == 6
    assert results["open_interest"].rows_stored is None
    assert results["open_interest"].note == "ccxt has no open interest of gate to rely on"
    assert store.read("gaps").empty


def test_amounts_in_contracts_of_another_size_are_unknown() -> None:
    async def work(exchange: GenericExchange) -> None:
        bitcoin = (await exchange.instruments())[BTC]
        assert exchange._base_units(bitcoin) == 1
        small = type(bitcoin)("gate", BTC, BTC, 0.001, None, None, None, "active")
        rows = await join(exchange.candles(small, "1h", NOW - pd.Timedelta(hours=5), NOW))
        assert np.isnan(rows["volume"]).all()
        assert (rows["close"] == 2).all()

    run_client(work)


def test_who_is_blocked_learns_of_the_network() -> None:
    paths = []

    async def block(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        return web.Response(status=451, text="not in your country")

    async def work(exchange: GenericExchange) -> None:
        with pytest.raises(ExchangeBlockedError, match="permitted network"):
            await exchange.server_time()

    run_client(work, block)
    assert len(paths) == 1


def test_errors_are_ours_and_show_no_secret() -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/time"):
            return web.json_response({"label": "INVALID", "message": "no"}, status=400)
        return web.Response(status=502, text="bad gateway")

    async def work(exchange: GenericExchange) -> None:
        with pytest.raises(ExchangeRefusedError, match="gate answers the time") as refused:
            await exchange.server_time()
        with pytest.raises(ExchangeUnreachableError, match="gate can't be reached") as away:
            await exchange.instruments()
        assert "geheim" not in f"{refused.value} {away.value} {exchange!r}"

    run_client(work, broken)
