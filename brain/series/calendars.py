"""The grid of a calendar: when its bars open and when they are complete.

A market that never closes has bars at all times. One with sessions has them in its sessions alone:
row follows row though a night or a weekend lies between them, and the last bar of a session ends
with it. Sessions are those of an exchange (the library ``exchange_calendars``), those of the week
of foreign exchange, or simply the bars that there are.

A named calendar's bars of less than a day begin at the session's open (14:30, 15:30, …) or on the
clock (14:00, or 14:30 as the first one, then 15:00, …), whichever the given bars do. Its daily bars
are told by the session's date, at midnight in UTC or in the market, and its weekly ones by a day of
the week. All of them are then put to the session's own open.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.calendars import BARS, FX
from brain.errors import BarsError, InputError
from brain.series.times import nanoseconds
from brain.session_bars import stretch_bars

__all__ = [
    "Grid",
    "Sessions",
    "Stretches",
    "bars_grid",
    "continuous_grid",
    "sessions_ahead",
    "sessions_grid",
]

_Ints = npt.NDArray[np.int64]

# A Monday at midnight, UTC: the origin of every grid, so that series of one timeframe are aligned.
_ORIGIN = pd.Timestamp("1970-01-05", tz="UTC").value
_DAY = pd.Timedelta(days=1).value
_WEEK = pd.Timedelta(weeks=1).value
_YEAR = 365.2425 * _DAY
# A calendar's bars a year are counted over so many years before the last bar.
_YEARS = 5
# The sessions to come are known for so many years after the last bar.
_YEARS_AHEAD = 2


@dataclass(frozen=True)
class Grid:
    """Bars that a calendar expects, and the places of the given times among them.

    Attributes:
        opens, closes: (N,) nanoseconds since 1970 UTC, ascending.
        places: (M,) row of each time; -1 where the time is none of the calendar's.
        per_year: bars a year.
    """

    opens: _Ints
    closes: _Ints
    places: _Ints
    per_year: float


@dataclass(frozen=True, eq=False)
class Sessions:
    """The sessions behind a series of bars.

    Attributes:
        calendar: its name.
        closes: the moment at which each bar is complete, by open time.
        per_year: bars a year.
    """

    calendar: str
    closes: pd.Series
    per_year: float


@dataclass(frozen=True, eq=False)
class Stretches:
    """Where trading begins and ends.

    Attributes:
        anchors: (S,) the moments from which each stretch's bars are counted.
        opens, closes: (S,) of the stretches, ascending; all in nanoseconds since 1970 UTC. Of bars
            of a day or more each stretch is one bar.
    """

    anchors: _Ints
    opens: _Ints
    closes: _Ints


def continuous_grid(times: _Ints, step: int) -> Grid:
    """The grid of a market that never closes.

    Args:
        times: (M,) opens of bars, ascending and unique.
        step: length of a bar, nanoseconds.
    """
    size = int((times[-1] - times[0]) // step) + 1
    opens = times[0] + step * np.arange(size)
    # Weeks may open on Sundays as well.
    origin = _ORIGIN - _DAY if ((times - _ORIGIN + _DAY) % _WEEK == 0).all() else _ORIGIN
    on_grid = (times - origin) % step == 0
    places = np.where(on_grid, (times - times[0]) // step, -1)
    return Grid(opens, opens + step, places, 365 * _DAY / step)


def bars_grid(times: _Ints, blank: _Ints, step: int) -> Grid:
    """The bars that there are as their own grid.

    Args:
        times, step: as in :func:`continuous_grid`.
        blank: times of rows without a value: bars that are missing.
    """
    opens = np.union1d(times, blank[(blank > times[0]) & (blank < times[-1])])
    closes = opens + step
    closes[:-1] = np.minimum(closes[:-1], opens[1:])
    years = (closes[-1] - opens[0]) / _YEAR
    return Grid(opens, closes, np.searchsorted(opens, times), len(opens) / years)


def sessions_grid(times: _Ints, step: int, name: str) -> Grid:
    """The grid of a named calendar's sessions, from the first given bar to the last one.

    Arguments as in :func:`continuous_grid`; ``name`` is :data:`brain.calendars.FX` or an exchange's
    code.

    Raises:
        InputError: there is no such calendar, or none for these years.
        BarsError: no time is one of its bars.
    """
    first = min(times[0], times[-1] - int(_YEARS * _YEAR))
    market = _calendar(name, _year(first, -8), _year(times[-1], 8))
    opens, closes, places = (
        _session_bars(market, times, step) if step < _DAY else _dated_bars(market, times, step)
    )
    inside = places[places >= 0]
    if not inside.size:
        raise BarsError(
            f"no bar lies in a session of {name}; name the calendar of the market that the bars "
            f"are of, or take {BARS!r}: the bars that there are"
        )
    begin, end = int(inside.min()), int(inside.max()) + 1
    recent = (opens > opens[end - 1] - _YEARS * _YEAR) & (opens <= opens[end - 1])
    return Grid(
        opens[begin:end],
        closes[begin:end],
        np.where(places >= 0, places - begin, -1),
        float(recent.sum() / _YEARS),
    )


def sessions_ahead(name: str, opens: _Ints, closes: _Ints, step: int, bars: int) -> Stretches:
    """The stretches of a named calendar from some bars before the end of a series to the future.

    Args:
        name: as for :func:`sessions_grid`, which made the series' grid.
        opens, closes: (N,) of the series' bars.
        step: length of a bar, nanoseconds.
        bars: the stretches begin so many bars before the last one.

    Returns:
        Those of the next two years, or of as many as the calendar has.
    """
    year = (opens > opens[-1] - int(_YEAR)) | (np.arange(len(opens)) >= len(opens) - bars)
    market = _calendar_ahead(name, int(opens[year][0]), int(closes[-1]))
    if step < _DAY:
        starts, ends = _stretches(market)
        variants = _anchors(starts, step, market)
        grids = [stretch_bars(anchors, starts, ends, step)[1:] for anchors in variants]
        same = [_common(grid, (opens[year], closes[year])) for grid in grids]
        anchors = variants[same.index(max(same))]
    else:
        starts, ends, _ = _dated_bars(market, opens[-1:], step)
        anchors = starts
    # A stretch may share its first bar with the one before.
    first = max(int(np.searchsorted(ends, closes[-bars:][0])) - 1, 0)
    end = int(np.searchsorted(starts, closes[-1] + int(_YEARS_AHEAD * _YEAR)))
    return Stretches(*(column[first:end] for column in (anchors, starts, ends)))


def _common(grid: tuple[_Ints, _Ints], bars: tuple[_Ints, _Ints]) -> int:
    """How many bars a grid has in common with a series."""
    places = _places(grid[0], bars[0])
    return int(((places >= 0) & (grid[1][places] == bars[1])).sum())


def _calendar_ahead(name: str, first: int, last: int) -> Any:
    """A calendar from the first moment to as far after the last one as it goes."""
    for years in range(_YEARS_AHEAD, 0, -1):
        try:
            return _calendar(name, _year(first, -8), _year(last, 8) + years)
        except InputError:  # some are known for this year and the next one only
            continue
    return _calendar(name, _year(first, -8), _year(last, 8))


@lru_cache(maxsize=8)
def _calendar(name: str, first: int, last: int) -> Any:
    """A calendar of whole years; making one takes a second."""
    from exchange_calendars import get_calendar
    from exchange_calendars.errors import CalendarError

    bounds = {"start": f"{first}-01-01", "end": f"{last}-12-31"}
    try:
        return _fx_calendar()(**bounds) if name == FX else get_calendar(name, **bounds)
    except (ValueError, CalendarError) as error:
        raise InputError(
            f"calendar {name!r} can't be had for the years {first} to {last} ({error}); take "
            f"{BARS!r}, or give the bars of the years that it has"
        ) from error


def _year(nanoseconds: int, days: int) -> int:
    return (pd.Timestamp(nanoseconds) + pd.Timedelta(days=days)).year


@lru_cache(maxsize=1)
def _fx_calendar() -> Any:
    from zoneinfo import ZoneInfo

    from exchange_calendars import ExchangeCalendar
    from exchange_calendars.exchange_calendar import HolidayCalendar
    from pandas.tseries.holiday import Holiday

    class ForeignExchange(ExchangeCalendar):
        """Five sessions a week, each from 17:00 in New York to 17:00 on the day after.

        None ends on New Year's Day or on Christmas Day, when banks are closed everywhere.
        """

        name = FX
        tz = ZoneInfo("America/New_York")
        open_times = ((None, datetime.time(17)),)
        close_times = ((None, datetime.time(17)),)
        open_offset = -1
        regular_holidays = HolidayCalendar(
            [Holiday("New Year's Day", month=1, day=1), Holiday("Christmas Day", month=12, day=25)]
        )

    return ForeignExchange


# --- bars of less than a day --------------------------------------------------------------------


def _session_bars(market: Any, times: _Ints, step: int) -> tuple[_Ints, _Ints, _Ints]:
    """Opens and closes of a calendar's bars, begun as most of the times are, and their places."""
    starts, ends = _stretches(market)
    at_start = _places(starts, times)
    grids = []
    for anchors in _anchors(starts, step, market):
        labels, opens, closes = stretch_bars(anchors, starts, ends, step)
        # A bar that the clock begins before its session may be named by either.
        named = np.where(at_start >= 0, anchors[at_start], times)
        grids.append((opens, closes, _places(labels, named)))
    return max(grids, key=lambda grid: int((grid[2] >= 0).sum()))


