"""Open interest of a symbol at the bars' timeframe, finer rows where it has none of its own.

Exchanges keep little of it (Binance 30 days), and their files have it every five minutes. A row is
of the end of its period, so the last finer row of a bar is what that bar's own row would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from brain.series.bars import TIMEFRAMES, parse_timeframe

if TYPE_CHECKING:
    from brain.series.store.store import SeriesStore

__all__ = ["read_open_interest"]

_VALUES = ["base", "usd"]
_COLUMNS = ["exchange", "time", "available", *_VALUES]
# Weeks begin on Mondays, and every other timeframe is a part of a week.
_MONDAY = 4 * 86_400_000_000  # 5 January 1970, in microseconds


def read_open_interest(
    store: SeriesStore, contract: str, exchanges: Sequence[str] | None, timeframe: str
) -> pd.DataFrame:
    """The rows of a perpetual, a row a period of the timeframe.

    Args:
        store: the series store.
        contract: the perpetual.
        exchanges: of the rows; all if None.
        timeframe: of the bars.

    Returns:
        exchange, time (the beginning of the period), available, base and usd, NaN if unknown;
        sorted by exchange and time. Rows of the timeframe itself go before finer ones.

    Raises:
        SeriesStoreError: the store can't be read.
    """
    rows = store.read(
        "open_interest",
        symbol=contract,
        exchange=exchanges,
        columns=["timeframe", *_COLUMNS],
    )
    own = rows.loc[rows["timeframe"] == timeframe, _COLUMNS].reset_index(drop=True)
    step = parse_timeframe(timeframe)
    names = [name for name in rows["timeframe"].unique() if TIMEFRAMES.get(name, step) < step]
    finer = rows[rows["timeframe"].isin(names)]
    if finer.empty:
        return own
    more = _at_the_end(finer, step)
    keys = ["exchange", "time"]
    taken = pd.MultiIndex.from_frame(own[keys])
    more = more[~pd.MultiIndex.from_frame(more[keys]).isin(taken)]
    return pd.concat([own, more]).sort_values(keys, ignore_index=True)


def _at_the_end(finer: pd.DataFrame, step: pd.Timedelta) -> pd.DataFrame:
    """Finer rows that were public exactly at the end of a period, as that period's.

    Where that row is missing the period has none: an earlier one would be of another moment.
    """
    public = pd.DatetimeIndex(finer["available"]).as_unit("us").asi8 - _MONDAY
    ends = finer[public % (step // pd.Timedelta(microseconds=1)) == 0]
    ends = ends.assign(length=ends["available"] - ends["time"])
    ends = ends.sort_values("length", kind="stable").drop_duplicates(["exchange", "available"])
    return ends.assign(time=ends["available"] - step)[_COLUMNS]
