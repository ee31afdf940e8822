"""What an executor goes on from: the kernels' memory, and the bars to come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain.errors import InputError
from brain.naming import Fill
from brain.series.bars import Bars, check_bars
from engine.data.frames import feature_frame
from engine.data.market_series import MarketSeries
from engine.data.memory import kernel_memory
from engine.kernels.executor_data import ExecutorData
from engine.kernels.incremental import (
    IncrementalFeatures,
    IncrementalLiquidations,
    IncrementalMarketFeatures,
    IncrementalRegimes,
    IncrementalSentiment,
)
from engine.kernels.liquidations import LIQUIDATION_FEATURES
from engine.kernels.market_features import MARKET_FEATURES
from engine.kernels.position import PositionRule
from engine.kernels.regime_state import RegimeDefinition, RegimeState
from engine.kernels.regimes import classify, volatility
from engine.kernels.sentiment import SENTIMENT_FEATURES
from tests.engine.forced import liquidations_of
from tests.engine.markets import market_of
from tests.engine.moods import sentiment_of
from tests.engine.paths import random_path
from tests.engine.sessions import frame

DEFINITION = RegimeDefinition(min_bars=50)


def states(bars: Bars) -> tuple[np.ndarray, RegimeState]:
    o, h, lo, c = bars.frame[["open", "high", "low", "close"]].to_numpy().T
    times = bars.close_time.as_unit("ns").asi8
    values = volatility(o, h, lo, c, DEFINITION.window)
    return classify(values, times, DEFINITION, sessions=bars.sessions is not None)


def data_of(bars: Bars, market: MarketSeries | None = None, **changes: Any) -> ExecutorData:
    rows = np.array([[0.5, np.nan]])
    data = ExecutorData(
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        calendar=bars.calendar,
        timeframe_ns=bars.step.value,
        horizon=6,
        family="lightgbm",
        names=("a", "b"),
        feature_set="bars-1",
        look_back=1,
        rule=PositionRule(6, 0.5, {}, 5.0, 10.0, Fill.OPEN),
        memory=kernel_memory(bars, DEFINITION, states(bars)[1], market),
        recent=rows,
        golden_rows=rows,
        golden_predictions=np.array([0.25]),
    )
    return replace(data, **changes)


def later_rows(rows: Any, after_ns: int) -> list[tuple[Any, ...]]:
    """A kernel's rows that arrive after a moment, one at a time."""
    later = rows.available_ns > after_ns
    return list(zip(*(column[later].tolist() for column in vars(rows).values()), strict=True))


def resumed(data: ExecutorData, market: MarketSeries) -> tuple[Any, Any, Any]:
    """The kernels of the market, of sentiment and of liquidations, with all rows to come."""
    until = data.trained_until_ns
    of_market = IncrementalMarketFeatures.from_arrays(data.memory.market)
    for name, rows in market.funding_rows().items():
        for row in later_rows(rows, until):
            of_market.funding(name, *row)
    for name, interest in market.open_interest_rows().items():
        for row in later_rows(interest, until):
            of_market.open_interest(name, *row)
    of_sentiment = IncrementalSentiment.from_arrays(data.memory.sentiment)
    assert market.sentiment is not None
    for publisher, posts in market.sentiment.post_rows().items():
        for row in later_rows(posts, until):
            of_sentiment.post(publisher, *row)
    for row in later_rows(market.sentiment.index_rows(), until):
        of_sentiment.index(*row)
    of_liquidations = IncrementalLiquidations.from_arrays(data.memory.liquidations)
    assert market.liquidations is not None
    for exchange, minutes in market.liquidations.rows().items():
        # What the training had of its last day is given again, and counts once.
        for row in later_rows(minutes, until - 86_400 * 10**9):
            of_liquidations.minute(exchange, *row)
    return of_market, of_sentiment, of_liquidations


def test_the_kernels_go_on_after_the_last_bar_as_the_batch_does() -> None:
    whole = random_path(1, 700, 0.03).bars()
    market = replace(
        market_of(whole, missing=0.1),
        sentiment=sentiment_of(whole),
        liquidations=liquidations_of(whole),
    )
    past = replace(whole, frame=whole.frame[:500])
    data = ExecutorData.from_bytes(data_of(past, market).to_bytes())
    features = IncrementalFeatures.from_arrays(data.memory.features)
    regimes = IncrementalRegimes.from_arrays(data.memory.regimes)
    of_market, of_sentiment, of_liquidations = resumed(data, market)
    expected, codes = feature_frame(whole, market)[500:], states(whole)[0][500:]
    times = whole.close_time.as_unit("ns").asi8[500:].tolist()
    bars = whole.frame[500:].to_numpy().tolist()
    own, end, last = (
        list(expected.columns).index(names[0])
        for names in (MARKET_FEATURES, SENTIMENT_FEATURES, LIQUIDATION_FEATURES)
    )
    assert np.isfinite(expected.to_numpy()[:, end:]).mean() > 0.9
    for row, code, (o, h, lo, c, v), time in zip(
        expected.to_numpy(), codes, bars, times, strict=True
    ):
        np.testing.assert_array_equal(features.push(o, h, lo, c, v, time), row[:own])
        np.testing.assert_array_equal(of_market.push(o, h, lo, c, v, time), row[own:end])
        np.testing.assert_array_equal(of_sentiment.push(o, h, lo, c, time), row[end:last])
        np.testing.assert_array_equal(of_liquidations.push(o, h, lo, c, v, time), row[last:])
        assert regimes.push(o, h, lo, c, time) == code


