"""The exchange server itself, which every client of ours is tested against."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import pandas as pd
import pytest

from tests.market.exchange_server import (
    DELISTED,
    EXCHANGES,
    LISTED,
    NOW,
    RENAMED,
    ExchangeServer,
    Faults,
    Truth,
)

HOUR = 3_600_000


def ms(moment: pd.Timestamp | str) -> int:
    moment = pd.Timestamp(moment)
    return int((moment if moment.tz else moment.tz_localize("UTC")).value // 1_000_000)


def get(url: str, path: str, **query: object) -> tuple[int, Any, dict[str, str]]:
    """Status, JSON and headers of one request."""
    try:
        with urllib.request.urlopen(f"{url}{path}?{urlencode(query)}", timeout=10) as answer:
            return answer.status, json.loads(answer.read()), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            content = error.read()
            body = json.loads(content) if content.startswith(b"{") else content
            return error.code, body, dict(error.headers)


def rows_of(exchange: str, answer: Any) -> list[Any]:
    """The rows in an exchange's envelope."""
    return answer if exchange == "binance" else (answer.get("data") or answer["result"]["list"])


@pytest.fixture
def server() -> Iterator[ExchangeServer]:
    with ExchangeServer() as server:
        yield server


@pytest.fixture
def binance(server: ExchangeServer) -> str:
    return server.urls["binance"]


@pytest.fixture
def bybit(server: ExchangeServer) -> str:
    return server.urls["bybit"]


@pytest.fixture
def okx(server: ExchangeServer) -> str:
    return server.urls["okx"]


