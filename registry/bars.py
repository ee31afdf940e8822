"""Bars on their grid: the one form in which a price series travels.

A series lives on its full time grid. The index holds every bar's *open* time in UTC, strictly one
timeframe apart; a bar that is missing is a row of NaN. So position is time: a look-back of 24
rows is 24 bars, and nobody has to ask again whether the series is sorted.

:func:`check_bars` puts a series there. What is certainly harmless it repairs, and says so in
:attr:`Bars.repairs`; what could be a wrong price, a wrong clock or a wrong unit it refuses.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from registry.bar_rows import COLUMNS, count, parse_rows, refuse, when
from registry.errors import BarsError, InputError, NotEnoughBarsError, did_you_mean
from registry.naming import parse_symbol

__all__ = ["COLUMNS", "TIMEFRAMES", "Bars", "check_bars", "parse_timeframe"]

#: Timeframes by name, as exchanges write them. Weeks open on Mondays. A calendar month has no
#: fixed length and so no grid.
TIMEFRAMES: dict[str, pd.Timedelta] = {
    **{f"{n}m": pd.Timedelta(minutes=n) for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": pd.Timedelta(hours=n) for n in (1, 2, 4, 6, 8, 12)},
    "1d": pd.Timedelta(days=1),
    "1w": pd.Timedelta(weeks=1),
}

# A Monday at midnight, UTC: the origin of every grid, so that series of one timeframe line up.
_ORIGIN = pd.Timestamp("1970-01-05", tz="UTC")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Bars:
    """A checked series of bars; :func:`check_bars` makes it.

    Attributes:
        symbol: The symbol, ``BTC/USD``.
        timeframe: A key of :data:`TIMEFRAMES`, ``1h``.
        frame: Columns :data:`COLUMNS`, float64, on the full grid. The index is named ``time``:
            open times, UTC, nanoseconds, one timeframe apart. The first and the last row are
            bars; between them a missing bar is a row of NaN. Prices are in the quote currency
            and positive, with ``low <= open, close <= high``; volume is in base units and not
            negative, and may be NaN in a bar whose prices are known.
        repairs: What was repaired, a sentence each.
        source: Where the series is from, for people.
    """

    symbol: str
    timeframe: str
    frame: pd.DataFrame
    repairs: tuple[str, ...] = ()
    source: str = ""

    @property
    def step(self) -> pd.Timedelta:
        """The time from one bar to the next."""
        return parse_timeframe(self.timeframe)

    @property
    def close_time(self) -> pd.DatetimeIndex:
        """When each bar was complete and its values known: its open time plus one step."""
        return pd.DatetimeIndex(self.frame.index + self.step, name="close_time")

    @property
    def bars_per_year(self) -> float:
        """Bars in 365 days of a market that never closes, for annualising."""
        return pd.Timedelta(days=365) / self.step

    @property
    def digest(self) -> str:
        """SHA-256 of symbol, timeframe, times and values, in hexadecimal.

        Equal series have equal digests on every machine and in every process; repairs and source
        don't count.
        """
        values = self.frame[list(COLUMNS)].to_numpy(dtype="<f8") + 0.0  # -0.0 is 0.0
        values[np.isnan(values)] = np.nan  # one bit pattern for all NaN
        digest = hashlib.sha256(json.dumps([self.symbol, self.timeframe]).encode())
        digest.update(_nanoseconds(self.frame.index).astype("<i8").tobytes())
        digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        index = self.frame.index
        span = f"{when(index[0])} to {when(index[-1])}, {count(len(index), 'row')}"
        return f"Bars({self.symbol} {self.timeframe}, {span}, {count(len(self.repairs), 'repair')})"


def parse_timeframe(value: str) -> pd.Timedelta:
    """The length of a timeframe.

    Raises:
        InputError: it is none of :data:`TIMEFRAMES`.
    """
    try:
        return TIMEFRAMES[value]
    except (KeyError, TypeError):
        raise InputError(
            f"{value!r} is not a timeframe; {did_you_mean(str(value), TIMEFRAMES)}"
        ) from None


def check_bars(frame: pd.DataFrame, *, symbol: str, timeframe: str, source: str = "") -> Bars:
    """Check a series of bars and put it on its grid.

    Args:
        frame: Columns open, high, low, close, volume of any numeric dtype, and the bars' *open*
            times as a column ``time`` or as a DatetimeIndex. Times without a zone are taken as
            UTC; numbers are taken as seconds, milliseconds, microseconds or nanoseconds since
            1970 by their size. Other columns are ignored. The frame is not changed.
        symbol: ``BTC/USD`` or ``BTC-USD``.
        timeframe: A key of :data:`TIMEFRAMES`.
        source: Where the series is from; it appears in messages.

    Returns:
        The series. Its ``repairs`` tell, and the log warns once, if rows were sorted, exact
        repetitions dropped, a high or low widened by a rounding error, volumes that are NaN or
        infinite taken as missing, or missing bars filled with rows of NaN.

    Raises:
        InputError: symbol, timeframe or the kind of ``frame`` can't be used.
        NotEnoughBarsError: there is no bar.
        BarsError: a column is missing, ambiguous or not numeric; a time is unreadable, off the
            grid, or only some times carry a zone; a price is NaN, infinite or not positive; high
            and low don't enclose open and close; a volume is negative; two bars of one time
            differ; the times step by another timeframe; or more than half the grid is missing.
    """
    symbol, step = parse_symbol(symbol), parse_timeframe(timeframe)
    name = f"{symbol} {timeframe}" + (f" ({source})" if source else "")
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"{name}: bars come as a pandas DataFrame, not as {type(frame).__name__}")
    if len(frame) == 0:
        raise NotEnoughBarsError(f"{name}: the series holds no bars; give at least one")
    repairs: list[str] = []
    rows = parse_rows(frame, name, repairs)
    bars = Bars(symbol, timeframe, _on_grid(rows, step, name, repairs), tuple(repairs), source)
    if repairs:
        _log.warning("%s: %s", name, "; ".join(repairs))
    return bars


def _on_grid(rows: pd.DataFrame, step: pd.Timedelta, name: str, repairs: list[str]) -> pd.DataFrame:
    """The rows on the full grid from the first to the last; sorted and unique times come in."""
    times = pd.DatetimeIndex(rows.index)
    nanoseconds, width = _nanoseconds(times), step.value
    steps = np.diff(nanoseconds)
    # The lower median: it is one of the steps, and equals the grid's while half of them do.
    usual = int(np.sort(steps)[(len(steps) - 1) // 2]) if len(steps) else width
    if usual != width:
        raise BarsError(
            f"{name}: the bars are {_length(usual)} apart (median), not {_length(width)}; "
            "name the timeframe that they have, or resample them"
        )
    off = (nanoseconds - _ORIGIN.value) % width != 0
    if off.any():
        cure = "give each bar's open time in UTC (not its close time or a local time)"
        refuse(
            rows,
            off,
            f"the time is off the {_length(width)} grid in UTC",
            cure,
            name,
        )
    place = (nanoseconds - nanoseconds[0]) // width
    size = int(place[-1]) + 1
    missing = size - len(rows)
    if 2 * missing > size:
        raise BarsError(
            f"{name}: {missing} of {count(size, 'bar')} from {when(times[0])} to {when(times[-1])} "
            "are missing; correct the timeframe, or else give only the part that is known"
        )
    if missing:
        repairs.append(_gaps(times, place, step, missing))
    values = np.full((size, len(COLUMNS)), np.nan)
    values[place] = rows.to_numpy()
    index = pd.date_range(times[0], periods=size, freq=step, name="time", unit="ns")
    return pd.DataFrame(values, index=index, columns=list(COLUMNS))


def _gaps(
    times: pd.DatetimeIndex,
    place: npt.NDArray[np.int64],
    step: pd.Timedelta,
    missing: int,
) -> str:
    jumps = np.diff(place)
    longest, gaps = int(jumps.argmax()), count((jumps > 1).sum(), "gap")
    return (
        f"{count(missing, 'bar')} missing in {gaps}, kept as rows of NaN; the longest is "
        f"{count(jumps[longest] - 1, 'bar')} from {when(times[longest] + step)}"
    )


def _length(nanoseconds: int) -> str:
    length = pd.Timedelta(nanoseconds, unit="ns")
    names = [name for name, known in TIMEFRAMES.items() if known == length]
    return names[0] if names else str(length)


def _nanoseconds(index: pd.Index) -> npt.NDArray[np.int64]:
    return pd.DatetimeIndex(index).as_unit("ns").asi8
