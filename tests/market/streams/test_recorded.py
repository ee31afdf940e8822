"""The feeds against recorded frames of the real exchanges."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from market.exchanges.base import Instrument
from market.streams.connection_state import Opening
from market.streams.frames import row_frames
from market.streams.normaliser import Normaliser
from market.streams.recording import Entry

pytestmark = pytest.mark.skipif(
    "BRAIN_RECORDED_DATA" not in os.environ, reason="BRAIN_RECORDED_DATA names no folder"
)

SECOND = pd.Timestamp("2026-10-09", tz="UTC")
BITCOIN = {"binance": "BTCUSDT", "bybit": "BTCUSDT", "okx": "BTC-USDT-SWAP"}


def recorded(name: str) -> list[dict[str, Any]]:
    path = Path(os.environ["BRAIN_RECORDED_DATA"]) / "ws" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def instrument(exchange: str, symbol: str, name: str, size: float = 1.0) -> Instrument:
    return Instrument(exchange, symbol, name, size, 8.0, None, None, "live")


def normalised(
    frames: Sequence[dict[str, Any]],
    exchange: str,
    route: str,
    *instruments: Instrument,
    timeframe: str = "1m",
) -> dict[str, pd.DataFrame]:
    """The rows of recorded frames by kind."""
    opening = Opening(exchange, route, timeframe, instruments, lag=2000, patience=5000)
    normaliser = Normaliser()
    normaliser.take(Entry(0, "open", 1, opening.text()))
    for frame in frames:
        received = int(1e6 * frame.get("recv_ts", 1_791_600_000))
        normaliser.take(Entry(received, "frame", 1, frame["data"]))
    assert not normaliser.unreadable, normaliser.trouble
    normaliser.take(Entry(2_000_000_000_000_000, "close", 1, '{"reason": "the end"}'))
    return row_frames(normaliser.take_rows())


def liquidations(exchange: str, *instruments: Instrument) -> pd.DataFrame:
    route = {"binance": "market", "bybit": "linear", "okx": "public"}[exchange]
    frames = recorded(f"liquidations_{exchange}")
    return normalised(frames, exchange, route, *instruments)["liquidations"]


def bitcoin(exchange: str, size: float = 1.0) -> Instrument:
    return instrument(exchange, "BTC/USDT:USDT", BITCOIN[exchange], size)


@pytest.mark.parametrize(("exchange", "rows"), [("binance", 1), ("bybit", 2), ("okx", 1)])
def test_liquidations_of_one_second_on_three_exchanges_were_all_longs(
    exchange: str, rows: int
) -> None:
    size = 0.01 if exchange == "okx" else 1.0
    others = {
        "binance": [("XRP", "XRPUSDT"), ("STG", "STGUSDT"), ("COTI", "COTIUSDT")],
        "bybit": [("ADA", "ADAUSDT"), ("ROSE", "ROSEUSDT")],
        "okx": [("LA", "LA-USDT-SWAP"), ("MINA", "MINA-USDT-SWAP")],
    }[exchange]
    more = [instrument(exchange, f"{coin}/USDT:USDT", name) for coin, name in others]
    table = liquidations(exchange, bitcoin(exchange, size), *more)
    that_day = table[table["time"].dt.normalize() == SECOND]
    assert that_day["symbol"].tolist() == ["BTC/USDT:USDT"] * rows
    assert that_day["side"].tolist() == ["long"] * rows
    # Within one minute: 17:06:40 to 17:06:42.
    assert that_day["time"].dt.floor("min").nunique() == 1
    assert that_day["price"].between(82_300, 82_700).all()


def test_binance_counts_what_was_filled_in_all() -> None:
    coins = [("XRP", "XRPUSDT"), ("STG", "STGUSDT"), ("COTI", "COTIUSDT")]
    more = [instrument("binance", f"{coin}/USDT:USDT", name) for coin, name in coins]
    table = liquidations("binance", bitcoin("binance"), *more).set_index("symbol")
    # Of the first two the last fill was 0.155 and 108.1.
    first = table.loc["BTC/USDT:USDT"].iloc[0]
    assert (first["base"], first["price"]) == (0.190, 82_651.90)
    assert first["usd"] == pytest.approx(0.190 * 82_651.90)
    assert table.loc["XRP/USDT:USDT", "base"] == 127.2
    assert table.loc["XRP/USDT:USDT", "side"] == "short"
    assert table.loc["COTI/USDT:USDT", "side"] == "short"
    assert set(table["price_kind"]) == {"average fill"}
    assert set(table["coverage"]) == {"sampled"}


def test_bybit_has_every_liquidation_at_the_bankruptcy_price() -> None:
    more = [instrument("bybit", f"{coin}/USDT:USDT", f"{coin}USDT") for coin in ("ADA", "ROSE")]
    table = liquidations("bybit", bitcoin("bybit"), *more).set_index("symbol")
    assert table["base"].loc["BTC/USDT:USDT"].tolist() == [0.006, 0.038]
    assert table.loc["ADA/USDT:USDT", "side"] == "short"
    assert set(table["price_kind"]) == {"bankruptcy"}
    assert set(table["coverage"]) == {"all"}


def test_okx_counts_contracts_in_base_units() -> None:
    table = liquidations("okx", bitcoin("okx", 0.01))
    # In the order of the recording, whose second frame is older.
    assert table["base"].tolist() == [0.0855, 100.0]
    assert table["price"].tolist() == [82_655.7, 57_102.9]
    assert set(table["coverage"]) == {"sampled"}


def test_every_row_of_okx_details_is_kept() -> None:
    """Also two that are equal, and those of several contracts in one frame."""
    (frame, *_) = recorded("liquidations_okx")
    message = json.loads(frame["data"])
    detail = message["data"][0]["details"][0]
    short = {**detail, "posSide": "net", "side": "buy", "sz": "3"}
    message["data"][0]["details"] = [detail, detail, short]
    message["data"].append({**message["data"][0], "instId": "ETH-USDT-SWAP", "details": [detail]})
    message["data"].append({**message["data"][0], "instId": "BTC-USD-SWAP", "details": [detail]})
    ether = instrument("okx", "ETH/USDT:USDT", "ETH-USDT-SWAP", 0.1)
    table = normalised(
        [{"data": json.dumps(message)}], "okx", "public", bitcoin("okx", 0.01), ether
    )["liquidations"]
    sizes = table.set_index("symbol")["base"]
    assert sizes.loc["BTC/USDT:USDT"].tolist() == [0.0855, 0.0855, 0.03]
    assert sizes.loc["ETH/USDT:USDT"] == pytest.approx(0.855)
    assert table["side"].tolist() == ["long", "long", "short", "long"]


def test_binance_candles_are_stored_once_they_are_closed() -> None:
    frames = recorded("binance_futures_kline_20210722")
    ids = {json.loads(f["data"])["data"]["s"] for f in frames}
    closed = [
        data["k"]
        for data in (json.loads(frame["data"])["data"] for frame in frames)
        if data["k"]["x"]
    ]
    several = [instrument("binance", f"{name[:-4]}/USDT:USDT", name) for name in sorted(ids)]
    rows = normalised(frames, "binance", "market", *several)
    table = rows.get("candles")
    assert (0 if table is None else len(table)) == len(closed)
    if table is not None:
        by_symbol = table.set_index("symbol")
        for candle in closed:
            row = by_symbol.loc[f"{candle['s'][:-4]}/USDT:USDT"]
            assert row["close"] == float(candle["c"])
            assert row["volume"] == float(candle["v"])
            assert row["available"] == pd.Timestamp(candle["T"] + 1, unit="ms", tz="UTC")


def test_a_ticker_of_bybit_is_merged_from_its_changes() -> None:
    frames = recorded("bybit_v5_linear_tickers_kline_20260809")
    topics = {json.loads(frame["data"]).get("topic", "") for frame in frames}
    coins = sorted({topic.rpartition(".")[2] for topic in topics} - {""})
    (interval,) = {t.split(".")[1] for t in topics if t.startswith("kline")}
    assert interval == "1"
    several = [instrument("bybit", f"{name[:-4]}/USDT:USDT", name) for name in coins]
    rows = normalised(frames, "bybit", "linear", *several)
    merged: dict[str, dict[str, Any]] = {}
    for frame in frames:
        message = json.loads(frame["data"])
        if message.get("topic", "").startswith("tickers."):
            merged.setdefault(message["data"]["symbol"], {}).update(message["data"])
    latest = rows["snapshots"].groupby("symbol").last()
    assert len(latest) == len(coins)
    for name, ticker in merged.items():
        row = latest.loc[f"{name[:-4]}/USDT:USDT"]
        assert row["mark_price"] == float(ticker["markPrice"])
        assert row["open_interest"] == float(ticker["singleOpenInterest"])
        assert row["open_interest_usd"] == float(ticker["singleOpenInterestValue"])
        assert row["funding_rate"] == float(ticker["fundingRate"])
        assert row["interval_hours"] == 8
    closed = [
        (message["topic"].rpartition(".")[2], row["start"])
        for message in (json.loads(frame["data"]) for frame in frames)
        if message.get("topic", "").startswith("kline")
        for row in message["data"]
        if row["confirm"]
    ]
    assert len(rows.get("candles", [])) == len(set(closed))