def new_york(first: str, last: str, freq: str) -> pd.DatetimeIndex:
    """Bars on the clock or from the open, by the exchange's schedule."""
    from exchange_calendars import get_calendar

    schedule = get_calendar("XNYS", start="2018-01-01", end="2023-12-31").schedule[first:last]
    times = []
    for opens, closes in zip(schedule["open"], schedule["close"], strict=True):
        begin = opens if freq == "open" else opens.floor("h")
        times += list(pd.date_range(begin, closes, freq="h", inclusive="left"))
    return pd.DatetimeIndex(times)


@pytest.mark.parametrize(("freq", "first"), [("open", "15:30"), ("clock", "15:00")])
def test_the_hours_of_the_next_two_years_are_the_exchanges(freq: str, first: str) -> None:
    bars = check_bars(
        frame(new_york("2019-01-01", "2019-10-31", freq)),
        symbol="SPY", timeframe="1h", calendar="XNYS",
    )  # fmt: skip
    data = data_of(bars)
    expected = check_bars(
        frame(new_york("2019-11-01", "2021-10-28", freq)),
        symbol="SPY", timeframe="1h", calendar="XNYS",
    )  # fmt: skip
    closes = expected.close_time.as_unit("ns").asi8
    np.testing.assert_array_equal(data.closes(data.trained_until_ns, int(closes[-1])), closes)
    # The day after Thanksgiving ends at one o'clock; in winter New York is five hours behind.
    day = pd.DatetimeIndex(
        data.closes(pd.Timestamp("2019-11-29").value, pd.Timestamp("2019-11-30").value)
    )
    texts = [f"{time:%H:%M}" for time in day]
    assert texts[0] == first
    assert texts[-1] == "18:00"
    # The bars of the memory are the calendar's too.
    recent = data.memory.features["close_time_ns"]
    np.testing.assert_array_equal(data.closes(int(recent[0]), data.trained_until_ns), recent[1:])


@pytest.mark.parametrize(
    ("timeframe", "calendar", "times"),
    [
        ("1d", "XNYS", pd.bdate_range("2018-01-02", "2019-10-31", tz="UTC")),
        ("1w", "XNYS", pd.date_range("2010-01-04", "2019-10-28", freq="7D", tz="UTC")),
        ("1d", "FX", pd.bdate_range("2018-01-02", "2019-10-31", tz="UTC")),
    ],
)
def test_sessions_and_weeks_to_come(timeframe: str, calendar: str, times: pd.DatetimeIndex) -> None:
    holidays = pd.to_datetime(
        ["2018-01-15", "2018-02-19", "2018-03-30", "2018-05-28", "2018-07-04", "2018-09-03",
         "2018-11-22", "2018-12-05", "2018-12-25", "2019-01-01", "2019-01-21", "2019-02-18",
         "2019-04-19", "2019-05-27", "2019-07-04", "2019-09-02"], utc=True,
    )  # fmt: skip
    closed = holidays if timeframe == "1d" else holidays[:0]
    bars = check_bars(
        frame(times.difference(closed)), symbol="SPY", timeframe=timeframe, calendar=calendar
    )
    data = data_of(bars)
    year = pd.DatetimeIndex(
        data.closes(pd.Timestamp("2020-01-01").value, pd.Timestamp("2021-01-01").value), tz="UTC"
    )
    # 2020 has 253 sessions in New York, and two of 262 days of foreign exchange are holidays.
    assert len(year) == {"1d XNYS": 253, "1w XNYS": 53, "1d FX": 260}[f"{timeframe} {calendar}"]
    local = year.tz_convert("America/New_York")
    hours = {"XNYS": {13, 16}, "FX": {17}}[calendar]
    assert set(local.hour) <= hours


def test_a_market_that_never_closes_has_a_bar_at_every_step() -> None:
    data = data_of(random_path(2, 300).bars())
    last, hour = data.trained_until_ns, 3_600_000_000_000
    assert data.closes(last, last + 3 * hour).tolist() == [last + hour * k for k in (1, 2, 3)]
    assert data.closes(last + 1, last + 2 * hour - 1).tolist() == [last + hour]
    assert data.closes(last - 2 * hour, last).tolist() == [last - hour, last]
    assert data.closes(last, last).tolist() == []


def test_bars_as_their_own_calendar_tell_nothing_of_those_to_come() -> None:
    bars = check_bars(
        frame(pd.bdate_range("2015-01-01", periods=600, tz="UTC")),
        symbol="SPY", timeframe="1d", calendar="bars",
    )  # fmt: skip
    data = data_of(bars)
    assert data.closes(data.trained_until_ns, data.trained_until_ns + 10**15).tolist() == []


def test_after_two_years_a_later_version_is_asked_for() -> None:
    bars = check_bars(
        frame(new_york("2019-01-01", "2019-10-31", "open")),
        symbol="SPY", timeframe="1h", calendar="XNYS",
    )  # fmt: skip
    data = data_of(bars)
    with pytest.raises(InputError, match=r"to 2021-10-.* take a version of a later night"):
        data.closes(data.trained_until_ns, pd.Timestamp("2022-01-03").value)