class TestBinance:
    def test_gives_candles_oldest_first_and_the_running_one_last(self, binance: str) -> None:
        _, rows, _ = get(binance, "/fapi/v1/klines", symbol="BTCUSDT", interval="1h")
        assert len(rows) == 500
        assert [b[0] - a[0] for a, b in pairwise(rows)] == [HOUR] * 499
        assert rows[-1][0] == ms("2026-11-20 12:00")
        assert rows[-1][6] == rows[-1][0] + HOUR - 1
        assert len(rows[0]) == 12
        assert all(isinstance(cell, str) for cell in rows[0][1:6])

    def test_takes_both_ends_of_a_window_and_starts_from_its_start(self, binance: str) -> None:
        start = ms("2026-09-01")
        window = {"symbol": "BTCUSDT", "interval": "1h", "startTime": start}
        _, rows, _ = get(binance, "/fapi/v1/klines", **window, endTime=start + 2 * HOUR)
        assert [row[0] - start for row in rows] == [0, HOUR, 2 * HOUR]
        _, rows, _ = get(binance, "/fapi/v1/klines", **window, limit=1500)
        assert (rows[0][0], len(rows)) == (start, 1500)

    def test_gives_what_is_true(self, server: ExchangeServer, binance: str) -> None:
        _, rows, _ = get(binance, "/fapi/v1/klines", symbol="ETHUSDT", interval="15m", limit=99)
        expected = server.truth.candles("binance", "ETH/USDT", "15m").tail(98)
        assert [float(row[4]) for row in rows[:-1]] == expected["close"].tolist()
        assert [float(row[5]) for row in rows[:-1]] == expected["volume"].tolist()
        assert [float(row[7]) for row in rows[:-1]] == expected["quote_volume"].tolist()

    @pytest.mark.parametrize(
        ("path", "query", "code"),
        [
            ("/fapi/v1/klines", {"symbol": "NOPE", "interval": "1h"}, -1121),
            ("/fapi/v1/klines", {"symbol": "BTCUSDT"}, -1102),
            ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "7h"}, -1120),
            ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": 1501}, -1130),
            ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h", "startTime": "x"}, -1100),
            ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h", "since": 1}, -1104),
            ("/fapi/v1/openInterest", {"symbol": "FTMUSDT"}, -4108),
        ],
    )
    def test_refuses_with_its_codes(
        self, binance: str, path: str, query: dict[str, object], code: int
    ) -> None:
        status, answer, _ = get(binance, path, **query)
        assert (status, answer["code"]) == (400, code)

    def test_stamps_settlements_some_milliseconds_late(
        self, server: ExchangeServer, binance: str
    ) -> None:
        _, rows, _ = get(binance, "/fapi/v1/fundingRate", symbol="LPTUSDT", limit=1000)
        late = {row["fundingTime"] % 60_000 for row in rows}
        assert late > {0}
        assert max(late) < 1000
        expected = server.truth.funding("binance", "LPT/USDT").tail(1000)
        assert [float(row["fundingRate"]) for row in rows] == expected["rate"].tolist()
        assert [float(row["markPrice"]) for row in rows] == expected["mark_price"].tolist()
        hours = expected["time"].diff().dropna().dt.total_seconds() / 3600
        assert hours.tolist() == expected["interval_hours"].tolist()[1:]
        assert set(hours) == {8.0, 4.0}

    def test_keeps_open_interest_for_thirty_days(
        self, server: ExchangeServer, binance: str
    ) -> None:
        query = {"symbol": "BTCUSDT", "period": "1h"}
        old = ms(NOW - pd.Timedelta(days=31))
        status, answer, _ = get(binance, "/futures/data/openInterestHist", **query, startTime=old)
        refusal = {"code": -1130, "msg": "parameter 'startTime' is invalid."}
        assert (status, answer) == (400, refusal)
        _, rows, _ = get(binance, "/futures/data/openInterestHist", **query)
        assert len(rows) == 30
        expected = server.truth.open_interest("binance", "BTC/USDT", "1h")
        amounts = [float(row["sumOpenInterest"]) for row in rows[:-1]]
        assert amounts == expected["base"].tolist()[-29:]
        assert expected["time"].iloc[0] >= NOW - pd.Timedelta(days=30)

    def test_tells_of_intervals_that_are_not_eight_hours(self, binance: str) -> None:
        _, rows, _ = get(binance, "/fapi/v1/fundingInfo")
        hours = {row["symbol"]: row["fundingIntervalHours"] for row in rows}
        assert (hours["SOLUSDT"], hours["KAITOUSDT"], hours["LPTUSDT"]) == (4, 1, 4)
        assert "BTCUSDT" not in hours

    def test_lists_what_settled_with_its_delivery_date(self, binance: str) -> None:
        _, answer, _ = get(binance, "/fapi/v1/exchangeInfo")
        listed = {one["symbol"]: one for one in answer["symbols"]}
        assert listed["FTMUSDT"]["status"] == "SETTLING"
        assert listed["FTMUSDT"]["deliveryDate"] == ms(DELISTED)
        assert listed["POLUSDT"]["onboardDate"] == listed["MATICUSDT"]["deliveryDate"]
        assert listed["BTCUSDT_261225"]["contractType"] == "CURRENT_QUARTER"

    def test_counts_weights_then_refuses_then_bans(self) -> None:
        # A minute of the limits' clock is long, so that none ends meanwhile.
        with ExchangeServer(budget=0.01, scale=0.001) as server:
            url, query = server.urls["binance"], {"symbol": "BTCUSDT", "interval": "1h"}
            _, _, headers = get(url, "/fapi/v1/klines", **query, limit=1500)
            assert headers["X-MBX-USED-WEIGHT-1M"] == "10"
            codes = [get(url, "/fapi/v1/klines", **query, limit=1500) for _ in range(14)]
            assert [code for code, _, _ in codes] == [200] + [429] * 10 + [418] * 3
            assert all(int(headers["Retry-After"]) >= 1 for _, _, headers in codes[1:])
            assert len(server.refused) == 13


