"""The grids of markets that close."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from brain.calendars import calendar_of, parse_calendar, parse_calendars
from brain.errors import BarsError, InputError
from brain.series.bars import Bars, check_bars

RANDOM = np.random.default_rng(11)


def frame(times: pd.Index) -> pd.DataFrame:
    close = 100.0 * np.exp(np.cumsum(RANDOM.normal(0.0, 0.01, len(times))))
    return pd.DataFrame(
        {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close, "volume": 5.0},
        index=times,
    )


def check(times: pd.Index, timeframe: str, calendar: str) -> Bars:
    return check_bars(frame(times), symbol="SPY", timeframe=timeframe, calendar=calendar)


def new_york(day: str, *clock: str) -> pd.DatetimeIndex:
    times = [pd.Timestamp(f"{day} {time}", tz="America/New_York") for time in clock]
    return pd.DatetimeIndex(times).tz_convert("UTC")


def texts(times: pd.Index) -> list[str]:
    return [f"{time:%Y-%m-%d %H:%M}" for time in times]


# Thanksgiving 2021 is a Thursday without a session, and the Friday after it closes at 13:00.
DAYS = pd.DatetimeIndex(
    ["2021-11-22", "2021-11-23", "2021-11-24", "2021-11-26", "2021-11-29"], tz="UTC"
)


def test_daily_bars_are_sessions_and_holidays_are_none() -> None:
    bars = check(DAYS, "1d", "XNYS")
    assert len(bars.frame) == 5
    assert not bars.repairs
    assert texts(bars.frame.index)[0] == "2021-11-22 14:30"
    assert texts(bars.close_time) == [
        "2021-11-22 21:00", "2021-11-23 21:00", "2021-11-24 21:00", "2021-11-26 18:00",
        "2021-11-29 21:00",
    ]  # fmt: skip


@pytest.mark.parametrize("clock", ["00:00", "09:30", "16:00"])
def test_daily_bars_may_be_named_in_the_markets_own_time(clock: str) -> None:
    local = DAYS.tz_localize(None) + pd.Timedelta(f"{clock}:00")
    times = local.tz_localize("America/New_York").tz_convert("UTC")
    assert check(times, "1d", "XNYS").frame.index.equals(check(DAYS, "1d", "XNYS").frame.index)


def test_a_session_without_a_bar_is_a_gap() -> None:
    bars = check(DAYS.delete(2), "1d", "XNYS")
    assert np.isnan(bars.frame["close"]).tolist() == [False, False, True, False, False]
    assert bars.repairs == (
        "1 bar missing in 1 gap, kept as rows of NaN; the longest is 1 bar from "
        "2021-11-24 14:30 UTC",
    )


def test_the_bars_of_a_checked_series_give_the_same_series() -> None:
    for calendar in ("XNYS", "bars"):
        bars = check(DAYS, "1d", calendar)
        again = check_bars(bars.frame, symbol="SPY", timeframe="1d", calendar=calendar)
        assert again.digest == bars.digest
        assert pickle.loads(pickle.dumps(bars)).digest == bars.digest
    assert check(DAYS[:2], "1d", "XNYS").digest != check(DAYS[:2], "1d", "continuous").digest


def test_a_part_of_a_series_keeps_its_closes() -> None:
    bars = check(DAYS, "1d", "XNYS")
    part = bars.until(pd.Timestamp("2021-11-26 18:00", tz="UTC"))
    assert texts(part.close_time)[-1] == "2021-11-26 18:00"
    assert len(part.frame) == 4
    assert len(bars.until(pd.Timestamp("2021-11-26 17:59", tz="UTC")).frame) == 3


OPENED = ("09:30", "10:30", "11:30", "12:30", "13:30", "14:30", "15:30")
ON_THE_CLOCK = ("09:30", "10:00", "11:00", "12:00", "13:00", "14:00", "15:00")
BEFORE_THE_OPEN = ("09:00", "10:00", "11:00", "12:00", "13:00", "14:00", "15:00")


@pytest.mark.parametrize("clock", [OPENED, ON_THE_CLOCK, BEFORE_THE_OPEN])
def test_hourly_shares_have_seven_bars_a_day_however_they_are_named(clock: tuple[str, ...]) -> None:
    half = [time for time in clock if time < "13:00"]
    times = (
        new_york("2021-03-12", *clock)  # the clocks change on the Sunday between
        .append(new_york("2021-03-15", *clock))
        .append(new_york("2021-11-24", *clock))
    )
    bars = check(new_york("2021-11-24", *clock).append(new_york("2021-11-26", *half)), "1h", "XNYS")
    assert len(bars.frame) == 11
    assert not np.isnan(bars.frame["close"]).any()
    assert texts(bars.close_time)[6] == "2021-11-24 21:00"
    assert texts(bars.close_time)[-1] == "2021-11-26 18:00"
    assert texts(bars.frame.index)[0] == "2021-11-24 14:30"
    spring = check(times[:14], "1h", "XNYS")
    assert texts(spring.frame.index)[:8:7] == ["2021-03-12 14:30", "2021-03-15 13:30"]
    assert len(spring.frame) == 14


def test_a_market_with_a_break_has_none_of_its_bars_in_it() -> None:
    clock = ("09:00", "10:00", "11:00", "12:30", "13:30", "14:30")
    times = [f"2021-11-{day} {time}" for day in (24, 25) for time in clock]
    tokyo = pd.DatetimeIndex(times).tz_localize("Asia/Tokyo").tz_convert("UTC")
    bars = check(tokyo, "1h", "XTKS")
    assert len(bars.frame) == 12
    assert texts(bars.close_time)[2] == "2021-11-24 02:30"


def test_the_week_of_foreign_exchange() -> None:
    # From Sunday 17:00 in New York to Friday 17:00: 22:00 UTC in winter.
    hours = pd.date_range("2021-11-14 22:00", "2021-11-26 21:00", freq="h", tz="UTC")
    weekend = pd.date_range("2021-11-19 22:00", "2021-11-21 21:00", freq="h", tz="UTC")
    bars = check(pd.DatetimeIndex(hours.difference(weekend)), "1h", "FX")
    assert len(bars.frame) == 240
    assert bars.bars_per_year == pytest.approx(6222, abs=15)
    four = pd.date_range("2021-11-14 20:00", "2021-11-19 20:00", freq="4h", tz="UTC")
    bars = check(four, "4h", "FX")
    assert texts(bars.frame.index)[:2] == ["2021-11-14 22:00", "2021-11-15 00:00"]
    assert len(bars.frame) == 31


def test_what_lies_outside_the_sessions() -> None:
    hours = pd.date_range("2021-11-14 22:00", "2021-12-10 21:00", freq="h", tz="UTC")
    table = frame(hours)
    closed = (hours.dayofweek == 5) | ((hours.dayofweek == 4) & (hours.hour >= 22))
    closed |= (hours.dayofweek == 6) & (hours.hour < 22)
    table.loc[closed, ["open", "high", "low", "close"]] = 1.1
    table.loc[closed, "volume"] = 0.0
    bars = check_bars(table, symbol="EUR/USD", timeframe="1h", calendar="FX")
    assert len(bars.frame) == (~closed).sum()
    assert bars.repairs == (
        f"{closed.sum()} bars outside the sessions of FX left out, {closed.sum()} of them without "
        "a trade, first at 2021-11-19 22:00 UTC",
    )
    with pytest.raises(BarsError, match="the time is in no session of FX in 144 of"):
        check_bars(frame(hours), symbol="EUR/USD", timeframe="1h", calendar="FX")


def test_bars_are_their_own_sessions() -> None:
    bars = check(DAYS, "1d", "bars")
    assert bars.frame.index.equals(DAYS.rename("time"))
    assert texts(bars.close_time)[2:4] == ["2021-11-25 00:00", "2021-11-27 00:00"]
    table = frame(DAYS)
    table.iloc[2] = np.nan
    gap = check_bars(table, symbol="SPY", timeframe="1d", calendar="bars")
    assert len(gap.frame) == 5
    assert np.isnan(gap.frame["close"]).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("day", ["Monday", "Sunday"])
def test_weeks_are_told_by_a_day_of_theirs(day: str) -> None:
    first = "2021-11-15" if day == "Monday" else "2021-11-14"
    bars = check(pd.date_range(first, periods=3, freq="7D", tz="UTC"), "1w", "XNYS")
    assert texts(bars.frame.index) == ["2021-11-15 14:30", "2021-11-22 14:30", "2021-11-29 14:30"]
    assert texts(bars.close_time)[1] == "2021-11-26 18:00"


def test_bars_a_year_are_the_calendars() -> None:
    days = pd.DatetimeIndex(pd.bdate_range("2019-01-02", "2019-03-29", tz="UTC"))
    holidays = pd.DatetimeIndex(["2019-01-21", "2019-02-18"], tz="UTC")
    bars = check(days.difference(holidays), "1d", "XNYS")
    assert bars.bars_per_year == pytest.approx(251.7, abs=0.5)
    business = pd.DatetimeIndex(pd.bdate_range("2010-01-01", "2019-12-31", tz="UTC"))
    assert check(business, "1d", "bars").bars_per_year == pytest.approx(260.9, abs=0.3)


@pytest.mark.parametrize(
    ("timeframe", "times"),
    [
        ("1d", pd.DatetimeIndex(pd.bdate_range("2019-01-01", "2021-01-01", tz="UTC"))),
        ("1h", pd.date_range("2021-01-01", periods=2000, freq="h", tz="UTC")),
        ("15m", pd.date_range("2021-01-01", periods=5000, freq="15min", tz="UTC")),
    ],
)
def test_a_market_that_closes_is_no_continuous_one(timeframe: str, times: pd.DatetimeIndex) -> None:
    open_ = times if timeframe == "1d" else times[(times.dayofweek < 5) & (times.hour < 20)]
    with pytest.raises(BarsError, match=r"% of the week is without bars, in .* calendar=XNYS"):
        check(open_, timeframe, "continuous")


@given(st.integers(0, 2**31), st.floats(0.0, 0.45))
def test_gaps_by_chance_close_no_market(seed: int, missing: float) -> None:
    times = pd.date_range("2021-01-01", periods=24 * 7 * 6, freq="h", tz="UTC")
    there = np.random.default_rng(seed).random(len(times)) >= missing
    there[[0, -1]] = True
    assert len(check(times[there], "1h", "continuous").frame) == len(times)


def test_off_the_grid_the_cure_names_the_calendar() -> None:
    times = pd.date_range("2021-11-22 14:30", periods=48, freq="h", tz="UTC")
    with pytest.raises(BarsError, match="for a market with sessions name its calendar"):
        check(times, "1h", "continuous")


@pytest.mark.parametrize(
    ("times", "timeframe", "calendar", "words"),
    [
        (
            DAYS[[0, 0, 1]] + pd.to_timedelta([0, 1, 0], "h"),
            "1d",
            "XNYS",
            "is of the same time|are .* apart",
        ),
        (
            pd.date_range("2021-11-27", periods=1, tz="UTC"),
            "1d",
            "XNYS",
            "no bar lies in a session",
        ),
        (
            pd.date_range("2021-11-22 03:00", periods=30, freq="h", tz="UTC"),
            "1h",
            "XNYS",
            "no sess",
        ),
    ],
)
def test_what_no_calendar_fits_is_refused(
    times: pd.DatetimeIndex, timeframe: str, calendar: str, words: str
) -> None:
    with pytest.raises((BarsError, InputError), match=words):
        check(times, timeframe, calendar)


def test_names_of_calendars() -> None:
    assert [parse_calendar(name) for name in ("fx", "Bars", "xnys", "CONTINUOUS")] == [
        "FX", "bars", "XNYS", "continuous",
    ]  # fmt: skip
    with pytest.raises(InputError, match="no calendar is called 'XNYSE'"):
        parse_calendar("XNYSE")
    calendars = parse_calendars("XNYS, EUR/USD=FX,BTC-USD = continuous")
    assert calendars == {"": "XNYS", "EUR/USD": "FX", "BTC/USD": "continuous"}
    assert calendar_of(calendars, "SPY") == "XNYS"
    assert calendar_of(calendars, "EUR/USD") == "FX"
    assert calendar_of({}, "SPY") == "continuous"
    with pytest.raises(InputError, match="comes twice"):
        parse_calendars("SPY=FX,SPY=bars")
