"""Rows of streams as frames of the series store's kinds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from brain.series.bars import parse_timeframe
from brain.series.faults import row_faults
from brain.series.store.schema import KINDS
from market.exchanges.feed import CandleRow, LiquidationRow
from market.exchanges.pages import upcoming
from market.streams.listening import ListeningRow
from market.streams.normaliser import Rows, SnapshotRow

__all__ = ["listening_frame", "row_frames"]

logger = logging.getLogger(__name__)


def row_frames(rows: Rows) -> dict[str, pd.DataFrame]:
    """The rows by kind; of several with one key only the first, for that is when it was known."""
    frames = {
        "liquidations": _liquidations(rows.liquidations),
        "candles": _candles(rows.candles),
        "snapshots": _snapshots(rows.snapshots),
    }
    return {
        kind: frame.drop_duplicates(list(KINDS[kind].key), ignore_index=True)
        for kind, frame in frames.items()
        if len(frame)
    }


def listening_frame(rows: Sequence[ListeningRow]) -> pd.DataFrame:
    """Rows of ``listening``."""
    series = [row.series for row in rows]
    return pd.DataFrame(
        {
            "exchange": [exchange for exchange, _, _ in series],
            "symbol": [symbol for _, symbol, _ in series],
            "kind": [kind for _, _, kind in series],
            "start": _times([row.start for row in rows]),
            "end": _times([row.end for row in rows]),
            "reason": [row.reason for row in rows],
            "delay": [np.nan if row.delay is None else row.delay / 1000 for row in rows],
        }
    )


def _times(values: Sequence[int], unit: str = "ms") -> pd.DatetimeIndex:
    times = np.array(values, dtype="int64").astype(f"datetime64[{unit}]").astype("datetime64[us]")
    return pd.DatetimeIndex(times).tz_localize("UTC")


def _liquidations(rows: Sequence[tuple[str, str, int, LiquidationRow]]) -> pd.DataFrame:
    orders = [row for _, _, _, row in rows]
    base = np.array([row.base for row in orders], dtype=np.float64)
    price = np.array([row.price for row in orders], dtype=np.float64)
    return pd.DataFrame(
        {
            "exchange": [exchange for exchange, _, _, _ in rows],
            "symbol": [row.symbol for row in orders],
            "time": _times([row.time for row in orders]),
            "order": [row.order for row in orders],
            "side": [row.side for row in orders],
            "base": base,
            "usd": base * price,
            "price": price,
            "price_kind": [row.price_kind for row in orders],
            "coverage": [coverage for _, coverage, _, _ in rows],
            "received": _times([received for _, _, received, _ in rows], "us"),
        }
    )


def _candles(rows: Sequence[tuple[str, str, CandleRow]]) -> pd.DataFrame:
    """Closed candles, as of an exchange's history; those that can't be true are left out."""
    candles = [row for _, _, row in rows]
    frame = pd.DataFrame(
        {
            "exchange": [exchange for exchange, _, _ in rows],
            "symbol": [row.symbol for row in candles],
            "timeframe": [timeframe for _, timeframe, _ in rows],
            "time": _times([row.time for row in candles]),
            **{
                name: np.array([getattr(row, name) for row in candles], dtype=np.float64)
                for name in ("open", "high", "low", "close", "volume", "quote_volume")
            },
        }
    )
    steps = {name: parse_timeframe(name) for name in set(frame["timeframe"])}
    spans = np.array([steps[name].value for name in frame["timeframe"]], dtype="timedelta64[ns]")
    frame["available"] = (frame["time"] + spans.astype("timedelta64[us]")).dt.as_unit("us")
    faults = row_faults("candles", frame)
    for text, symbol in zip(faults, frame["symbol"], strict=True):
        if text:
            logger.warning("a candle of %s that was streamed is left out: %s", symbol, text)
    return frame[faults == ""].reset_index(drop=True)


def _snapshots(rows: Sequence[tuple[str, SnapshotRow]]) -> pd.DataFrame:
    times = _times([row.time for _, row in rows])
    records: list[dict[str, Any]] = []
    for (exchange, row), time in zip(rows, times, strict=True):
        record = {"exchange": exchange, "symbol": row.symbol, **row.values}
        record["next_funding"] = _next_funding(time, row)
        records.append(record)
    frame = pd.DataFrame(records, columns=[*KINDS["snapshots"].inputs])
    numbers = [name for name, dtype in KINDS["snapshots"].inputs.items() if dtype == "number"]
    return frame.assign(
        **{name: frame[name].astype("float64") for name in numbers},
        time=times,
        next_funding=pd.Series(frame["next_funding"], dtype="datetime64[us, UTC]"),
        available=_times([row.received for _, row in rows], "us"),
    )


def _next_funding(time: pd.Timestamp, row: SnapshotRow) -> pd.Timestamp | None:
    milliseconds = row.values.get("next_funding", 0.0)
    if not milliseconds > 0:
        return None
    settlement = pd.Timestamp(int(milliseconds), unit="ms", tz="UTC")
    return upcoming(time, settlement, row.values.get("interval_hours"))
