"""Bars from the series store."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from brain.errors import InputError, UnknownSymbolError
from brain.series.source import bars_of
from brain.series.store.store import SeriesStore

TIMES = pd.date_range("2026-01-01", periods=40, freq="h", tz="UTC")


def candles(symbol: str = "BTC/USDT:USDT", exchange: str = "okx") -> pd.DataFrame:
    frame = pd.DataFrame({"time": TIMES.as_unit("us")})
    close = 100.0 + frame.index.to_series()
    return frame.assign(
        exchange=exchange,
        symbol=symbol,
        timeframe="1h",
        open=close,
        high=close + 1,
        low=close - 1,
        close=close,
        volume=5.0,
        quote_volume=float("nan"),
        available=frame["time"] + pd.Timedelta(hours=1),
    )


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    return SeriesStore(str(tmp_path / "series"))


def test_candles_of_the_perpetual_become_bars_of_the_symbol_as_asked(store: SeriesStore) -> None:
    other = candles(exchange="bybit").assign(close=100.5)
    store.upsert("candles", pd.concat([candles().drop(index=7), other, candles("ETH/USDT:USDT")]))
    for symbol in ("BTC/USDT", "BTC/USDT:USDT"):
        bars = bars_of(store, "okx", symbol, "1h")
        assert (bars.symbol, bars.timeframe) == (symbol, "1h")
        assert bars.source == "BTC/USDT:USDT on okx"
        assert bars.frame.index.tolist() == TIMES.tolist()
        assert bars.frame["close"].dropna().tolist() == candles()["close"].drop(7).tolist()
        assert bars.frame.iloc[7].isna().all()
        assert bars.repairs[0].startswith("1 bar missing in 1 gap")


def test_what_is_not_stored_is_told_with_the_cure(store: SeriesStore) -> None:
    message = "the store holds no 1h candles of BTC/USDT:USDT on okx; collect them"
    with pytest.raises(UnknownSymbolError, match=message):
        bars_of(store, "okx", "BTC/USDT", "1h")
    store.upsert("candles", candles())
    with pytest.raises(UnknownSymbolError, match="no 4h candles"):
        bars_of(store, "okx", "BTC/USDT", "4h")
    with pytest.raises(UnknownSymbolError, match="on binance"):
        bars_of(store, "binance", "BTC/USDT", "1h")


def test_what_cannot_be_asked_for_is_refused(store: SeriesStore) -> None:
    with pytest.raises(InputError, match="not a timeframe"):
        bars_of(store, "okx", "BTC/USDT", "1y")
    with pytest.raises(InputError, match="not a linear perpetual"):
        bars_of(store, "okx", "SPX", "1h")
