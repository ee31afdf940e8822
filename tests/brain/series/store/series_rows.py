"""Rows of series for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["BTC", "ETH", "candles", "evidence", "gaps", "utc"]

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def candles(
    start: str = "2026-10-31",
    rows: int = 48,
    *,
    symbol: str = BTC,
    exchange: str = "binance",
    price: float = 100.0,
) -> pd.DataFrame:
    """Hourly candles; without ``quote_volume``, which may be missing."""
    times = pd.date_range(start, periods=rows, freq="h", tz="UTC", unit="us")
    prices = float(price) + np.arange(rows)
    return pd.DataFrame(
        {
            "exchange": exchange,
            "symbol": symbol,
            "timeframe": "1h",
            "time": times,
            "open": prices,
            "high": prices + 1,
            "low": prices - 1,
            "close": prices,
            "volume": 2.5,
            "available": times + pd.Timedelta(hours=1),
        }
    )


def evidence(
    start: str = "2026-10-31",
    nights: int = 3,
    *,
    profit: float = 0.5,
    line: str = "lightgbm-0123456789ab",
    symbol: str = "BTC/USD",
) -> pd.DataFrame:
    """Nights of a line in regime low."""
    return pd.DataFrame(
        {
            "timeframe": "1h",
            "line": line,
            "symbol": symbol,
            "regime": "low",
            "time": pd.date_range(start, periods=nights, tz="UTC", unit="us"),
            "profit": profit + np.arange(nights),
            "volatility": 0.02,
            "turnover": 1.0,
            "missing": 0.0,
            "bars": 24,
            "source": "live",
            "version": "BTC-USD.1h.6/7",
            "tried": 1.0,
        }
    )


def gaps(*symbols: str, exchange: str = "okx", **columns: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "exchange": exchange,
            "symbol": symbols,
            "kind": "candles",
            "timeframe": "1h",
            "start": utc("2026-01-01"),
            "end": utc("2026-01-02"),
            "count": 24,
            "reason": "the exchange was down",
            "checked": utc("2026-02-01"),
        }
        | columns
    )