def _stretches(market: Any) -> tuple[_Ints, _Ints]:
    """Where trading begins and ends: sessions, cut by their breaks; those that touch are one."""
    schedule = market.schedule
    columns = ("open", "break_start", "break_end", "close")
    opened, paused, resumed, closed = (nanoseconds(schedule[column]) for column in columns)
    breaks = paused != pd.NaT.value
    starts = np.sort(np.concatenate([opened, resumed[breaks]]))
    ends = np.sort(np.concatenate([closed, paused[breaks]]))
    apart = starts[1:] > ends[:-1]
    return starts[np.concatenate([[True], apart])], ends[np.concatenate([apart, [True]])]


def _anchors(starts: _Ints, step: int, market: Any) -> list[_Ints]:
    """The moments from which a stretch's bars may be counted: its start, or the clock before it."""
    local = pd.DatetimeIndex(starts, tz="UTC").tz_convert(market.tz).tz_localize(None)
    return [starts, starts - local.as_unit("ns").asi8 % step, starts - starts % step]


def _places(opens: _Ints, times: _Ints) -> _Ints:
    """The row of each time; -1 where there is none."""
    row = np.minimum(np.searchsorted(opens, times), len(opens) - 1)
    return np.where(opens[row] == times, row, -1)


# --- bars of a day and more ---------------------------------------------------------------------


