"""Bars that are not over yet, and bars that lie ahead."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from brain.errors import BarsError, NotEnoughBarsError
from brain.series.bars import TIMEFRAMES, Bars, check_bars
from brain.series.files import read_folder, sample_folder
from brain.series.source import bars_of
from brain.series.store.store import SeriesStore

NOW = pd.Timestamp("2021-03-03 10:20", tz="UTC")


def bars_until(last: str | pd.Timestamp, rows: int = 48, timeframe: str = "1h") -> pd.DataFrame:
    """Bars of which the last one opens then."""
    step = TIMEFRAMES[timeframe]
    start = pd.Timestamp(last) - (rows - 1) * step
    index = pd.date_range(start, periods=rows, freq=step, tz="UTC", name="time")
    values = {"open": 1.5, "high": 2.0, "low": 1.0, "close": 1.75, "volume": 3.0}
    # Every other bar by its own time, so that a part of a series equals the whole there.
    close = [1.75 if time.value // step.value % 2 else 1.5 for time in index]
    return pd.DataFrame(values, index=index).assign(close=close)


def checked(frame: pd.DataFrame, timeframe: str = "1h", now: pd.Timestamp = NOW) -> Bars:
    return check_bars(frame, symbol="BTC/USD", timeframe=timeframe, now=now)


def test_a_bar_that_ends_now_is_over() -> None:
    bars = checked(bars_until("2021-03-03 10:00"), now=pd.Timestamp("2021-03-03 11:00", tz="UTC"))
    assert bars.frame.index[-1] == pd.Timestamp("2021-03-03 10:00", tz="UTC")
    assert bars.repairs == ()


def test_the_bar_that_is_being_formed_is_left_out_and_said() -> None:
    bars = checked(bars_until("2021-03-03 10:00"))
    assert len(bars.frame) == 47
    assert bars.frame.index[-1] == pd.Timestamp("2021-03-03 09:00", tz="UTC")
    assert bars.repairs == (
        "1 bar not over yet at 2021-03-03 10:20 UTC left out, the last one ends at "
        "2021-03-03 11:00 UTC",
    )
    assert bars.digest == checked(bars_until("2021-03-03 09:00", 47)).digest


def test_a_second_bar_ahead_is_said_with_the_doubt() -> None:
    bars = checked(bars_until("2021-03-03 11:00"))
    assert bars.frame.index[-1] == pd.Timestamp("2021-03-03 09:00", tz="UTC")
    assert bars.repairs == (
        "2 bars not over yet at 2021-03-03 10:20 UTC left out, the last one ends at "
        "2021-03-03 12:00 UTC; 1 of them opens after now: are these times in UTC?",
    )


@pytest.mark.parametrize(
    ("last", "rows", "timeframe", "message"),
    [
        ("2021-03-03 12:00", 48, "1h", "3 bars of 48 end after now .*, the last one 3 h ahead"),
        ("2021-03-03 19:00", 3000, "1h", "10 bars of 3000 end after .*10 h ahead.* a zone ahead"),
        ("2021-03-07 12:00", 3000, "1h", "99 bars of 3000 end after .*99 h ahead.* a wrong unit"),
        ("2031-03-03 12:00", 3000, "1h", "3000 bars of 3000 .*3652 days ahead.* a wrong unit"),
        ("2021-03-03 10:32", 48, "1m", "13 bars of 48 .*, the last one 13 min ahead"),
        ("2021-03-05", 48, "1d", "3 bars of 48 .*2021-03-06 00:00 UTC"),
    ],
)
def test_bars_that_lie_ahead_are_refused_with_the_cause(
    last: str, rows: int, timeframe: str, message: str
) -> None:
    with pytest.raises(BarsError, match=message) as caught:
        checked(bars_until(last, rows, timeframe), timeframe)
    assert "; " in str(caught.value)


def test_one_bar_far_ahead_is_no_bar_that_is_being_formed() -> None:
    frame = pd.concat([bars_until("2021-03-03 09:00"), bars_until("2021-03-03 20:00", 1)])
    with pytest.raises(BarsError, match=r"1 bar of 59 end after now .* 11 h ahead"):
        checked(frame)


def test_what_is_left_out_takes_the_missing_bars_before_it_along() -> None:
    frame = bars_until("2021-03-03 11:00").drop(pd.Timestamp("2021-03-03 10:00", tz="UTC"))
    bars = checked(frame)
    assert bars.frame.index[-1] == pd.Timestamp("2021-03-03 09:00", tz="UTC")
    assert not bars.frame.isna().any(axis=None)


def test_a_series_of_the_forming_bar_alone_is_not_enough() -> None:
    with pytest.raises(NotEnoughBarsError, match="no bar is over yet"):
        checked(bars_until("2021-03-03 10:00", 1))


@given(
    timeframe=st.sampled_from(sorted(TIMEFRAMES)),
    minutes=st.integers(0, 3 * 7 * 1440),
    rows=st.integers(1, 30),
)
def test_no_bar_that_is_not_over_is_ever_in_a_series(
    timeframe: str, minutes: int, rows: int
) -> None:
    now = NOW + pd.Timedelta(minutes=minutes)
    frame = bars_until("2021-03-15", rows, timeframe)
    try:
        bars = checked(frame, timeframe, now)
    except (BarsError, NotEnoughBarsError):
        assert frame.index[-1] + TIMEFRAMES[timeframe] > now
        return
    assert (bars.close_time <= now).all()
    over = pd.DatetimeIndex(frame.index) <= now - TIMEFRAMES[timeframe]
    assert bars.frame.index.tolist() == frame.index[over].tolist()


# --- the ways that bars come --------------------------------------------------------------------


def test_files_and_candles_are_held_to_the_clock_alike(tmp_path: Path) -> None:
    frame = bars_until("2021-03-03 10:00")
    frame.to_csv(tmp_path / "BTC-USDT_1h.csv")
    store = SeriesStore(str(tmp_path / "series"))
    candles = frame.reset_index().assign(
        exchange="okx", symbol="BTC/USDT:USDT", timeframe="1h", quote_volume=1.0
    )
    store.upsert("candles", candles.assign(available=candles["time"] + pd.Timedelta("1h")))
    of_file = read_folder(tmp_path, now=NOW).bars["BTC/USDT"]
    of_store = bars_of(store, "okx", "BTC/USDT", "1h", now=NOW)
    assert of_file.frame.index[-1] == of_store.frame.index[-1] == NOW.floor("h") - of_file.step
    assert of_file.digest == of_store.digest
    earlier = NOW - pd.Timedelta("1D")
    with pytest.raises(BarsError, match=re.escape("25 bars of 48 end after now")):
        bars_of(store, "okx", "BTC/USDT", "1h", now=earlier)
    assert isinstance(read_folder(tmp_path, now=earlier).failures[0].error, BarsError)


def test_without_a_moment_the_clock_is_asked() -> None:
    hour = pd.Timestamp.now("UTC").floor("h").tz_localize(None)
    frame = bars_until(hour + pd.Timedelta("50h"))
    with pytest.raises(BarsError, match="h ahead"):
        check_bars(frame, symbol="BTC/USD", timeframe="1h")
    frame = bars_until(hour - pd.Timedelta("2h"))
    assert len(check_bars(frame, symbol="BTC/USD", timeframe="1h").frame) == 48


def test_the_sample_is_over_and_loses_no_bar() -> None:
    for bars in read_folder(sample_folder()).bars.values():
        assert not any("not over" in repair for repair in bars.repairs)
