"""Times of bars in any usual form as one UTC index; and times for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.errors import BarsError, did_you_mean
from brain.series.epochs import dates_of_digits, digits, is_epoch, since_1970
from brain.series.time_forms import date_order, time_formats

__all__ = ["agreed_times", "nanoseconds", "parse_times", "when"]

# A zone at the end of a time of day: Z, +01, +0100, +01:00, GMT+0100. A date alone ends in "-04".
_ZONE = r"\s?(?:(?:UTC|GMT)?(?:[Zz]|[+-]\d{2}(?::?\d{2})?)|UTC|GMT)\s*$"
_ZONED = rf"\d[T ,]\s?\d{{1,2}}.*\d{_ZONE}|\d[T ,]\s?\d{_ZONE}"

_CURE = "write times as 2019-07-04T13:00:00Z or in seconds or milliseconds since 1970"

_DAY, _MONTH = pd.Timedelta(days=1), pd.Timedelta(days=28)


@dataclass(frozen=True)
class _Reading:
    """One way to read a column of times: UTC or without a zone, NaT where it can't be read."""

    times: pd.DatetimeIndex
    repair: str = ""


def parse_times(
    frame: pd.DataFrame, name: str, step: pd.Timedelta, repairs: list[str]
) -> pd.DatetimeIndex:
    """The times of a frame's rows.

    Args:
        frame: its column ``time``, or else its DatetimeIndex, holds datetimes, text or numbers
            since 1970. Times without a zone are taken as UTC.
        name: of the series, for messages.
        step: of the series: of two readings of a column, as day/month and month/day, the one whose
            times follow each other by it is meant.
        repairs: a sentence for each repair is appended.

    Returns:
        One time a row, in the order of the rows: UTC, nanoseconds, named ``time``, no NaT.

    Raises:
        BarsError: there are no times, column and index differ, a time is unreadable, only some
            times have a zone, or two readings are left.
    """
    return agreed_times([_raw_times(frame, name)], name, step, repairs)


def agreed_times(
    columns: Sequence[pd.Series], name: str, step: pd.Timedelta, repairs: list[str]
) -> pd.DatetimeIndex:
    """The times that all of the columns tell; arguments, value and errors as :func:`parse_times`.

    Raises:
        BarsError: also if two columns differ.
    """
    choices = [_readings(column.infer_objects(), name, step) for column in columns]
    common = choices[0]
    for column, others in zip(columns[1:], choices[1:], strict=True):
        kept = [r for r in common if any(r.times.equals(other.times) for other in others)]
        if not kept:
            raise _disagreement(columns[0], common[0].times, column, others[0].times, name)
        common = kept
    reading = _only_reading(common, columns[0], name, step)
    repairs += [reading.repair] if reading.repair else []
    return reading.times.rename("time")


def _raw_times(frame: pd.DataFrame, name: str) -> pd.Series:
    """The times of the frame, unparsed, with a range as index."""
    columns = [str(column) for column in frame.columns]
    indexed = isinstance(frame.index, pd.DatetimeIndex)
    if columns.count("time") > 1:
        raise BarsError(f"{name}: {columns.count('time')} columns are called 'time'; keep one")
    if "time" not in columns and not indexed:
        raise BarsError(
            f"{name}: there is no column 'time' and no DatetimeIndex; give the bars' open times as "
            f"'time'; {did_you_mean('time', columns)}"
        )
    index = pd.Series(frame.index)
    if "time" not in columns:
        return index
    column = frame["time"].reset_index(drop=True)
    if indexed and not column.equals(index.rename("time")):
        raise BarsError(
            f"{name}: the column 'time' and the DatetimeIndex differ; drop the one that is not "
            "the bars' open time"
        )
    return column


# --- the readings of a column -------------------------------------------------------------------