class TestBybit:
    def test_gives_candles_newest_first(self, server: ExchangeServer, bybit: str) -> None:
        query = {"category": "linear", "symbol": "SOLUSDT", "interval": "60"}
        _, answer, _ = get(bybit, "/v5/market/kline", **query)
        rows = answer["result"]["list"]
        assert (answer["retCode"], len(rows)) == (0, 200)
        assert rows[0][0] == str(ms("2026-11-20 12:00"))
        expected = server.truth.candles("bybit", "SOL/USDT", "1h").tail(199)
        assert [float(row[6]) for row in rows[:0:-1]] == expected["quote_volume"].tolist()

    def test_goes_forward_from_a_lone_start_alone(self, bybit: str) -> None:
        start = ms("2026-09-01")
        query = {"category": "linear", "symbol": "BTCUSDT", "interval": "60", "limit": 10}
        _, answer, _ = get(bybit, "/v5/market/kline", **query, start=start)
        assert answer["result"]["list"][-1][0] == str(start)
        _, answer, _ = get(bybit, "/v5/market/kline", **query, start=start, end=start + 99 * HOUR)
        assert answer["result"]["list"][0][0] == str(start + 99 * HOUR)
        assert len(answer["result"]["list"]) == 10

    @pytest.mark.parametrize(
        ("path", "query"),
        [
            ("kline", {"category": "linear", "symbol": "NOPE", "interval": "60"}),
            ("kline", {"category": "linear", "symbol": "BTCUSD", "interval": "60"}),
            ("kline", {"category": "linear", "symbol": "BTCUSDT", "interval": "1h"}),
            (
                "kline",
                {"category": "linear", "symbol": "BTCUSDT", "interval": "60", "startTime": 1},
            ),
            ("funding/history", {"category": "linear", "symbol": "BTCUSDT", "startTime": 1}),
            ("funding/history", {"symbol": "BTCUSDT"}),
            ("open-interest", {"category": "linear", "symbol": "BTCUSDT"}),
            ("tickers", {"category": "linear", "symbol": "FTMUSDT"}),
        ],
    )
    def test_refuses_within_http_200(self, bybit: str, path: str, query: dict[str, object]) -> None:
        status, answer, _ = get(bybit, f"/v5/market/{path}", **query)
        assert (status, answer["retCode"], answer["result"]) == (200, 10001, {})

    def test_pages_open_interest_by_cursor(self, server: ExchangeServer, bybit: str) -> None:
        query = {"category": "linear", "symbol": "BTCUSDT", "intervalTime": "1h", "limit": 200}
        start, end = ms("2026-10-01"), ms("2026-10-31") - 1
        rows: list[dict[str, str]] = []
        cursor: dict[str, str] = {}
        while True:
            _, answer, _ = get(
                bybit, "/v5/market/open-interest", **query, startTime=start, endTime=end, **cursor
            )
            rows += answer["result"]["list"]
            if not answer["result"]["nextPageCursor"]:
                break
            cursor = {"cursor": unquote(answer["result"]["nextPageCursor"])}
        expected = server.truth.open_interest("bybit", "BTC/USDT", "1h", "2026-10-01", "2026-10-31")
        assert [float(row["openInterest"]) / 2 for row in rows[::-1]] == expected["base"].tolist()
        assert [float(r["singleOpenInterest"]) for r in rows[::-1]] == expected["base"].tolist()
        assert len(rows) == 720

    def test_gives_the_candle_that_a_start_falls_into(self, bybit: str) -> None:
        query = {"category": "linear", "symbol": "BTCUSDT", "interval": "60"}
        start = ms("2026-09-01 00:20")
        _, answer, _ = get(bybit, "/v5/market/kline", **query, start=start, end=start + HOUR)
        assert [row[0] for row in answer["result"]["list"]] == [
            str(ms("2026-09-01 01:00")),
            str(ms("2026-09-01 00:00")),
        ]

    @pytest.mark.parametrize("form", [str, unquote])
    def test_takes_a_cursor_as_given_or_encoded_again(
        self, bybit: str, form: Callable[[str], str]
    ) -> None:
        query = {"category": "linear", "symbol": "BTCUSDT", "intervalTime": "1h"}
        first = get(bybit, "/v5/market/open-interest", **query)[1]["result"]
        assert first["nextPageCursor"].startswith("lastid%3D")
        cursor = form(first["nextPageCursor"])
        rows = get(bybit, "/v5/market/open-interest", **query, cursor=cursor)[1]["result"]["list"]
        assert int(rows[0]["timestamp"]) == int(first["list"][-1]["timestamp"]) - HOUR
        invalid = get(bybit, "/v5/market/open-interest", **query, cursor="x")[1]
        assert invalid["retCode"] == 10001

    def test_passes_over_a_lone_start_of_open_interest(self, bybit: str) -> None:
        query = {"category": "linear", "symbol": "BTCUSDT", "intervalTime": "1h"}
        _, answer, _ = get(bybit, "/v5/market/open-interest", **query, startTime=ms("2024-01-01"))
        assert answer["result"]["list"][0]["timestamp"] == str(ms("2026-11-20 12:00"))
        assert len(answer["result"]["list"]) == 50

    def test_lists_in_pages_what_trades_and_apart_what_closed(
        self, server: ExchangeServer, bybit: str
    ) -> None:
        first = get(bybit, "/v5/market/instruments-info", category="linear")[1]["result"]
        cursor = unquote(first["nextPageCursor"])
        last = get(bybit, "/v5/market/instruments-info", category="linear", cursor=cursor)[1]
        listed = [one["symbol"] for one in first["list"] + last["result"]["list"]]
        assert (len(first["list"]), last["result"]["nextPageCursor"]) == (500, "")
        assert len(set(listed)) == len(listed)
        closed = get(bybit, "/v5/market/instruments-info", category="linear", status="Closed")[1]
        delivery_times = {one["symbol"]: one["deliveryTime"] for one in closed["result"]["list"]}
        assert delivery_times == {"FTMUSDT": str(ms(DELISTED)), "MATICUSDT": str(ms(RENAMED))}
        every = server.truth.instruments("bybit")["instrument"]
        assert set(every) < {*listed, *delivery_times}

    def test_shuts_out_who_asks_too_often(self) -> None:
        with ExchangeServer(budget=0.01) as server:
            codes = [get(server.urls["bybit"], "/v5/market/time")[0] for _ in range(8)]
        assert codes == [200] * 6 + [403] * 2


