"""Bars on their grid: the form in which all rooms exchange a price series.

A series of bars is on the full grid of its calendar. The index holds every bar's *open* time in
UTC: strictly one timeframe apart where the market never closes, and in its sessions alone where it
does (:mod:`brain.series.calendars`); a missing bar is a row of NaN. So position is time: a
look-back of 24 rows is 24 bars, and a series is always sorted.

:func:`brain.series.bars.check_bars` puts a series on its grid. It repairs harmless faults and lists
them in :attr:`brain.series.bars.Bars.repairs`; it refuses what could be a wrong price, a wrong
clock or a wrong unit.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from numbers import Real
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.calendars import BARS, CONTINUOUS, parse_calendar
from brain.columns import parse_columns
from brain.errors import BarsError, InputError, NotEnoughBarsError, did_you_mean
from brain.naming import parse_symbol
from brain.series.calendars import Grid, Sessions, bars_grid, continuous_grid, sessions_grid
from brain.series.clock import finished
from brain.series.faults import bar_faults
from brain.series.own_columns import find_columns
from brain.series.quality.candles import candle_findings
from brain.series.quality.findings import Findings
from brain.series.times import nanoseconds, parse_times, when
from brain.text import count, duration
from brain.timeframes import LENGTHS, check_timeframe, resampled

__all__ = ["COLUMNS", "TIMEFRAMES", "Bars", "check_bars", "parse_timeframe"]

#: The columns of a series of bars, in this order.
COLUMNS: tuple[str, ...] = ("open", "high", "low", "close", "volume")

#: Timeframes by exchanges' names, see :mod:`brain.timeframes`.
TIMEFRAMES: dict[str, pd.Timedelta] = {
    name: pd.Timedelta(length) for name, length in LENGTHS.items()
}

# Fewer bars may well have one price; more that have are no market.
_FLAT = 30

# Of a series, the share of bars outside the sessions that are left out, and not refused.
_MOST_OUTSIDE = 0.01

# A market closes if more than so much of its week is without bars, all through so many weeks.
_LEAST_CLOSED, _LEAST_WEEKS = 0.1, 4

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Bars:
    """A checked series of bars; :func:`brain.series.bars.check_bars` makes it.

    Attributes:
        symbol: of the bars, ``BTC/USD``.
        timeframe: a key of :data:`brain.series.bars.TIMEFRAMES`, ``1h``.
        frame: columns :data:`brain.series.bars.COLUMNS`, float64, on the full grid. The index is
            named ``time``: open times, UTC, nanoseconds, those of the calendar. The first and the
            last row are bars; between them a missing bar is a row of NaN. Prices are in the quote
            currency and positive, with ``low <= open, close <= high``; volume is in base units and
            not negative, and may be NaN in a bar with prices. Own columns, if any, come after
            these, sorted by name: the value in a bar's row is known at its close, NaN is unknown.
        repairs: a sentence for each repair.
        source: of the series, for people.
        sessions: of the market; None if it never closes.
        unused: the names of the source's columns that are neither bars' nor own.
    """

    symbol: str
    timeframe: str
    frame: pd.DataFrame
    repairs: tuple[str, ...] = ()
    source: str = ""
    sessions: Sessions | None = None
    unused: tuple[str, ...] = ()

    @property
    def calendar(self) -> str:
        """The name of the market's calendar, see :mod:`brain.calendars`."""
        return self.sessions.calendar if self.sessions else CONTINUOUS

    @property
    def own(self) -> tuple[str, ...]:
        """The names of the own columns, see :mod:`brain.columns`."""
        return tuple(self.frame.columns[len(COLUMNS) :])

    @property
    def step(self) -> pd.Timedelta:
        """The length of a bar that no session cuts off."""
        return parse_timeframe(self.timeframe)

    @property
    def close_time(self) -> pd.DatetimeIndex:
        """The moment at which each bar is complete."""
        opens = pd.DatetimeIndex(self.frame.index)
        closes = self.sessions.closes.loc[opens] if self.sessions else opens + self.step
        return pd.DatetimeIndex(closes, name="close_time")

    @property
    def bars_per_year(self) -> float:
        """Bars in a year of the calendar without gaps, for annualising.

        A year has 365 days where the market never closes.
        """
        if self.sessions:
            return self.sessions.per_year
        return pd.Timedelta(days=365) / self.step

    @property
    def digest(self) -> str:
        """SHA-256 of symbol, timeframe, calendar, own columns' names, times and values.

        Equal series have equal digests on every machine and in every process. Repairs and source
        are no part of it.
        """
        values = self.frame.to_numpy(dtype="<f8") + 0.0  # -0.0 is 0.0
        values[np.isnan(values)] = np.nan  # one bit pattern for all NaN
        names: list[object] = [self.symbol, self.timeframe]
        names += [self.calendar] if self.sessions else []
        names += [self.own] if self.own else []
        digest = hashlib.sha256(json.dumps(names).encode())
        for times in (self.frame.index, *([self.close_time] if self.sessions else [])):
            digest.update(nanoseconds(times).astype("<i8").tobytes())
        digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    @cached_property
    def findings(self) -> Findings:
        """What the quality rules flag in the rows of the frame; nothing is altered."""
        columns = {name: self.frame[name].to_numpy() for name in COLUMNS}
        return candle_findings(columns, np.arange(len(self.frame), dtype=np.float64))

    def until(self, close_time: pd.Timestamp) -> Bars:
        """The bars that were complete at a moment; repairs are those of the whole series."""
        return replace(self, frame=self.frame[self.close_time <= close_time])

    def at(self, moment: pd.Timestamp) -> Bars:
        """The bars as who reads them at a moment finds them, checked and put on their grid anew.

        Grid, repairs and findings are those of the bars that are complete by then. What refuses the
        whole series has refused it before; nothing else of a later bar is left.

        Raises:
            InputError, BarsError, NotEnoughBarsError: as of :func:`check_bars`.
        """
        rows = self.frame[self.close_time <= moment]
        if rows["close"].notna().any():
            rows = rows[: rows["close"].last_valid_index()]
        bars = _checked(
            rows,
            symbol=self.symbol,
            timeframe=self.timeframe,
            source=self.source,
            calendar=self.calendar,
            now=moment,
            columns=self.own,
        )
        return replace(bars, unused=self.unused)

    def with_own(self, columns: Sequence[str]) -> Bars:
        """The same bars with these of their own columns alone.

        Raises:
            InputError: a name can't be a column's.
            BarsError: the bars lack one of the columns.
        """
        names = parse_columns(columns)
        if missing := [name for name in names if name not in self.own]:
            raise BarsError(
                f"{self.symbol} {self.timeframe}: the bars have no column {missing[0]!r}; "
                f"read them with it, or bring a file that has it ({self.source or 'no source'})"
            )
        unused = tuple(name for name in self.own if name not in names)
        frame = self.frame[[*COLUMNS, *names]]
        return replace(self, frame=frame, unused=(*self.unused, *unused))

    def __repr__(self) -> str:
        index = self.frame.index
        span = f"{when(index[0])} to {when(index[-1])}, {count(len(index), 'row')}"
        return f"Bars({self.symbol} {self.timeframe}, {span}, {count(len(self.repairs), 'repair')})"