def _readings(raw: pd.Series, name: str, step: pd.Timedelta) -> list[_Reading]:
    """Every way to read a column without a rest, at least one."""
    types = pd.api.types
    if types.is_datetime64_any_dtype(raw):
        times = pd.DatetimeIndex(raw)
        wall = times.tz_localize(None) if times.tz is not None else times
        readings = [_market_midnights(_Reading(times), wall, step)]
    elif types.is_numeric_dtype(raw) and not types.is_bool_dtype(raw):
        readings = _number_readings(raw, name, step)
    elif is_epoch(raw):
        readings = _number_readings(digits(raw, name), name, step)
    else:
        readings = _object_readings(raw, name, step)
    whole = [reading for reading in readings if not reading.times.hasnans]
    if not whole:
        best = min(readings, key=lambda reading: int(np.sum(np.asarray(reading.times.isna()))))
        raise _unreadable(raw, best.times, name)
    return [_Reading(_as_utc(r.times, name), r.repair) for r in whole]


def _number_readings(raw: pd.Series, name: str, step: pd.Timedelta) -> list[_Reading]:
    """Numbers as dates without separators, or else as time since 1970; 12 digits may be both."""
    text = dates_of_digits(raw)
    readings = [] if text is None else _object_readings(text, name, step)
    readings = [reading for reading in readings if not reading.times.hasnans]
    try:
        times, repair = since_1970(raw, name, _CURE)
        readings.append(_Reading(times, repair))
    except BarsError:
        if not readings:
            raise
    return readings


def _object_readings(raw: pd.Series, name: str, step: pd.Timedelta) -> list[_Reading]:
    """Readings of text and datetime objects."""
    if pd.api.types.infer_dtype(raw) == "string":
        raw = raw.astype("str")
    known = raw[raw.notna()]
    zoned = _where(known, _ZONED, lambda time: getattr(time, "tzinfo", None) is not None)
    if zoned.nunique() > 1:
        with_zone, without = raw[zoned.index[zoned]], raw[zoned.index[~zoned]]
        raise BarsError(
            f"{name}: {len(with_zone)} times carry a zone (as {_quoted(with_zone.iloc[0])}) and "
            f"{len(without)} don't (as {_quoted(without.iloc[0])}); write all of them in UTC"
        )
    first = known.iloc[0] if len(known) else None
    formats = time_formats(first.strip()) if isinstance(first, str) else ["ISO8601"]
    has_zone = bool(zoned.any()) and step % _DAY == pd.Timedelta(0)
    wall = raw.map(_without_zone) if has_zone else raw
    readings: list[_Reading] = []
    for form in formats or ["ISO8601"]:
        reading = _Reading(_formatted(raw, form), _order(form, formats))
        if has_zone:
            (naive, *_) = [_formatted(wall, f) for f in _wall_formats(wall, form)]
            reading = _market_midnights(reading, naive, step)
        if not any(reading.times.equals(other.times) for other in readings):
            readings.append(reading)
    return readings


def _order(form: str, formats: list[str]) -> str:
    orders = {date_order(other) for other in formats if other != "ISO8601"}
    return f"dates read as {date_order(form)}" if len(orders) > 1 else ""


def _formatted(raw: pd.Series, form: str) -> pd.DatetimeIndex:
    # pandas would take "now" and "today" as times.
    cells = raw.where(_where(raw, r"\d", lambda time: True))
    return pd.DatetimeIndex(pd.to_datetime(cells, format=form, utc=True, errors="coerce"))


def _wall_formats(wall: pd.Series, form: str) -> list[str]:
    """The format of times whose zones were cut off."""
    return [form if form == "ISO8601" else re.sub(r"\s?(?:UTC|GMT)?(?:%z)?$", "", form)]


def _market_midnights(reading: _Reading, wall: pd.DatetimeIndex, step: pd.Timedelta) -> _Reading:
    """Days that begin at the market's own midnight, by their date; other times as they are."""
    times = reading.times
    if step % _DAY != pd.Timedelta(0) or times.hasnans or wall.hasnans:
        return reading
    in_utc = times.tz_convert("UTC") if times.tz is not None else times
    if (in_utc == in_utc.normalize()).all() or not (wall == wall.normalize()).all():
        return reading
    return _Reading(wall, "times at midnight of the market's own zone, taken as dates")


