"""Windows of time to request, and their rows as pages: frames of the series store's kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.errors import ExchangeShapeError
from brain.series.faults import row_faults
from market.exchanges.base import FUNDING_HOURS, Instrument, Page
from market.exchanges.table import FAULT
from market.http.parser import Parser

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
    "spoil",
    "strange_settlements",
    "upcoming",
    "window_pages",
    "windows",
]

#: How far around a range settlements are requested, to infer their intervals.
FUNDING_CONTEXT = pd.Timedelta(hours=24)

MILLISECOND = pd.Timedelta(milliseconds=1)
#: From a last moment to an exclusive end.
INSTANT = pd.Timedelta(microseconds=1)


_USUAL_HOURS = 8.0


def windows(start: int, end: int, span: int) -> Iterator[tuple[int, int]]:
    """Consecutive windows ``[first, last)`` of at most ``span`` that cover ``[start, end)``.

    With explicit windows, one that comes back empty is moved past: a gap in an exchange's data
    does not end the paging. Where ``span`` is one row less than a page holds, no page can be cut
    off, whether the exchange counts a window's ends in or out.
    """
    for first in range(start, end, span):
        yield first, min(first + span, end)


async def window_pages(
    page: Callable[[int, int], Awaitable[Page]], spans: Iterable[tuple[int, int]]
) -> AsyncIterator[Page]:
    """The pages of windows; one that can't be read is an error after the last."""
    failure: ExchangeShapeError | None = None
    for first, last in spans:
        try:
            one = await page(first, last)
        except ExchangeShapeError as error:
            failure = failure or error
            continue
        failure = failure or one.error
        if len(one.rows) or one.impossible:
            yield one
    if failure is not None:
        raise failure