def parse_timeframe(value: str) -> pd.Timedelta:
    """The length of a timeframe.

    Raises:
        InputError: it is none of :data:`brain.series.bars.TIMEFRAMES`.
    """
    return TIMEFRAMES[check_timeframe(value)]


def check_bars(
    frame: pd.DataFrame,
    *,
    symbol: str,
    timeframe: str,
    source: str = "",
    calendar: str = CONTINUOUS,
    repairs: Iterable[str] = (),
    now: pd.Timestamp | None = None,
    columns: Sequence[str] = (),
) -> Bars:
    """Check a series of bars and put it on its grid.

    Args:
        frame: columns open, high, low, close, volume of any numeric dtype, and the bars' *open*
            times as a column ``time`` or as a DatetimeIndex. Times without a zone are taken as
            UTC; numbers are taken as seconds, milliseconds, microseconds or nanoseconds since
            1970 by their size. Without a column volume it is unknown. Other columns are left out.
            The frame is not changed.
        symbol: ``BTC/USD`` or ``BTC-USD``.
        timeframe: a key of :data:`brain.series.bars.TIMEFRAMES`.
        source: of the series, for messages.
        calendar: of the market, see :func:`brain.calendars.parse_calendar`.
        repairs: that were made before, a sentence each.
        now: the moment, UTC, at which the bars are read; the clock's if None.
        columns: names of the own columns, see :mod:`brain.columns`.

    Returns:
        The series. Its ``repairs``, and one warning in the log, say if rows were sorted, exact
        repetitions dropped, a high or low widened by a rounding error, volumes that are NaN or
        infinite taken as missing, bars outside the calendar's sessions left out, missing bars
        filled with rows of NaN, or bars that are not over yet left out.

    Raises:
        InputError: symbol, timeframe, calendar or the name of an own column can't be used, or
            ``frame`` is no DataFrame.
        NotEnoughBarsError: there is no bar.
        BarsError: a column is missing, ambiguous or not numeric; an own column holds a number that
            is infinite or larger than single precision has; a time is unreadable, off the
            grid, or only some times carry a zone; the market closes and its calendar does not;
            a price is NaN, infinite or not positive; high and low don't enclose open and close; a
            volume is negative; two bars of one time differ; the close of 30 bars or more never
            changes; the times step by another timeframe; more than half the grid is missing; or
            bars lie in the future.
    """
    bars = _checked(
        frame,
        symbol=symbol,
        timeframe=timeframe,
        source=source,
        calendar=calendar,
        repairs=repairs,
        now=now,
        columns=columns,
    )
    if bars.repairs:
        logger.warning("%s: %s", _name(bars.symbol, timeframe, source), "; ".join(bars.repairs))
    return bars


