"""The clients against recorded answers of the real exchanges, served on loopback."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from aiohttp import web

from brain.errors import ExchangeRefusedError
from market.exchanges import open_exchange
from market.exchanges.base import Exchange, Instrument
from market.exchanges.rest import RestExchange
from tests.market.loopback import serving

pytestmark = pytest.mark.skipif(
    "BRAIN_RECORDED_DATA" not in os.environ, reason="BRAIN_RECORDED_DATA names no folder"
)

Answers = dict[str, Any]


def recorded(path: str) -> Any:
    return json.loads((Path(os.environ["BRAIN_RECORDED_DATA"]) / "rest" / path).read_text())


def small(exchange: str, endpoint: str) -> Any:
    file = Path(os.environ["BRAIN_RECORDED_DATA"]) / "rest" / exchange / "recorded_small.jsonl"
    rows = map(json.loads, file.read_text().splitlines())
    return next(json.loads(row["data"]) for row in rows if row["endpoint"] == endpoint)


def gct(endpoint: str, query: str) -> Any:
    answers = recorded("binance/gct_recorded.json")[endpoint]
    return next(one["response"] for one in answers if one["query"] == query)


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def ms(text: str) -> int:
    return at(text).value // 1_000_000


def perpetual(exchange: str, name: str, size: float = 1.0, hours: float | None = 8.0) -> Instrument:
    return Instrument(exchange, "BTC/USDT:USDT", name, size, hours, None, None, "live")


def run_client(name: str, answers: Answers, work: Callable[[Any], Awaitable[Any]]) -> Any:
    """The result of work with a client that gets these answers, by the end of the path."""

    async def handler(request: web.Request) -> web.StreamResponse:
        key = max((k for k in answers if request.path.endswith(k)), key=len)
        answer = answers[key]
        return web.json_response(answer(request.query) if callable(answer) else answer)

    async def run() -> Any:
        async with serving(handler) as url, open_exchange(name, base_url=url) as exchange:
            return await work(exchange)

    return asyncio.run(run())


async def join(pages: Any) -> pd.DataFrame:
    frames: list[pd.DataFrame] = [page.rows async for page in pages]
    return pd.concat(frames, ignore_index=True)


def history(method: str, *arguments: Any) -> Callable[[Any], Awaitable[pd.DataFrame]]:
    """Work with a client: all pages of one history."""
    return lambda exchange: join(getattr(exchange, method)(*arguments))


def clock(name: str, now: str) -> Answers:
    answers: dict[str, Answers] = {
        "binance": {"/time": {"serverTime": ms(now)}},
        "bybit": {"/time": {"retCode": 0, "result": {}, "time": ms(now)}},
        "okx": {"/time": {"code": "0", "data": [{"ts": str(ms(now))}]}},
    }
    return answers[name]


def test_binance_instruments() -> None:
    answers = {
        "/exchangeInfo": recorded("binance/fapi_v1_exchangeInfo_20210721.json"),
        "/fundingInfo": recorded("binance/gct_recorded.json")["/fapi/v1/fundingInfo"][0][
            "response"
        ],
    }
    instruments = run_client("binance", answers, lambda exchange: exchange.instruments())
    assert len(instruments) == 119  # of 122: two quarters, and one that had no contract type yet
    bitcoin = instruments["BTC/USDT:USDT"]
    assert (bitcoin.id, bitcoin.funding_interval_hours) == ("BTCUSDT", 8.0)
    assert (bitcoin.listed, bitcoin.delisted) == (at("2019-09-25 08:00"), None)
    assert instruments["1000SHIB/USDT:USDT"].id == "1000SHIBUSDT"
    assert "BTC/BUSD:BUSD" in instruments


def test_binance_funding_intervals() -> None:
    answers = {
        "/exchangeInfo": {
            "symbols": [
                {
                    "symbol": f"{base}USDT",
                    "contractType": "PERPETUAL",
                    "baseAsset": base,
                    "quoteAsset": "USDT",
                    "marginAsset": "USDT",
                    "status": "TRADING",
                }
                for base in ("BTC", "LPT", "GTC")
            ]
        },
        "/fundingInfo": recorded("binance/gct_recorded.json")["/fapi/v1/fundingInfo"][0][
            "response"
        ],
    }
    instruments = run_client("binance", answers, lambda exchange: exchange.instruments())
    hours = {name: one.funding_interval_hours for name, one in instruments.items()}
    assert hours == {"BTC/USDT:USDT": 8.0, "LPT/USDT:USDT": 4.0, "GTC/USDT:USDT": 8.0}


def test_binance_funding_is_floored_to_the_minute() -> None:
    rows = gct("/fapi/v1/fundingRate", "symbol=BTCUSDT")

    def answer(query: Any) -> Any:
        low, high = int(query["startTime"]), int(query["endTime"])
        return [row for row in rows if low <= row["fundingTime"] <= high]

    answers = {"/fundingRate": answer, **clock("binance", "2020-11-01")}
    bitcoin = perpetual("binance", "BTCUSDT")
    work = history("funding", bitcoin, at("2020-09-15"), at("2020-11-01"))
    frame = run_client("binance", answers, work)
    assert len(frame) == len(rows) == 100
    assert any(row["fundingTime"] % 60_000 for row in rows)
    assert (frame["time"] == frame["time"].dt.floor("h")).all()
    assert (frame["time"].diff().dropna() == pd.Timedelta(hours=8)).all()
    assert (frame["interval_hours"] == 8).all()
    assert frame["rate"][:2].tolist() == [-0.0002227, -0.00002796]
    assert frame["mark_price"].isna().all()  # there was none in 2020


def test_binance_funding_with_mark_price() -> None:
    answers = {
        "/fundingRate": small("binance", "fapi_v1_fundingRate_2026"),
        **clock("binance", "2026-07-06 03:00"),
    }
    bitcoin = perpetual("binance", "BTCUSDT")
    work = history("funding", bitcoin, at("2026-07-06"), at("2026-07-07"))
    (row,) = run_client("binance", answers, work).to_dict("records")
    assert (row["rate"], row["mark_price"]) == (0.000077, 63625.51176812)
    assert row["time"] == row["available"] == at("2026-07-06")


def test_binance_candles() -> None:
    rows = gct("/fapi/v1/klines", "interval=1d&limit=5&symbol=BTCUSDT")
    answers = {"/klines": rows, **clock("binance", "2020-10-17 12:00")}
    bitcoin = perpetual("binance", "BTCUSDT")
    work = history("candles", bitcoin, "1d", at("2020-10-14"), at("2020-10-19"))
    frame = run_client("binance", answers, work)
    assert frame["time"].tolist() == [at(f"2020-10-{day}") for day in (14, 15, 16)]  # 17 is open
    last = frame.iloc[0]
    assert last[["open", "high", "low", "close"]].tolist() == [11419.36, 11550.0, 11280.5, 11417.13]
    assert (last["volume"], last["quote_volume"]) == (192936.97, 2198967087.67917)
    assert last["available"] == at("2020-10-15")


def test_binance_open_interest_and_snapshot() -> None:
    query = "endTime=1602820343&limit=10&period=1d&startTime=1602802343&symbol=LTCUSDT"
    answers = {
        "/openInterestHist": gct("/futures/data/openInterestHist", query),
        "/openInterest": small("binance", "fapi_v1_openInterest_2026"),
        "/premiumIndex": small("binance", "fapi_v1_premiumIndex_2026"),
        **clock("binance", "2020-10-17"),
    }
    bitcoin = perpetual("binance", "BTCUSDT")
    work = history("open_interest", bitcoin, "1d", at("2020-10-01"), at("2020-10-17"))
    frame = run_client("binance", answers, work)
    assert frame.loc[0, ["base", "usd"]].tolist() == [286060.674, 13151177.5449312]
    assert frame["time"][0] == at("2020-10-07")
    assert frame["available"][0] == at("2020-10-08")
    (row,) = run_client("binance", answers, lambda exchange: exchange.snapshot(bitcoin)).to_dict(
        "records"
    )
    assert row["open_interest"] == 104935.279
    assert row["open_interest_usd"] == pytest.approx(104935.279 * 63392.81973913)
    assert (row["funding_rate"], row["interval_hours"]) == (0.00009007, 8.0)
    assert row["next_funding"] == pd.Timestamp(1783324800000, unit="ms", tz="UTC")
    assert row["time"] == pd.Timestamp(1783307788007, unit="ms", tz="UTC")


def test_bybit_instruments() -> None:
    def answer(query: Any) -> Any:
        if query["status"] != "Trading":
            return {"retCode": 0, "result": {"list": [], "nextPageCursor": ""}}
        return recorded("bybit/v5_market_instruments-info_linear_20260809.json")

    instruments = run_client(
        "bybit", {"/instruments-info": answer}, lambda exchange: exchange.instruments()
    )
    assert len(instruments) == 760
    zero = instruments["0G/USDT:USDT"]
    assert (zero.id, zero.funding_interval_hours, zero.delisted) == ("0GUSDT", 4.0, None)
    assert zero.listed == pd.Timestamp(1758175736000, unit="ms", tz="UTC")
    assert instruments["1000PEPE/USDC:USDC"].id == "1000PEPEPERP"
    hours = pd.Series([one.funding_interval_hours for one in instruments.values()]).value_counts()
    assert hours.to_dict() == {4.0: 407, 8.0: 352, 1.0: 1}


def test_bybit_snapshot_and_funding() -> None:
    tickers = recorded("bybit/v5_market_tickers_linear_202308.json")
    tickers.setdefault("time", 1692160000000)
    answers = {
        "/tickers": tickers,
        "/funding/history": small("bybit", "v5_market_funding_history_testnet"),
        **clock("bybit", "2026-08-07 06:00"),
    }
    ladys = perpetual("bybit", "10000LADYSUSDT")
    (row,) = run_client("bybit", answers, lambda exchange: exchange.snapshot(ladys)).to_dict(
        "records"
    )
    # The ticker has both sides only; half of them is returned.
    assert (row["open_interest"], row["open_interest_usd"]) == (4840085200.0, 1275362.45)
    assert (row["mark_price"], row["funding_rate"]) == (0.0002635, 0.0001)
    assert row["next_funding"] == pd.Timestamp(1692172800000, unit="ms", tz="UTC")
    work = history("funding", ladys, at("2026-08-06"), at("2026-08-08"))
    frame = run_client("bybit", answers, work)
    assert frame["rate"].tolist() == [-0.005, -0.005, 0.0001]  # oldest first
    assert frame["interval_hours"].tolist() == [8.0, 8.0, 8.0]
    assert frame["mark_price"].isna().all()


def test_bybit_snapshot_of_one_side() -> None:
    file = Path(os.environ["BRAIN_RECORDED_DATA"]) / "ws"
    with (file / "bybit_v5_linear_tickers_kline_20260809.jsonl").open() as lines:
        message = json.loads(json.loads(next(lines))["data"])
    ticker = message["data"]
    assert ticker["openInterest"] == "59891.732"  # of both sides
    answers = {
        "/tickers": {"retCode": 0, "result": {"list": [ticker]}, "time": message["ts"]},
    }
    bitcoin = perpetual("bybit", "BTCUSDT", hours=4.0)
    (row,) = run_client("bybit", answers, lambda exchange: exchange.snapshot(bitcoin)).to_dict(
        "records"
    )
    assert (row["open_interest"], row["open_interest_usd"]) == (29945.866, 1949998132.5)
    assert row["interval_hours"] == 8.0  # the ticker's, though the instrument said otherwise
    for name in ("singleOpenInterest", "singleOpenInterestValue", "openInterestValue"):
        ticker[name] = ""
    (row,) = run_client("bybit", answers, lambda exchange: exchange.snapshot(bitcoin)).to_dict(
        "records"
    )
    assert row["open_interest"] == 29945.866
    assert row["open_interest_usd"] == pytest.approx(29945.866 * 65117.44)


def test_bybit_candles_and_open_interest() -> None:
    answers = {
        "/kline": small("bybit", "v5_market_kline"),
        "/open-interest": small("bybit", "v5_market_open-interest"),
        "/mark-price-kline": {
            "retCode": 0,
            "result": {"list": [["1669571400000", "2", "3", "1", "2"]]},
        },
        **clock("bybit", "2022-12-09 18:30"),
    }
    coin = perpetual("bybit", "BTCUSD")
    work = history("candles", coin, "1h", at("2022-12-09 16:00"), at("2022-12-10"))
    frame = run_client("bybit", answers, work)
    assert frame["close"].tolist() == [17071.0, 17071.5]  # the hour of 18:00 is not over
    assert frame.loc[0, ["volume", "quote_volume"]].tolist() == [4177.0, 0.24469757]
    work = history("open_interest", coin, "5m", at("2022-11-27 17:45"), at("2022-11-27 17:55"))
    frame = run_client("bybit", answers, work).set_index("time")
    assert frame["base"][pd.Timestamp(1669571100000, unit="ms", tz="UTC")] == 461134292 / 2
    np.testing.assert_array_equal(frame["usd"].sort_values(), [461134384.0, np.nan])  # at 2


def test_okx_instruments() -> None:
    answers = {
        "/instruments": recorded("okx/api_v5_public_instruments_SWAP_20220513.json"),
        "/funding-rate": small("okx", "api_v5_public_funding-rate"),
    }
    instruments = run_client("okx", answers, lambda exchange: exchange.instruments())
    assert len(instruments) == 126
    bitcoin, doge = instruments["BTC/USDT:USDT"], instruments["DOGE/USDT:USDT"]
    assert (bitcoin.id, bitcoin.contract_size) == ("BTC-USDT-SWAP", 0.01)
    assert doge.contract_size == 1000
    assert bitcoin.funding_interval_hours == 8.0  # 16:00 less 08:00 of prevFundingTime
    assert doge.funding_interval_hours is None  # not among the recorded answers
    assert bitcoin.delisted is None


def test_okx_contracts_become_base_units() -> None:
    interest = small("okx", "api_v5_public_open-interest")
    without = json.loads(json.dumps(interest))
    without["data"][0]["oiCcy"] = ""
    neiro = perpetual("okx", "NEIRO-USDT-SWAP", size=1000)
    for answer in (interest, without):
        answers = {
            "/open-interest": answer,
            "/funding-rate": small("okx", "api_v5_public_funding-rate"),
            "/mark-price": {"code": "0", "data": [{"markPx": "0.0021257", "ts": "1728709646000"}]},
        }
        (row,) = run_client("okx", answers, lambda exchange: exchange.snapshot(neiro)).to_dict(
            "records"
        )
        assert row["open_interest"] == 14546007000
        assert row["open_interest_usd"] == 30921319.84032
        assert row["interval_hours"] == 8.0
        assert row["funding_rate"] == 0.0000616430459607
        assert row["next_funding"] == pd.Timestamp(1785571200000, unit="ms", tz="UTC")


def test_okx_candles_only_confirmed_and_in_base_units() -> None:
    answer = small("okx", "api_v5_market_candles_1H")
    answers = {"/history-candles": answer, "/candles": answer, **clock("okx", "2026-08-15 19:30")}
    bitcoin = perpetual("okx", "BTC-USDT-SWAP", size=0.01)
    work = history("candles", bitcoin, "1h", at("2026-08-15"), at("2026-08-16"))
    (row,) = run_client("okx", answers, work).to_dict("records")
    assert (row["volume"], row["quote_volume"]) == (321.0118, 20234523.14448)
    assert row["available"] == row["time"] + pd.Timedelta(hours=1)
    assert row["close"] == 63028


def test_okx_funding_history() -> None:
    answers = {
        "/funding-rate-history": small("okx", "api_v5_public_funding-rate-history"),
        **clock("okx", "2026-08-15 17:00"),
    }
    bitcoin = perpetual("okx", "BTC-USDT-SWAP", size=0.01)
    work = history("funding", bitcoin, at("2026-08-15"), at("2026-08-16"))
    frame = run_client("okx", answers, work)
    assert frame["rate"].tolist() == [0.0000765914290582, 0.0000647375951599]
    assert frame["interval_hours"].tolist() == [8.0, 8.0]


def test_okx_errors_inside_http_200() -> None:
    async def work(exchange: Exchange) -> None:
        assert isinstance(exchange, RestExchange)
        await exchange.server_time()

    with pytest.raises(ExchangeRefusedError, match=r"50014: Parameter instId can not be empty"):
        run_client("okx", {"/time": small("okx", "error_business_in_200")}, work)