class TestOkx:
    def test_gives_candles_newest_first_with_contracts_and_base_units(
        self, server: ExchangeServer, okx: str
    ) -> None:
        query = {"instId": "DOGE-USDT-SWAP", "bar": "1H"}
        _, answer, _ = get(okx, "/api/v5/market/candles", **query)
        rows = answer["data"]
        assert (list(answer), len(rows)) == (["code", "msg", "data"], 100)
        assert [row[8] for row in rows] == ["0"] + ["1"] * 99
        assert all(float(row[6]) == pytest.approx(1000 * float(row[5])) for row in rows)
        expected = server.truth.candles("okx", "DOGE/USDT", "1h").tail(99)
        assert [float(row[6]) for row in rows[:0:-1]] == expected["volume"].tolist()

    def test_takes_cursors_as_exclusive(self, okx: str) -> None:
        query = {"instId": "BTC-USDT-SWAP", "bar": "1H", "limit": 300}
        after, before = ms("2026-09-10"), ms("2026-09-09")
        path = "/api/v5/market/history-candles"
        _, answer, _ = get(okx, path, **query, after=after, before=before)
        assert [row[0] for row in answer["data"]] == [str(after - n * HOUR) for n in range(1, 24)]
        _, answer, _ = get(okx, path, **query, before=before)
        assert answer["data"][0][0] == str(ms("2026-11-20 11:00"))
        assert len(answer["data"]) == 300

    def test_keeps_recent_candles_for_1440_bars(self, okx: str) -> None:
        query = {"instId": "BTC-USDT-SWAP", "bar": "1m", "after": ms("2026-11-19")}
        assert get(okx, "/api/v5/market/candles", **query)[1]["data"] == []
        assert len(get(okx, "/api/v5/market/history-candles", **query)[1]["data"]) == 100

    def test_opens_days_by_the_clock_of_hong_kong_or_utc(self, okx: str) -> None:
        query = {"instId": "BTC-USDT-SWAP", "limit": 1}
        hours = {
            bar: int(get(okx, "/api/v5/market/candles", **query, bar=bar)[1]["data"][0][0])
            // HOUR
            % 24
            for bar in ("1D", "1Dutc")
        }
        assert hours == {"1D": 16, "1Dutc": 0}

    @pytest.mark.parametrize(
        ("path", "query", "code"),
        [
            ("market/candles", {}, "50014"),
            ("market/candles", {"instId": "FTM-USDT-SWAP"}, "51001"),
            ("market/candles", {"instId": "BTC-USDT-SWAP", "bar": "1h"}, "51000"),
            ("market/candles", {"instId": "BTC-USDT-SWAP", "since": 1}, "51000"),
            ("public/open-interest", {"instId": "BTC-USDT-SWAP"}, "50014"),
            ("public/funding-rate", {"instId": "MATIC-USDT-SWAP"}, "51001"),
        ],
    )
    def test_refuses_within_http_200(
        self, okx: str, path: str, query: dict[str, object], code: str
    ) -> None:
        status, answer, _ = get(okx, f"/api/v5/{path}", **query)
        assert (status, answer["code"], answer["data"]) == (200, code, [])

    def test_keeps_funding_for_about_three_months(self, server: ExchangeServer, okx: str) -> None:
        query = {"instId": "BTC-USDT-SWAP"}
        rows: list[dict[str, str]] = []
        cursor: dict[str, str] = {}
        while page := get(okx, "/api/v5/public/funding-rate-history", **query, **cursor)[1]["data"]:
            rows += page
            cursor = {"after": page[-1]["fundingTime"]}
        expected = server.truth.funding("okx", "BTC/USDT")
        assert [float(row["fundingRate"]) for row in rows[::-1]] == expected["rate"].tolist()
        assert len(rows) == 93 * 3
        old = {"before": ms("2026-09-01")}
        newest = get(okx, "/api/v5/public/funding-rate-history", **query, **old)[1]["data"]
        assert newest == rows[:100]

    def test_tells_the_funding_of_all(self, okx: str) -> None:
        rows = get(okx, "/api/v5/public/funding-rate", instId="ANY")[1]["data"]
        apart = {
            row["instId"]: (int(row["fundingTime"]) - int(row["prevFundingTime"])) / HOUR
            for row in rows
        }
        assert (apart["BTC-USDT-SWAP"], apart["SOL-USDT-SWAP"], apart["KAITO-USDT-SWAP"]) == (
            8,
            4,
            1,
        )
        assert "BTC-USD-SWAP" in apart

    def test_gives_open_interest_in_contracts_and_in_base_units(
        self, server: ExchangeServer, okx: str
    ) -> None:
        path = "/api/v5/rubik/stat/contracts/open-interest-history"
        query = {"instId": "DOGE-USDT-SWAP", "period": "1H"}
        rows = get(okx, path, **query)[1]["data"]
        assert len(rows) == 100
        assert all(float(row[2]) == pytest.approx(1000 * float(row[1])) for row in rows)
        expected = server.truth.open_interest("okx", "DOGE/USDT", "1h").tail(99)
        assert [float(row[2]) for row in rows[:0:-1]] == expected["base"].tolist()
        old = ms(NOW - pd.Timedelta(days=61))
        assert get(okx, path, **query, end=old)[1]["data"] == []

    def test_refuses_who_asks_too_often(self) -> None:
        with ExchangeServer(budget=0.2) as server:
            answers = [get(server.urls["okx"], "/api/v5/public/time") for _ in range(3)]
        assert [status for status, _, _ in answers] == [200, 200, 429]
        assert answers[-1][1]["code"] == "50011"