def _name(symbol: str, timeframe: str, source: str) -> str:
    """A series, for messages."""
    return f"{symbol} {timeframe}" + (f" ({source})" if source else "")


def _checked(
    frame: pd.DataFrame,
    *,
    symbol: str,
    timeframe: str,
    source: str,
    calendar: str,
    repairs: Iterable[str] = (),
    now: pd.Timestamp | None,
    columns: Sequence[str],
) -> Bars:
    """As :func:`check_bars`, without a line in the log."""
    symbol, step = parse_symbol(symbol), parse_timeframe(timeframe)
    calendar = parse_calendar(calendar)
    name = _name(symbol, timeframe, source)
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"{name}: bars come as a pandas DataFrame, not as {type(frame).__name__}")
    if len(frame) == 0:
        raise NotEnoughBarsError(f"{name}: the series holds no bars; give at least one")
    done = list(repairs)
    own, unused = find_columns(frame, columns, name)
    rows, blank = _parse_rows(frame, own, step, name, done)
    table, sessions = _on_grid(rows, blank, step, calendar, name, done)
    bars = Bars(symbol, timeframe, table, (), source, sessions, unused)
    over = finished(bars.frame, bars.close_time, step, now, name, done)
    return replace(bars, frame=over, repairs=tuple(done))


# --- rows ---------------------------------------------------------------------------------------


def _parse_rows(
    frame: pd.DataFrame, own: Mapping[str, int], step: pd.Timedelta, name: str, repairs: list[str]
) -> tuple[pd.DataFrame, pd.DatetimeIndex]:
    """The bars of a frame: float64 columns as in :attr:`Bars.frame`, by unique times.

    And the times of its rows without any value.

    Args:
        frame: as for :func:`brain.series.bars.check_bars`, with at least one row.
        own: positions of the own columns by name.
        step: of the series.
        name: of the series, for messages.
        repairs: a sentence for each repair is appended.

    Raises:
        NotEnoughBarsError: no row holds a value.
        BarsError: the frame is broken in a way that no repair covers.
    """
    _check_columns(frame, name)
    rows = _by_time(frame, own, parse_times(frame, name, step, repairs), name)
    rows, blank = _without_blank_rows(rows, name, repairs)
    rows = _in_order(rows, repairs)
    _check_prices(rows, name)
    _check_own(rows, name)
    rows = _with_wide_ranges(_with_finite_volumes(rows, repairs), repairs)
    rows = _without_repetitions(rows, name, repairs)
    _check_movement(rows, name)
    return rows, blank


def _check_movement(rows: pd.DataFrame, name: str) -> None:
    """Refuse a series whose price never moves: nothing can be learnt from it."""
    closes = rows["close"].to_numpy()
    if len(closes) >= _FLAT and (closes == closes[0]).all():
        raise BarsError(
            f"{name}: every close of {count(len(closes), 'bar')} is {float(closes[0])!r}, so there "
            "is nothing to predict; give bars of a market whose price moves, or leave this one out"
        )