def _as_utc(times: pd.DatetimeIndex, name: str) -> pd.DatetimeIndex:
    times = times.tz_localize("UTC") if times.tz is None else times.tz_convert("UTC")
    try:
        return times.as_unit("ns")
    except pd.errors.OutOfBoundsDatetime:
        raise BarsError(
            f"{name}: the times run from {times.min()} to {times.max()}, beyond the years 1678 "
            f"to 2262; {_CURE}"
        ) from None


# --- of several readings, the one that is meant -------------------------------------------------


def _only_reading(
    readings: list[_Reading], raw: pd.Series, name: str, step: pd.Timedelta
) -> _Reading:
    if len(readings) == 1:
        return readings[0]
    steady = [reading for reading in readings if _follows(reading.times, step)]
    if len(steady) == 1:
        return steady[0]
    first = next(i for i in range(len(raw)) if len({r.times[i] for r in readings}) > 1)
    meanings = " or ".join(when(reading.times[first]) for reading in readings)
    raise BarsError(
        f"{name}: {_quoted(raw.iloc[first])} in row {first} can mean {meanings}, and no other row "
        "tells which; write dates as 1999-01-04"
    )


def _follows(times: pd.DatetimeIndex, step: pd.Timedelta) -> bool:
    """Whether the times go up or down from row to row, often by one step and never by a month.

    Where day and month have changed places, each day is a month after the one before.
    """
    steps = np.diff(times.asi8)
    if not len(steps) or not ((steps >= 0).all() or (steps <= 0).all()):
        return False
    lengths = np.sort(np.abs(steps))
    return bool(lengths[(len(lengths) - 1) // 4] == step.value and lengths[-1] < _MONTH.value)


# --- errors -------------------------------------------------------------------------------------


def _unreadable(raw: pd.Series, times: pd.DatetimeIndex, name: str) -> BarsError:
    bad = np.asarray(times.isna())
    first = int(bad.argmax())
    return BarsError(
        f"{name}: {bad.sum()} of {len(raw)} times can't be read, first "
        f"{_quoted(raw.iloc[first])} in row {first}; {_CURE}"
    )


def _disagreement(
    one: pd.Series, times: pd.DatetimeIndex, other: pd.Series, others: pd.DatetimeIndex, name: str
) -> BarsError:
    differ = np.asarray(times != others)
    first = int(differ.argmax())
    return BarsError(
        f"{name}: the columns {one.name!r} and {other.name!r} tell different times in "
        f"{differ.sum()} of {len(times)} rows, first {_quoted(one.iloc[first])} and "
        f"{_quoted(other.iloc[first])} in row {first}; keep the one that is the bars' open time "
        "in UTC"
    )


def _where(raw: pd.Series, pattern: str, other: Callable[[Any], bool]) -> pd.Series:
    """Which cells have a pattern in them, as far as they are text, or else ``other`` of them."""
    if isinstance(raw.dtype, pd.StringDtype):
        return raw.str.contains(pattern, regex=True, na=False).astype(bool)
    search = re.compile(pattern).search
    found = raw.map(lambda time: search(time) is not None if isinstance(time, str) else other(time))
    return found.astype(bool)


def _without_zone(time: Any) -> Any:
    if isinstance(time, str):
        return re.sub(_ZONE, "", time)
    return time.replace(tzinfo=None) if getattr(time, "tzinfo", None) is not None else time


def _quoted(time: Any) -> str:
    return repr(time) if isinstance(time, str) else str(time)


def when(time: pd.Timestamp) -> str:
    """A time (UTC) for people, to the minute or the second where it falls on one."""
    form = ":%S.%f" if time != time.floor("s") else ":%S" if time != time.floor("min") else ""
    return f"{time:%Y-%m-%d %H:%M{form}} UTC"


def nanoseconds(times: pd.Index | pd.Series) -> npt.NDArray[np.int64]:
    """Times as whole nanoseconds since 1970 UTC, in their order."""
    return pd.DatetimeIndex(times).as_unit("ns").asi8