class TestTruth:
    def test_knows_since_when_and_until_when(self) -> None:
        truth = Truth()
        for exchange in EXCHANGES:
            assert truth.candles(exchange, "MON/USDT", "1h")["time"].iloc[0] == LISTED
            gone = truth.candles(exchange, "FTM/USDT", "1h")["available"].iloc[-1]
            assert gone == DELISTED
            old = truth.candles(exchange, "MATIC/USDT", "1h")["available"].iloc[-1]
            assert old == truth.candles(exchange, "POL/USDT", "1h")["time"].iloc[0] == RENAMED

    def test_is_the_same_at_another_time(self) -> None:
        now, later = Truth(), Truth(NOW + pd.Timedelta(days=2))
        span = ("binance", "BTC/USDT", "5m", "2026-11-19", "2026-11-20")
        pd.testing.assert_frame_equal(now.candles(*span), later.candles(*span))
        assert len(later.candles("binance", "BTC/USDT", "1h")) > len(
            now.candles("binance", "BTC/USDT", "1h")
        )

    def test_withholds_holes_for_ever_and_late_rows_for_some_time(
        self, server: ExchangeServer, binance: str
    ) -> None:
        truth = server.truth
        truth.hole("binance", "BTC/USDT", "candles", "2026-11-02 03:00", "2026-11-02 05:00")
        truth.hole(
            "binance", "BTC/USDT", "candles", "2026-11-02 09:00", "2026-11-02 10:00", until=3
        )
        query = {"symbol": "BTCUSDT", "interval": "1h", "startTime": ms("2026-11-02")}
        counts = [
            len(get(binance, "/fapi/v1/klines", **query, endTime=ms("2026-11-02 23:00"))[1])
            for _ in range(3)
        ]
        assert counts == [21, 21, 22]
        assert len(truth.candles("binance", "BTC/USDT", "1h", "2026-11-02", "2026-11-03")) == 22
        rows = get(binance, "/fapi/v1/klines", **query, limit=5)[1]
        assert [(row[0] - rows[0][0]) // HOUR for row in rows] == [0, 1, 2, 5, 6]

    @pytest.mark.parametrize("exchange", EXCHANGES)
    def test_swaps_volumes_on_the_wire_alone(self, server: ExchangeServer, exchange: str) -> None:
        server.truth.swap(exchange, "BTC/USDT", "2026-11-20 10:00", "2026-11-20 11:00")
        requests: dict[str, tuple[str, dict[str, object], int, int]] = {
            "binance": ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h"}, 5, 7),
            "bybit": ("/v5/market/kline", {"symbol": "BTCUSDT", "interval": "60"}, 5, 6),
            "okx": ("/api/v5/market/candles", {"instId": "BTC-USDT-SWAP", "bar": "1H"}, 6, 7),
        }
        path, query, base, quote = requests[exchange]
        answer = get(server.urls[exchange], path, **query, limit=3)[1]
        rows = sorted(rows_of(exchange, answer), key=lambda row: int(row[0]))
        assert [float(row[base]) > float(row[quote]) for row in rows] == [True, False, False]
        expected = server.truth.candles(exchange, "BTC/USDT", "1h").tail(2)
        assert (expected["volume"] < expected["quote_volume"]).all()
        assert float(rows[0][quote]) == expected["volume"].iloc[0]

    @pytest.mark.parametrize("exchange", EXCHANGES)
    def test_withholds_settlements_and_open_interest(
        self, server: ExchangeServer, exchange: str
    ) -> None:
        hole = ("2026-11-03", "2026-11-04")
        server.truth.hole(exchange, "BTC/USDT", "funding", *hole)
        server.truth.hole(exchange, "BTC/USDT", "open_interest", *hole, timeframe="1h")
        start, end = ms("2026-11-02"), ms("2026-11-05")
        name: dict[str, object] = {"symbol": "BTCUSDT"} if exchange != "okx" else {}
        window: dict[str, object] = {"startTime": start, "endTime": end - 1, "limit": 200}
        requests: dict[str, tuple[tuple[str, dict[str, object]], ...]] = {
            "binance": (
                ("/fapi/v1/fundingRate", window),
                ("/futures/data/openInterestHist", {"period": "1h", **window}),
            ),
            "bybit": (
                ("/v5/market/funding/history", {"category": "linear", **window}),
                (
                    "/v5/market/open-interest",
                    {**window, "category": "linear", "intervalTime": "1h"},
                ),
            ),
            "okx": (
                (
                    "/api/v5/public/funding-rate-history",
                    {"instId": "BTC-USDT-SWAP", "before": start - 1, "after": end},
                ),
                (
                    "/api/v5/rubik/stat/contracts/open-interest-history",
                    {"instId": "BTC-USDT-SWAP", "period": "1H", "begin": start - 1, "end": end},
                ),
            ),
        }
        counts = []
        for path, query in requests[exchange]:
            answer = get(server.urls[exchange], path, **name, **query)[1]
            counts.append(len(rows_of(exchange, answer)))
        assert counts == [6, 48]
        span = ("BTC/USDT", "2026-11-02", "2026-11-05")
        assert len(server.truth.funding(exchange, *span)) == 6
        assert len(server.truth.funding(exchange, *span, whole=True)) == 9


class TestFaults:
    @pytest.mark.parametrize("exchange", EXCHANGES)
    def test_closes_and_opens_a_port(self, server: ExchangeServer, exchange: str) -> None:
        path = {"binance": "/fapi/v1/time", "bybit": "/v5/market/time"}.get(
            exchange, "/api/v5/public/time"
        )
        assert get(server.urls[exchange], path)[0] == 200
        server.faults.down = {exchange}
        with pytest.raises(urllib.error.URLError, match="refused"):
            get(server.urls[exchange], path)
        server.faults.down = set()
        assert get(server.urls[exchange], path)[0] == 200

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            ("timeout", TimeoutError),
            ("reset", ConnectionResetError),
            ("truncated", (json.JSONDecodeError, http.client.IncompleteRead)),
            ("malformed", json.JSONDecodeError),
            ("empty", json.JSONDecodeError),
        ],
    )
    def test_spoils_answers(
        self, server: ExchangeServer, binance: str, fault: str, error: type[Exception]
    ) -> None:
        setattr(server.faults, fault, 1.0)
        with pytest.raises(error):
            urllib_json(f"{binance}/fapi/v1/exchangeInfo", timeout=0.3)
        assert server.requests[0].fault == fault
        assert server.faults.counts[fault] == 1

    @pytest.mark.parametrize("exchange", EXCHANGES)
    def test_speaks_of_too_many_requests_in_the_exchanges_words(
        self, server: ExchangeServer, exchange: str
    ) -> None:
        server.faults.too_many = 1.0
        status, answer, headers = get(server.urls[exchange], "/any")
        code = answer.get("code", answer.get("retCode"))
        assert (status, code) == {
            "binance": (429, -1003),
            "bybit": (200, 10006),
            "okx": (429, "50011"),
        }[exchange]
        assert ("Retry-After" in headers) == (exchange == "binance")

    def test_lets_every_request_through_after_a_streak(self) -> None:
        with ExchangeServer(faults=Faults(error=1.0, streak=2)) as server:
            url = server.urls["binance"]
            codes = [get(url, "/fapi/v1/time")[0] for _ in range(6)]
        assert [code == 200 for code in codes] == [False, False, True] * 2

    def test_is_the_same_for_the_same_seed(self) -> None:
        def codes(seed: int) -> list[int]:
            with ExchangeServer(faults=Faults(seed=seed, error=0.5)) as server:
                return [get(server.urls["okx"], "/api/v5/public/time")[0] for _ in range(9)]

        assert codes(1) == codes(1) != codes(2)

    def test_fails_one_symbol_always(self, server: ExchangeServer, okx: str) -> None:
        server.faults.failing = {("okx", "SOL/USDT:USDT")}
        path = "/api/v5/market/candles"
        assert [get(okx, path, instId="SOL-USDT-SWAP")[0] for _ in range(4)] == [500] * 4
        assert get(okx, path, instId="BTC-USDT-SWAP")[0] == 200

    def test_repeats_and_shuffles_rows_and_shifts_clocks(
        self, server: ExchangeServer, binance: str
    ) -> None:
        server.faults.duplicated = server.faults.unsorted = 1.0
        server.faults.skew["binance"] = 90.0
        rows = get(binance, "/fapi/v1/klines", symbol="BTCUSDT", interval="1h", limit=50)[1]
        times = [row[0] for row in rows]
        assert (len(times), len(set(times))) == (55, 50)
        assert times != sorted(times)
        assert get(binance, "/fapi/v1/time")[1]["serverTime"] == ms(NOW) + 90_000