def _check_columns(frame: pd.DataFrame, name: str) -> None:
    columns = [str(column) for column in frame.columns]
    for column in COLUMNS:
        if columns.count(column) > 1:
            raise BarsError(
                f"{name}: {columns.count(column)} columns are called {column!r}; keep one"
            )
        if column not in columns and column != "volume":
            raise BarsError(
                f"{name}: there is no column {column!r}; the columns are to be named time, "
                f"{', '.join(COLUMNS)}; {did_you_mean(column, columns)}"
            )


def _by_time(
    frame: pd.DataFrame, own: Mapping[str, int], times: pd.DatetimeIndex, name: str
) -> pd.DataFrame:
    """The five columns and the own ones as float64 in one block, by time."""
    unknown = np.full(len(times), np.nan)
    columns = [_floats(frame[c], times, name) if c in frame else unknown for c in COLUMNS]
    columns += [_floats(frame.iloc[:, position], times, name) for position in own.values()]
    return pd.DataFrame(np.column_stack(columns), index=times, columns=[*COLUMNS, *own])


def _floats(column: pd.Series, times: pd.DatetimeIndex, name: str) -> npt.NDArray[np.float64]:
    types = pd.api.types
    if types.is_numeric_dtype(column) and not (
        types.is_bool_dtype(column) or types.is_complex_dtype(column)
    ):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    # Databases return decimals and None as objects. Text is refused even if it parses as a number,
    # because "1,234" and "1.234" don't mean the same everywhere.
    cells = column.astype(object).reset_index(drop=True)
    bad = (cells.notna() & ~cells.map(_is_number).astype(bool)).to_numpy(dtype=bool)
    if bad.any():
        first = int(bad.argmax())
        raise BarsError(
            f"{name}: {count(bad.sum(), 'value')} in column {column.name!r} can't be taken as "
            f"numbers, first {cells.iloc[first]!r} at {when(times[first])}; correct them and cast "
            "the column to float"
        )
    return cells.where(cells.notna(), np.nan).to_numpy(dtype=np.float64)


def _is_number(cell: Any) -> bool:
    return isinstance(cell, Real | Decimal) and not isinstance(cell, bool)


def _without_blank_rows(
    rows: pd.DataFrame, name: str, repairs: list[str]
) -> tuple[pd.DataFrame, pd.DatetimeIndex]:
    traded = rows["volume"].fillna(0.0) != 0.0  # whatever the own columns hold
    blank = (rows[list(COLUMNS[:4])].isna().all(axis=1) & ~traded).to_numpy()
    if blank.all():
        raise NotEnoughBarsError(f"{name}: no row holds a value; give at least one bar")
    if blank.any():
        repairs.append(f"{count(blank.sum(), 'row')} without any value taken as missing bars")
    return rows[~blank], pd.DatetimeIndex(rows.index[blank])


def _in_order(rows: pd.DataFrame, repairs: list[str]) -> pd.DataFrame:
    if rows.index.is_monotonic_increasing:
        return rows
    repairs.append("rows out of the order of time, sorted")
    return rows.sort_index(kind="stable")


def _check_prices(rows: pd.DataFrame, name: str) -> None:
    """Refuse impossible bars; the rows are in the order of time."""
    values = rows.to_numpy()
    cure = "correct these bars at the source, or leave them out: a bar may be missing"
    for fault, bad in bar_faults(values[:, : len(COLUMNS)]).items():
        if np.any(bad):
            _refuse(rows, bad, fault, cure, name)


def _check_own(rows: pd.DataFrame, name: str) -> None:
    """Refuse what no model takes: the boosted trees and the LSTM compute in single precision."""
    for column in rows.columns[len(COLUMNS) :]:
        bad = np.abs(rows[column].to_numpy()) > np.finfo(np.float32).max
        if bad.any():
            cure = "correct them at the source, or leave them empty: a value may be missing"
            _refuse(rows, bad, f"column {column!r} is infinite or too large", cure, name)