def _dated_bars(market: Any, times: _Ints, step: int) -> tuple[_Ints, _Ints, _Ints]:
    """Opens and closes of sessions or weeks of them, and the places of the times."""
    schedule = market.schedule
    dates = nanoseconds(schedule.index)
    opens, closes = (nanoseconds(schedule[column]) for column in ("open", "close"))
    labels = _dates(market, opens, dates, times)
    if step == _DAY:
        return opens, closes, _places(dates, labels)
    weeks, begins = np.unique(_week(dates), return_index=True)
    lasts = np.concatenate([begins[1:], [len(dates)]]) - 1
    return opens[begins], closes[lasts], _places(weeks, _week(labels))


def _week(dates: _Ints) -> _Ints:
    """The number of the week that a date is in; one that is named by a Sunday begins with it."""
    return (dates + _DAY - _ORIGIN) // _WEEK


def _dates(market: Any, opens: _Ints, dates: _Ints, times: _Ints) -> _Ints:
    """The dates that the times stand for: of the session that opens then, in UTC, or local."""
    local = pd.DatetimeIndex(times, tz="UTC").tz_convert(market.tz).tz_localize(None)
    labels = np.where(times % _DAY == 0, times, local.normalize().as_unit("ns").asi8)
    places = _places(opens, times)
    return np.where(places >= 0, dates[places], labels)
