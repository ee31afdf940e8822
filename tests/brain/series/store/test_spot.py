"""Spot markets beside perpetuals: one name each, and never one for the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.errors import InputError, UnknownSymbolError
from brain.naming import listed_symbol, spot_exchange
from brain.series.source import bars_of
from brain.series.store import SeriesStore

STEP = pd.Timedelta(hours=1)


def candles(exchange: str, symbol: str, price: float) -> pd.DataFrame:
    times = pd.date_range("2024-01-01", periods=50, freq=STEP, tz="UTC", unit="us")
    frame = pd.DataFrame({"exchange": exchange, "symbol": symbol, "timeframe": "1h", "time": times})
    moving = price + np.arange(50) % 2 / 10
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), moving)
    return frame.assign(**prices, available=times + STEP)


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    store = SeriesStore(tmp_path / "series")
    store.upsert("candles", candles("binance", "BTC/USDT:USDT", 1.0))
    store.upsert("candles", candles("binance-spot", "BTC/USDT", 2.0))
    return store


def test_a_symbol_means_the_pair_where_only_spot_markets_are_named(store: SeriesStore) -> None:
    def closes(exchange: str | list[str] | None) -> set[float]:
        return set(store.read("candles", symbol="BTC/USDT", exchange=exchange)["close"] // 1)

    assert closes("binance-spot") == {2.0}
    assert closes("binance") == closes(["binance", "binance-spot"]) == closes(None) == {1.0}
    assert closes([]) == set()


def test_bars_of_either_market(store: SeriesStore) -> None:
    spot = bars_of(store, "binance-spot", "BTC/USDT", "1h")
    assert spot.symbol == "BTC/USDT"
    assert set(spot.frame["close"]) == {2.0, 2.1}
    assert set(bars_of(store, "binance", "BTC/USDT", "1h").frame["close"]) == {1.0, 1.1}
    with pytest.raises(InputError, match="no pair that binance-spot trades"):
        bars_of(store, "binance-spot", "BTC/USDT:USDT", "1h")
    with pytest.raises(UnknownSymbolError, match="collect or import them first"):
        bars_of(store, "okx-spot", "BTC/USDT", "1h")


def test_rows_of_the_wrong_market_are_refused(store: SeriesStore) -> None:
    before = store.versions()
    with pytest.raises(InputError, match="write binance as the perpetual's exchange"):
        store.upsert("candles", candles("binance-spot", "BTC/USDT:USDT", 1.0))
    with pytest.raises(InputError, match="does not say in what it settles"):
        store.upsert("candles", candles("binance", "BTC/USDT", 1.0))
    assert store.versions() == before


def test_names_of_markets() -> None:
    assert spot_exchange("binance-spot") == "binance"
    assert [spot_exchange(name) for name in ("binance", "-spot", "binance-spots", "")] == [""] * 4
    assert listed_symbol("BTC-USDT", "binance-spot") == "BTC/USDT"
    assert listed_symbol("BTC/USDT", "binance") == "BTC/USDT:USDT"