def _refuse(
    rows: pd.DataFrame, bad: npt.NDArray[np.bool_], fault: str, cure: str, name: str
) -> NoReturn:
    """Raise a :class:`brain.errors.BarsError` for the rows of a mask (N,), with the first one."""
    first = int(bad.argmax())
    bar = ", ".join(
        f"{c} {float(v)!r}" for c, v in zip(rows.columns, rows.iloc[first], strict=True)
    )
    raise BarsError(
        f"{name}: {fault} in {bad.sum()} of {count(len(rows), 'bar')}, "
        f"first at {when(rows.index[first])} ({bar}); {cure}"
    )


def _with_finite_volumes(rows: pd.DataFrame, repairs: list[str]) -> pd.DataFrame:
    unknown = ~np.isfinite(rows["volume"].to_numpy())
    if not unknown.any():
        return rows
    if unknown.all():
        repairs.append("there is no volume: it is unknown in every bar")
        return rows.assign(volume=np.nan)
    bars, first = count(unknown.sum(), "bar"), when(rows.index[int(unknown.argmax())])
    repairs.append(f"volume NaN or infinite in {bars}, taken as missing, first at {first}")
    return rows.assign(volume=rows["volume"].mask(unknown))


def _with_wide_ranges(rows: pd.DataFrame, repairs: list[str]) -> pd.DataFrame:
    """High and low that enclose open and close exactly, so that kernels may rely on it."""
    high = rows[["open", "high", "close"]].max(axis=1)
    low = rows[["open", "low", "close"]].min(axis=1)
    narrow = ((high != rows["high"]) | (low != rows["low"])).sum()
    if not narrow:
        return rows
    repairs.append(f"high or low of {count(narrow, 'bar')} widened by a rounding error")
    return rows.assign(high=high, low=low)


def _without_repetitions(rows: pd.DataFrame, name: str, repairs: list[str]) -> pd.DataFrame:
    if rows.index.is_unique:
        return rows
    repeated = rows.reset_index().duplicated().to_numpy()
    rows = rows[~repeated]
    clash = rows.index.duplicated()
    if clash.any():
        cure = "keep one bar for each time (local times repeat when summer time ends: write UTC)"
        _refuse(rows, clash, "a second, different bar has the same time", cure, name)
    repairs.append(f"{count(repeated.sum(), 'exact repetition')} of a bar dropped")
    return rows


# --- the grid -----------------------------------------------------------------------------------


def _on_grid(
    rows: pd.DataFrame,
    blank: pd.DatetimeIndex,
    step: pd.Timedelta,
    calendar: str,
    name: str,
    repairs: list[str],
) -> tuple[pd.DataFrame, Sessions | None]:
    """The rows, whose times are sorted and unique, on the full grid from the first to the last.

    Where the bars themselves are the sessions, blank rows are the only gaps that can be told.
    """
    times = nanoseconds(rows.index)
    _check_steps(times, step.value, calendar, name)
    if calendar == CONTINUOUS:
        _check_week(times, step.value, name)
        grid = continuous_grid(times, step.value)
        _check_places(rows, grid, step, name)
    elif calendar == BARS:
        grid = bars_grid(times, nanoseconds(blank), step.value)
    else:
        grid = sessions_grid(times, step.value, calendar)
        rows, grid = _in_sessions(rows, grid, calendar, name, repairs)
    if missing := len(grid.opens) - len(rows):
        _check_missing(rows, missing, len(grid.opens), name)
        repairs.append(_gaps(grid, missing))
    values = np.full((len(grid.opens), rows.shape[1]), np.nan)
    values[grid.places] = rows.to_numpy()
    index = _utc(grid.opens, "time")
    table = pd.DataFrame(values, index=index, columns=rows.columns)
    if calendar == CONTINUOUS:
        return table, None
    closes = pd.Series(_utc(grid.closes, "close_time"), index=index)
    return table, Sessions(calendar, closes, grid.per_year)


