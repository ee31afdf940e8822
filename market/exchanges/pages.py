"""Windows of time to request, and their rows as pages: frames of the series store's kinds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from market.exchanges.base import FUNDING_HOURS, Instrument

__all__ = [
    "FUNDING_CONTEXT",
    "INSTANT",
    "MILLISECOND",
    "candle_page",
    "clip",
    "funding_page",
    "interest_page",
    "intervals",
    "snapshot_row",
    "windows",
]

#: How far around a range settlements are requested, to infer their intervals.
FUNDING_CONTEXT = pd.Timedelta(hours=24)

MILLISECOND = pd.Timedelta(milliseconds=1)
#: From a last moment to an exclusive end.
INSTANT = pd.Timedelta(microseconds=1)


def windows(start: int, end: int, span: int) -> Iterator[tuple[int, int]]:
    """Consecutive windows ``[first, last)`` of at most ``span`` that cover ``[start, end)``.

    With explicit windows, one that comes back empty is moved past: a gap in an exchange's data
    does not end the paging. Where ``span`` is one row less than a page holds, no page can be cut
    off, whether the exchange counts a window's ends in or out.
    """
    for first in range(start, end, span):
        yield first, min(first + span, end)


def clip(rows: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    """The rows of ``[first, last)``, milliseconds; of rows with one time, the last."""
    since, until = pd.Timestamp(first, unit="ms", tz="UTC"), pd.Timestamp(last, unit="ms", tz="UTC")
    rows = rows[(rows["time"] >= since) & (rows["time"] < until)]
    return rows.drop_duplicates("time", keep="last").reset_index(drop=True)


def candle_page(
    instrument: Instrument, timeframe: str, step: pd.Timedelta, rows: pd.DataFrame
) -> pd.DataFrame:
    """A page of ``candles`` from time, open, high, low, close, volume and quote_volume."""
    values = rows[["open", "high", "low", "close", "volume", "quote_volume"]]
    return _page(instrument, timeframe, rows, values, rows["time"] + step)


def interest_page(
    instrument: Instrument, timeframe: str, step: pd.Timedelta, rows: pd.DataFrame
) -> pd.DataFrame:
    """A page of ``open_interest`` from time, base and usd."""
    return _page(instrument, timeframe, rows, rows[["base", "usd"]], rows["time"] + step)


def funding_page(instrument: Instrument, rows: pd.DataFrame, hours: float | None) -> pd.DataFrame:
    """A page of ``funding`` from time, rate and mark_price.

    Args:
        instrument: of the funding.
        rows: in any order, with the neighbours that the intervals follow from.
        hours: of an interval, where it does not follow from the neighbours.
    """
    # Exchanges settle some milliseconds late; the minute is a settlement's time.
    rows = rows.assign(time=rows["time"].dt.floor("min")).sort_values("time", kind="stable")
    rows = rows.drop_duplicates("time", keep="last").reset_index(drop=True)
    values = pd.DataFrame(
        {
            "rate": rows["rate"],
            "interval_hours": intervals(pd.DatetimeIndex(rows["time"]), hours),
            "mark_price": rows["mark_price"],
        }
    )
    return _page(instrument, None, rows, values, rows["time"])


def intervals(times: pd.DatetimeIndex, hours: float | None) -> npt.NDArray[np.float64]:
    """Hours that each settlement is for, NaN where they can't be inferred.

    A step that is repeated before or after is the interval. One that stands alone is a gap if the
    step before divides it, which is the interval then, whatever comes after; else the settlement
    has the shorter of the steps around it.

    Args:
        times: sorted and unique.
        hours: the instrument's interval, for settlements without a neighbour.
    """
    default = float("nan") if hours is None else float(hours)
    if len(times) < 2:
        return np.full(len(times), default)
    steps = np.diff(times.as_unit("us").asi8) / 3.6e9
    before = np.concatenate([[np.nan], steps])
    earlier = np.concatenate([[np.nan, np.nan], steps[:-1]])
    after = np.concatenate([steps, [np.nan]])
    repeated = (before == after) | (before == earlier) | (before == default)
    gap = (before > earlier) & (np.mod(before, earlier) == 0)
    lone = np.where(gap, earlier, np.fmin(before, after))
    interval = np.where(repeated, before, lone)
    # A lone step that the instrument's interval divides is more likely a gap than an interval.
    alone = (len(times) == 2) & (np.mod(interval, default) == 0)
    interval = np.where(alone, default, interval)
    return np.where(np.isin(interval, FUNDING_HOURS), interval, default)


def snapshot_row(
    instrument: Instrument,
    time: pd.Timestamp,
    *,
    mark_price: float,
    funding_rate: float,
    next_funding: pd.Timestamp | None,
    interval_hours: float | None,
    open_interest: float,
    open_interest_usd: float,
) -> pd.DataFrame:
    """The one row of ``snapshots``."""
    frame = pd.DataFrame(
        {
            "exchange": [instrument.exchange],
            "symbol": [instrument.symbol],
            "time": [time],
            "mark_price": [mark_price],
            "funding_rate": [funding_rate],
            "next_funding": pd.Series([next_funding], dtype="datetime64[us, UTC]"),
            "interval_hours": [float("nan") if interval_hours is None else interval_hours],
            "open_interest": [open_interest],
            "open_interest_usd": [open_interest_usd],
            "available": [time],
        }
    )
    return frame.astype({"time": "datetime64[us, UTC]", "available": "datetime64[us, UTC]"})


def _page(
    instrument: Instrument,
    timeframe: str | None,
    rows: pd.DataFrame,
    values: pd.DataFrame,
    available: pd.Series,
) -> pd.DataFrame:
    keys = {"exchange": instrument.exchange, "symbol": instrument.symbol}
    frame = pd.DataFrame(index=rows.index).assign(**keys)
    if timeframe is not None:
        frame["timeframe"] = timeframe
    frame["time"] = rows["time"]
    frame = pd.concat([frame, values], axis="columns")
    frame["available"] = available
    times = {"time": "datetime64[us, UTC]", "available": "datetime64[us, UTC]"}
    texts = {name: "str" for name in ("exchange", "symbol", "timeframe") if name in frame}
    return frame.astype({**times, **texts}).reset_index(drop=True)
