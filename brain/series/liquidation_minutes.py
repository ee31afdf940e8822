"""Liquidations by minute, each with the moment from which it was known.

What a live executor is given and what a model is trained on are these rows, so both see the same
at the same bar. A minute is known where it was listened to from end to end; whoever listened had
it :data:`HANDED_ON` after the pulse that proves it, or after a liquidation that came later still. A
silence that is told as not believed is unknown from when it was told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.series.listened import heard_liquidations, stretches_of
from brain.series.store.store import SeriesStore
from brain.series.suspects import HISTORY, WINDOW, told_minutes

__all__ = ["HANDED_ON", "minute_rows", "read_minutes"]

#: What is proved has been stored and handed on by then.
HANDED_ON = pd.Timedelta(seconds=30)

_MINUTE, _HOUR = pd.Timedelta(minutes=1), pd.Timedelta(hours=1)
_SECOND_US, _MINUTE_US = 1_000_000, 60_000_000
_HANDED_ON_US = HANDED_ON // pd.Timedelta(microseconds=1)
_COLUMNS = ("exchange", "symbol", "time", "available", "long_usd", "short_usd")

_Floats = npt.NDArray[np.float64]
_Times = npt.NDArray[np.int64]


def minute_rows(
    rows: pd.DataFrame, listening: pd.DataFrame, told: pd.DatetimeIndex | None = None
) -> pd.DataFrame:
    """The minutes of one symbol at one exchange.

    Args:
        rows: of ``liquidations``: time, side, usd and received.
        listening: start, end and delay of the stretches that were listened to; of one whose delay
            is unknown nothing is known.
        told: beginnings of the minutes that end a silence that is not believed.

    Returns:
        By ``time``, the minute's end, and ``available``: long_usd and short_usd of those who were
        liquidated in it. 0 means that it was listened to and nothing came; a second row of a minute
        has NaN, for it is unknown from then on. Minutes that were not listened to have no row.
    """
    listening = listening.dropna(subset="delay")
    ends = _whole_minutes(stretches_of(listening))
    available = ends + _delays(ends, listening) + _HANDED_ON_US
    time, received = (pd.DatetimeIndex(rows[n]).as_unit("us").asi8 for n in ("time", "received"))
    place = np.searchsorted(ends, time, side="right")
    inside = place < len(ends)
    inside[inside] = time[inside] >= ends[place[inside]] - _MINUTE_US
    place = place[inside]
    handed = received[inside] + _HANDED_ON_US
    np.maximum.at(available, place, handed)
    usd = rows["usd"].to_numpy()[inside]
    long = (rows["side"] == "long").to_numpy()[inside]
    long_usd, short_usd = (
        np.bincount(place, usd * side, minlength=len(ends)).astype(np.float64)
        for side in (long, ~long)
    )
    frame = _frame(ends, available, long_usd, short_usd)
    if told is None or not len(told):
        return frame
    doubted = _doubted(ends, available, pd.DatetimeIndex(told).as_unit("us").asi8 + _MINUTE_US)
    return pd.concat([frame, doubted]).sort_values(["time", "available"], ignore_index=True)


def read_minutes(
    store: SeriesStore,
    symbol: str,
    exchanges: Sequence[str],
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """As :func:`minute_rows`, of what is stored of a symbol at several exchanges.

    Args:
        store: the series store.
        symbol: a linear perpetual.
        exchanges: those that are compared with each other when silence is judged.
        start, end: of the minutes; all that are stored if None.

    Returns:
        With ``exchange`` and ``symbol``, by exchange.

    Raises:
        SeriesStoreError: the store can't be read.
    """
    names = list(exchanges)
    first = None if start is None else start - _HOUR - WINDOW  # a row is an hour at most
    listening = store.read("listening", symbol=symbol, exchange=names, start=first, end=end)
    heard = heard_liquidations(listening)
    if heard.empty:
        return _empty()
    begin, stop = max(filter(None, [start, heard["start"].min()])), heard["end"].max()
    since = begin.floor("D") - HISTORY
    liquidations = store.read("liquidations", symbol=symbol, exchange=names, start=since, end=end)
    snapshots = store.read(
        "snapshots", symbol=symbol, exchange=names, start=since, end=end,
        columns=["exchange", "symbol", "time", "open_interest"],
    )  # fmt: skip
    told = told_minutes(
        liquidations, snapshots, heard, tuple(names), begin, stop if end is None else end
    )
    tables = []
    for name in names:
        rows, stretches = (frame[frame["exchange"] == name] for frame in (liquidations, heard))
        minutes = minute_rows(rows, stretches, _of_exchange(told, name))
        within = (minutes["time"] > begin.floor("min")).to_numpy()
        tables.append(minutes[within].assign(exchange=name, symbol=symbol))
    return pd.concat(tables, ignore_index=True)[list(_COLUMNS)]


def _of_exchange(
    told: Mapping[tuple[str, str, str], pd.DatetimeIndex], exchange: str
) -> pd.DatetimeIndex | None:
    own = [minutes.to_numpy() for (name, _, _), minutes in told.items() if name == exchange]
    return pd.DatetimeIndex(np.unique(np.concatenate(own)), tz="UTC") if own else None


def _whole_minutes(stretches: _Times) -> _Times:
    """The ends of the minutes that lie in stretches, ascending, in microseconds."""
    first = -(-stretches[:, 0] // _MINUTE_US)
    count = np.maximum(stretches[:, 1] // _MINUTE_US - first, 0)
    return (_ranges(first, count) + 1) * _MINUTE_US


def _ranges(first: _Times, count: _Times) -> _Times:
    """``first, first + 1, …``, so many of each, one after another."""
    offset = np.cumsum(count) - count
    return np.repeat(first - offset, count) + np.arange(count.sum())


def _delays(ends: _Times, listening: pd.DataFrame) -> _Times:
    """How late each minute was proved: as the latest of the stretches that it lies in."""
    start, end = (pd.DatetimeIndex(listening[n]).as_unit("us").asi8 for n in ("start", "end"))
    late = np.ceil(listening["delay"].to_numpy(dtype=np.float64) * _SECOND_US).astype(np.int64)
    first = np.searchsorted(ends, start, side="right")
    count = np.maximum(np.searchsorted(ends - _MINUTE_US, end, side="left") - first, 0)
    delays = np.zeros(len(ends), dtype=np.int64)
    np.maximum.at(delays, _ranges(first, count), np.repeat(late, count))
    return delays


def _doubted(ends: _Times, available: _Times, told: _Times) -> pd.DataFrame:
    """The minutes of the windows that end with what was told, from when it first was.

    Args:
        ends, available: of the minutes that are known.
        told: ends of the minutes of which something was told, ascending.
    """
    first = np.searchsorted(told, ends, side="left")
    doubted = first < len(told)
    at = told[first[doubted]]
    near = at - ends[doubted] < WINDOW // pd.Timedelta(microseconds=1)
    at, minutes = at[near], ends[doubted][near]
    # The minute that tells it was known when it was, or as soon as one can be.
    place = np.minimum(np.searchsorted(ends, at), len(ends) - 1)
    own = np.where(ends[place] == at, available[place], at + _HANDED_ON_US)
    unknown = np.full(len(minutes), np.nan)
    return _frame(minutes, own, unknown, unknown)


def _frame(ends: _Times, available: _Times, long: _Floats, short: _Floats) -> pd.DataFrame:
    times = [pd.DatetimeIndex(t.astype("datetime64[us]"), tz="UTC") for t in (ends, available)]
    columns = dict(zip(_COLUMNS[2:], (*times, long, short), strict=True))
    return pd.DataFrame(columns)


def _empty() -> pd.DataFrame:
    nothing = np.empty(0, dtype=np.int64)
    frame = _frame(nothing, nothing, np.empty(0), np.empty(0))
    return frame.assign(exchange="", symbol="")[list(_COLUMNS)]