def clip(parser: Parser, rows: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    """The rows of ``[first, last)``, milliseconds, each time once.

    Where rows of one time differ, the first of them stands with that as its fault: one of them may
    be of another time.
    """
    since, until = pd.Timestamp(first, unit="ms", tz="UTC"), pd.Timestamp(last, unit="ms", tz="UTC")
    rows = rows[(rows["time"] >= since) & (rows["time"] < until)]
    if rows["time"].is_unique:
        return rows.reset_index(drop=True)
    distinct = rows.astype({FAULT: str}).drop_duplicates()
    several = distinct["time"][distinct["time"].duplicated()]
    if len(several):
        error = parser.shape_error("two rows", f"of {several.iloc[0]} differ")
        rows = spoil(rows, rows["time"].isin(several), error)
    return rows.drop_duplicates("time").reset_index(drop=True)


def spoil(rows: pd.DataFrame, bad: Iterable[bool], error: ExchangeShapeError) -> pd.DataFrame:
    """The rows, some of them with an error as their fault."""
    faults = [error if strange else f for strange, f in zip(bad, rows[FAULT], strict=True)]
    return rows.assign(fault=pd.Series(faults, index=rows.index, dtype=object))


def candle_page(
    instrument: Instrument, timeframe: str, step: pd.Timedelta, rows: pd.DataFrame
) -> Page:
    """A page of ``candles`` from time, open, high, low, close, volume, quote_volume and fault."""
    prices = {name: rows[name] * instrument.multiplier for name in ("open", "high", "low", "close")}
    values = rows[["volume", "quote_volume"]].assign(
        volume=rows["volume"] / instrument.multiplier, **prices
    )
    values = values[[*prices, "volume", "quote_volume"]]
    return _page("candles", instrument, timeframe, rows, values, rows["time"] + step)


def interest_page(
    instrument: Instrument, timeframe: str, step: pd.Timedelta, rows: pd.DataFrame
) -> Page:
    """A page of ``open_interest`` from time, base, usd and fault."""
    values = rows[["base", "usd"]].assign(base=rows["base"] / instrument.multiplier)
    return _page("open_interest", instrument, timeframe, rows, values, rows["time"] + step)


def funding_page(
    instrument: Instrument,
    rows: pd.DataFrame,
    hours: float | None,
    strange: npt.NDArray[np.bool_] | None = None,
) -> Page:
    """A page of ``funding`` from time, rate, mark_price and fault.

    Args:
        instrument: of the funding.
        rows: sorted by time, with the neighbours that the intervals follow from, each time once.
        hours: of an interval, where it does not follow from the neighbours.
        strange: the rows whose time was shifted, see :func:`strange_settlements`; none if None.
    """
    values = pd.DataFrame(
        {
            "rate": rows["rate"],
            "interval_hours": intervals(pd.DatetimeIndex(rows["time"]), hours, strange),
            "mark_price": rows["mark_price"] * instrument.multiplier,
        }
    )
    return _page("funding", instrument, None, rows, values, rows["time"])


def strange_settlements(times: pd.DatetimeIndex, hours: float | None) -> npt.NDArray[np.bool_]:
    """Which settlements are at no multiple of their interval, nor of the present one.

    Exchanges settle at multiples of the interval in UTC; a time that is none has been shifted. So
    has one that alone parts a whole number of the steps that go on before and after it, unequally.

    Args:
        times: sorted and unique, at full hours.
        hours: the instrument's present interval; None: unknown.
    """
    clock = times.hour.to_numpy(dtype=np.float64)
    present = _USUAL_HOURS if hours is None else hours
    interval = intervals(times, hours)
    # A longer one is more likely a gap.
    interval = np.where(interval > _USUAL_HOURS, present, interval)
    off_own, off_present = np.mod(clock, interval) > 0, np.mod(clock, present) > 0
    return np.asarray((off_own & off_present) | _moved(times, present))


def _moved(times: pd.DatetimeIndex, hours: float) -> npt.NDArray[np.bool_]:
    """Which settlements stand between steps of one length, but at none of them."""
    steps = np.diff(times.as_unit("us").asi8) / 3.6e9
    padded = np.concatenate([[hours, np.nan], steps, [np.nan, hours]])
    earlier, before, after, later = (padded[n : n + len(times)] for n in range(4))
    parts = (before != after) & (np.mod(before + after, later) == 0)
    return np.asarray((earlier == later) & parts & (np.mod(before, later) > 0))


def intervals(
    times: pd.DatetimeIndex, hours: float | None, strange: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """Hours that each settlement is for, NaN where they can't be inferred.

    A step that is repeated before or after is the interval. One that stands alone is a gap if the
    step before divides it, which is the interval then, whatever comes after; else the settlement
    has the shorter of the steps around it.

    Args:
        times: sorted and unique.
        hours: the instrument's interval, for settlements without a neighbour.
        strange: times that were shifted, which are nobody's neighbours; none if None.
    """
    default = float("nan") if hours is None else float(hours)
    if len(times) < 2:
        return np.full(len(times), default)
    steps = np.diff(times.as_unit("us").asi8) / 3.6e9
    if strange is not None:
        steps[strange[1:] | strange[:-1]] = np.nan
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
    """The one row of ``snapshots``.

    Raises:
        ExchangeShapeError: a value is impossible.
    """
    for fault, mask in (
        ("a mark price that is not positive", mark_price <= 0),
        ("a funding rate of all of a position's value", abs(funding_rate) >= 1),
        ("negative open interest", open_interest < 0 or open_interest_usd < 0),
    ):
        if mask:
            raise ExchangeShapeError(
                f"{instrument.exchange} {instrument.id}: the snapshot has {fault} (mark price "
                f"{mark_price!r}, funding rate {funding_rate!r}, open interest {open_interest!r} "
                f"worth {open_interest_usd!r}); it is not stored, and the next one may be right"
            )
    frame = pd.DataFrame(
        {
            "exchange": [instrument.exchange],
            "symbol": [instrument.symbol],
            "time": [time],
            "mark_price": [mark_price * instrument.multiplier],
            "funding_rate": [funding_rate],
            "next_funding": pd.Series(
                [upcoming(time, next_funding, interval_hours)], dtype="datetime64[us, UTC]"
            ),
            "interval_hours": [float("nan") if interval_hours is None else interval_hours],
            "open_interest": [open_interest / instrument.multiplier],
            "open_interest_usd": [open_interest_usd],
            "available": [time],
        }
    )
    return frame.astype({"time": "datetime64[us, UTC]", "available": "datetime64[us, UTC]"})


def upcoming(
    time: pd.Timestamp, settlement: pd.Timestamp | None, hours: float | None
) -> pd.Timestamp | None:
    """The minute of the upcoming settlement; None if it can't be that of the interval.

    An exchange may still name one that has just been.
    """
    if settlement is None:
        return None
    longest = pd.Timedelta(hours=max(FUNDING_HOURS) if hours is None else hours)
    minute = settlement.floor("min")
    multiple = hours is None or (minute == minute.floor("h") and minute.hour % hours == 0)
    near = time - pd.Timedelta(minutes=10) <= settlement <= time + longest
    return minute if near and multiple else None


def _page(
    kind: str,
    instrument: Instrument,
    timeframe: str | None,
    rows: pd.DataFrame,
    values: pd.DataFrame,
    available: pd.Series,
) -> Page:
    """The sound rows, the impossible ones by time, and the first error of the others."""
    keys = {"exchange": instrument.exchange, "symbol": instrument.symbol}
    frame = pd.DataFrame(index=rows.index).assign(**keys)
    if timeframe is not None:
        frame["timeframe"] = timeframe
    frame["time"] = rows["time"]
    frame = pd.concat([frame, values], axis="columns")
    frame["available"] = available
    times = {"time": "datetime64[us, UTC]", "available": "datetime64[us, UTC]"}
    texts = {name: "str" for name in ("exchange", "symbol", "timeframe") if name in frame}
    frame = frame.astype({**times, **texts})
    faults = rows[FAULT].to_numpy(dtype=object)
    faults = np.where(faults == "", row_faults(kind, frame), faults)
    errors = [fault for fault in faults if isinstance(fault, ExchangeShapeError)]
    impossible = {
        time: fault
        for time, fault in zip(frame["time"], faults, strict=True)
        if isinstance(fault, str) and fault
    }
    sound = frame[faults == ""].reset_index(drop=True)
    return Page(sound, impossible, errors[0] if errors else None)