def _check_steps(times: npt.NDArray[np.int64], width: int, calendar: str, name: str) -> None:
    """Refuse the bars of another timeframe, by a low quantile of their steps.

    It is one of the steps, and equals the grid's while half of them do; with sessions a quarter,
    since a night may follow every other bar.
    """
    steps = np.sort(np.diff(times))
    share = 2 if calendar == CONTINUOUS else 4
    usual = int(steps[(len(steps) - 1) // share]) if len(steps) else width
    if usual != width:
        raise BarsError(
            f"{name}: the bars are {duration(usual)} apart, not {duration(width)}; "
            f"{_other_timeframe(usual, width)}"
        )


def _check_week(times: npt.NDArray[np.int64], width: int, name: str) -> None:
    """Refuse the bars of a market that closes: parts of its week never have any."""
    week = pd.Timedelta(weeks=1).value
    weeks, slots = (times[-1] - times[0]) / week, week // width
    if width >= week or weeks < _LEAST_WEEKS:
        return
    counts = np.bincount(times % week // width, minlength=slots)
    closed = (counts[:slots] < 0.05 * weeks).mean()
    if closed > _LEAST_CLOSED:
        raise BarsError(
            f"{name}: {closed:.0%} of the week is without bars, in {weeks:.0f} weeks: this market "
            f"closes; name its calendar, as in calendar=XNYS (New York's shares) or calendar=FX, "
            f"or write calendar={BARS} to take the bars that there are as its sessions"
        )


def _check_places(rows: pd.DataFrame, grid: Grid, step: pd.Timedelta, name: str) -> None:
    off = grid.places < 0
    if off.any():
        cure = (
            "give each bar's open time in UTC (not its close time or a local time); for a market "
            f"with sessions name its calendar, as in calendar=XNYS, or write calendar={BARS}"
        )
        _refuse(rows, off, f"the time is off the {duration(step.value)} grid in UTC", cure, name)


def _check_missing(rows: pd.DataFrame, missing: int, size: int, name: str) -> None:
    if 2 * missing > size:
        raise BarsError(
            f"{name}: {missing} of {count(size, 'bar')} from {when(rows.index[0])} to "
            f"{when(rows.index[-1])} are missing; correct the timeframe, or else give only the "
            "part that is known"
        )


def _in_sessions(
    rows: pd.DataFrame, grid: Grid, calendar: str, name: str, repairs: list[str]
) -> tuple[pd.DataFrame, Grid]:
    """The rows that are bars of the calendar's, one each.

    Vendors write bars of closed hours at the price before them; and a trade may be late.
    """
    values, outside = rows.to_numpy(), grid.places < 0
    flat = (values[:, :4] == values[:, :1]).all(axis=1) & ~(values[:, 4] > 0.0)
    traded = outside & ~flat
    if traded.mean() > _MOST_OUTSIDE:
        cure = (
            "leave out what is traded before and after the sessions, name the market's own "
            f"calendar, or write calendar={BARS} to take the bars that there are"
        )
        _refuse(rows, traded, f"the time is in no session of {calendar}", cure, name)
    if outside.any():
        first = when(rows.index[int(outside.argmax())])
        repairs.append(
            f"{count(outside.sum(), 'bar')} outside the sessions of {calendar} left out, "
            f"{flat[outside].sum()} of them without a trade, first at {first}"
        )
    rows, grid = rows[~outside], replace(grid, places=grid.places[~outside])
    clash = np.concatenate([[False], np.diff(grid.places) == 0])
    if clash.any():
        cure = "keep one bar for each session or week"
        _refuse(rows, clash, f"a second bar is of the same time of {calendar}", cure, name)
    return rows, grid


def _gaps(grid: Grid, missing: int) -> str:
    """The repair that says how many bars are missing, and where most of them."""
    jumps = np.diff(grid.places)
    longest, gaps = int(jumps.argmax()), count((jumps > 1).sum(), "gap")
    first = _utc(grid.opens[grid.places[longest] + 1 :][:1])[0]
    return (
        f"{count(missing, 'bar')} missing in {gaps}, kept as rows of NaN; the longest is "
        f"{count(jumps[longest] - 1, 'bar')} from {when(first)}"
    )


def _utc(nanoseconds: npt.NDArray[np.int64], name: str | None = None) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(nanoseconds.view("datetime64[ns]"), name=name).tz_localize("UTC")


def _timedelta(nanoseconds: int) -> timedelta:
    return timedelta(microseconds=max(nanoseconds // 1000, 1))


def _other_timeframe(usual: int, width: int) -> str:
    """The cure for bars that step by another timeframe than they are said to."""
    name = duration(usual)
    if name not in TIMEFRAMES:
        return resampled(_timedelta(usual))
    cure = f"name the timeframe that they have, {name} (a file is named as BTC-USD_{name})"
    return cure if width % usual else f"{cure}, or resample them to {duration(width)}"