class TestProcess:
    def test_serves_as_a_process_of_its_own(self, tmp_path: Path) -> None:
        ports = tmp_path / "ports.json"
        command = [sys.executable, "-m", "tests.market.exchange_server", "--port-file", str(ports)]
        options = ["--faults", json.dumps({"error": 1.0, "streak": 1})]
        root = Path(__file__).parents[2]
        with subprocess.Popen([*command, *options], cwd=root) as process:
            try:
                while not ports.exists():
                    assert process.poll() is None
                    time.sleep(0.05)
                urls = json.loads(ports.read_text())
                codes = [get(urls["okx"], "/api/v5/public/time")[0] for _ in range(2)]
            finally:
                process.terminate()
        assert (codes[0] >= 500, codes[1], process.returncode) == (True, 200, 0)


@pytest.fixture(scope="session")
def recorded() -> Path:
    folder = os.environ.get("BRAIN_RECORDED_DATA")
    if not folder:
        pytest.skip("BRAIN_RECORDED_DATA names no folder of recorded answers of the exchanges")
    return Path(folder) / "rest"


def shape(value: Any) -> Any:
    """Names and types of an answer's fields, of a list the first row's."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(one) for one in value[:1]] if not _is_row(value) else list(map(shape, value))
    return type(value).__name__


def _is_row(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(one, str | int) for one in value)


class TestRecorded:
    """The answers have every field of the recorded ones, of the same type."""

    @pytest.mark.parametrize(
        ("path", "recorded_query", "query"),
        [
            ("/fapi/v1/premiumIndex", "symbol=BTCUSDT", {"symbol": "BTCUSDT"}),
            ("/fapi/v1/openInterest", "symbol=BTCUSDT", {"symbol": "BTCUSDT"}),
            ("/fapi/v1/fundingRate", "limit=1&symbol=BTCUSDT", {"symbol": "BTCUSDT", "limit": 1}),
            ("/fapi/v1/fundingInfo", "", {}),
            ("/fapi/v1/time", "", {}),
            (
                "/futures/data/openInterestHist",
                "limit=1&period=5m&symbol=BTCUSDT",
                {"symbol": "BTCUSDT", "limit": 1, "period": "5m"},
            ),
            (
                "/fapi/v1/klines",
                "interval=1d&limit=5&symbol=BTCUSDT",
                {"symbol": "BTCUSDT", "limit": 5, "interval": "1d"},
            ),
        ],
    )
    def test_of_binance(
        self, recorded: Path, binance: str, path: str, recorded_query: str, query: dict[str, object]
    ) -> None:
        every = json.loads((recorded / "binance/gct_recorded.json").read_text())
        (real,) = [one["response"] for one in every[path] if one["query"] == recorded_query]
        assert _within(shape(real), shape(get(binance, path, **query)[1]))

    def test_of_binances_instruments(self, recorded: Path, binance: str) -> None:
        real = json.loads((recorded / "binance/fapi_v1_exchangeInfo_20210721.json").read_text())
        fake = get(binance, "/fapi/v1/exchangeInfo")[1]
        exceptions = {"settlePlan", "filters"}
        fields = {k: v for k, v in shape(real["symbols"][0]).items() if k not in exceptions}
        assert _within(fields, shape(fake["symbols"][0]))
        assert set(fake) == set(real)

    def test_of_bybit(self, recorded: Path, bybit: str) -> None:
        real = json.loads(
            (recorded / "bybit/v5_market_instruments-info_linear_20260809.json").read_text()
        )
        fake = get(bybit, "/v5/market/instruments-info", category="linear")[1]
        real_shape = shape(real)
        real_shape["result"]["list"][0].pop("symbolId")
        for name in ("lotSizeFilter",):
            real_shape["result"]["list"][0].pop(name)
        assert _within(real_shape, shape(fake))
        real = json.loads((recorded / "bybit/v5_market_tickers_linear_202308.json").read_text())
        fake = get(bybit, "/v5/market/tickers", category="linear", symbol="BTCUSDT")[1]
        assert _within(shape(real["result"]), shape(fake["result"]))

    @pytest.mark.parametrize(
        ("name", "path", "query"),
        [
            ("funding-rate", "public/funding-rate", {}),
            ("funding-rate-history", "public/funding-rate-history", {}),
            ("open-interest", "public/open-interest", {"instType": "SWAP"}),
        ],
    )
    def test_of_okx(
        self, recorded: Path, okx: str, name: str, path: str, query: dict[str, object]
    ) -> None:
        lines = (recorded / "okx/recorded_small.jsonl").read_text().splitlines()
        rows = {row["endpoint"]: row["data"] for row in map(json.loads, lines)}
        real = json.loads(rows[f"api_v5_public_{name}"])
        fake = get(okx, f"/api/v5/{path}", instId="BTC-USDT-SWAP", **query)[1]
        assert _within(shape(real), shape(fake))
        assert list(real) == list(fake)
        if name == "funding-rate":
            assert list(real["data"][0]) == list(fake["data"][0])

    def test_of_okxs_candles_and_instruments(self, recorded: Path, okx: str) -> None:
        lines = (recorded / "okx/recorded_small.jsonl").read_text().splitlines()
        rows = {row["endpoint"]: row["data"] for row in map(json.loads, lines)}
        fake = get(okx, "/api/v5/market/candles", instId="BTC-USDT-SWAP", bar="1H", limit=2)[1]
        assert shape(json.loads(rows["api_v5_market_candles_1H"])) == shape(fake)
        real = json.loads(
            (recorded / "okx/api_v5_public_instruments_SWAP_20220513.json").read_text()
        )
        fake = get(okx, "/api/v5/public/instruments", instType="SWAP")[1]
        missing = set(real["data"][0]) - set(fake["data"][0])
        assert missing == {"maxIcebergSz", "maxStopSz", "maxTriggerSz", "maxTwapSz"}


def _within(real: Any, fake: Any) -> bool:
    """Whether everything of a shape is in another one."""
    if isinstance(real, dict):
        return isinstance(fake, dict) and all(
            name in fake and _within(one, fake[name]) for name, one in real.items()
        )
    if isinstance(real, list):
        return isinstance(fake, list) and all(map(_within, real, fake))
    return bool(real == fake)


def urllib_json(url: str, timeout: float) -> Any:
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return json.loads(answer.read())
