"""Prices at the times of markets that close."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engine.kernels.columns import Floats

COUNT = 900


def frame(times: pd.Index, gaps: Floats | None = None) -> pd.DataFrame:
    draw = np.random.default_rng(5)
    close = 100.0 * np.exp(np.cumsum(draw.standard_t(4, len(times)) * 0.01))
    open_ = close * np.exp(draw.normal(0.0, 0.004, len(times)))
    table = pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * 1.003,
            "low": np.minimum(open_, close) * 0.997,
            "close": close,
            "volume": draw.lognormal(size=len(times)),
        },
        index=times,
    )
    if gaps is not None:
        table.loc[gaps > 0.0] = np.nan
    return table


def sessions_of_new_york() -> pd.Index:
    from exchange_calendars import get_calendar

    market = get_calendar("XNYS", start="2015-01-01", end="2019-12-31")
    return pd.DatetimeIndex(market.sessions[:COUNT]).tz_localize("UTC")


def hours_of_new_york() -> pd.Index:
    from exchange_calendars import get_calendar

    schedule = get_calendar("XNYS", start="2019-01-01", end="2019-12-31").schedule
    hours = [
        pd.date_range(opens, closes, freq="h", inclusive="left")
        for opens, closes in zip(schedule["open"], schedule["close"], strict=True)
    ]
    return pd.DatetimeIndex(np.concatenate([h.asi8 for h in hours])[:COUNT]).tz_localize("UTC")


def week_of_foreign_exchange() -> pd.Index:
    hours = pd.date_range("2021-01-03 22:00", periods=2 * COUNT, freq="h", tz="UTC")
    local = hours.tz_convert("America/New_York")
    at = local.dayofweek * 24 + local.hour
    return hours[(at < 4 * 24 + 17) | (at >= 6 * 24 + 17)][:COUNT]


MARKETS = {
    "business days": (pd.bdate_range("2015-01-01", periods=COUNT, tz="UTC"), "1d", "bars"),
    "holidays and half days": (sessions_of_new_york(), "1d", "XNYS"),
    "half days by hours": (hours_of_new_york(), "1h", "XNYS"),
    "foreign exchange": (week_of_foreign_exchange(), "1h", "FX"),
}
