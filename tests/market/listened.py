"""What a stream stores of liquidations, without listening for days: made-up rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from brain.series.store.store import SeriesStore

__all__ = ["store_listened"]

Stretch = tuple[pd.Timestamp, pd.Timestamp]


def store_listened(
    store: SeriesStore,
    symbol: str,
    exchanges: Mapping[str, Stretch | None],
    start: pd.Timestamp,
    end: pd.Timestamp,
    *,
    an_hour: float = 6.0,
) -> None:
    """Store liquidations, and that every hour was listened to, but for a stretch of an exchange.

    Args:
        store: the series store.
        symbol: as the store has it.
        exchanges: the stretch that was not listened to, by exchange.
        start, end: full hours.
        an_hour: liquidations of an exchange.
    """
    rng = np.random.default_rng(1)
    hours = pd.date_range(start, end, freq="h", inclusive="left", unit="us")
    rows, listening = [], []
    for exchange, unheard in exchanges.items():
        silent = np.zeros(len(hours), dtype=bool)
        if unheard is not None:
            silent = np.asarray((hours >= unheard[0]) & (hours < unheard[1]))
        series = {"exchange": exchange, "symbol": symbol}
        listening.append(
            pd.DataFrame(
                {
                    **series,
                    "kind": "liquidations",
                    "start": hours,
                    "end": hours + pd.Timedelta(hours=1),
                    "reason": np.where(silent, "the connection was closed", ""),
                    "delay": np.where(silent, np.nan, 0.4),
                }
            )
        )
        drawn = start + (end - start) * rng.random(rng.poisson(an_hour * len(hours)))
        time = pd.DatetimeIndex(drawn).as_unit("ms").as_unit("us").unique().sort_values()
        time = time[~silent[hours.searchsorted(time, side="right") - 1]]
        usd = rng.lognormal(8, 2, len(time)).round(2)
        rows.append(
            pd.DataFrame(
                {
                    **series,
                    "time": time,
                    "order": [str(k) for k in range(len(time))],
                    "side": np.where(rng.random(len(time)) < 0.6, "long", "short"),
                    "base": usd / 100,
                    "usd": usd,
                    "price": 100.0,
                    "price_kind": "bankruptcy",
                    "coverage": "all" if exchange == "bybit" else "sampled",
                    "received": time + pd.Timedelta(milliseconds=300),
                }
            )
        )
    store.append("liquidations", pd.concat(rows, ignore_index=True))
    store.upsert("listening", pd.concat(listening, ignore_index=True))
