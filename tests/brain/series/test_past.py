"""Bars as of a moment: what who read them then would have found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from brain.errors import NotEnoughBarsError
from brain.series.bars import Bars, check_bars
from brain.series.past import PastBars
from engine.data.market_series import past_markets
from tests.engine.markets import market_of
from tests.engine.simulate import simulate


def rows(count: int, frequency: str = "1h", start: str = "2020-01-01") -> pd.DataFrame:
    frame = simulate(count, strength=0.0, seed=1, timeframe="1h").bars.frame.copy()
    frame.index = pd.date_range(start, periods=count, freq=frequency, tz="UTC")
    return frame.assign(mood=np.arange(count, dtype=float))


def read(frame: pd.DataFrame, timeframe: str = "1h", calendar: str = "continuous") -> Bars:
    return check_bars(
        frame, symbol="AAA/USD", timeframe=timeframe, calendar=calendar, columns=["mood"]
    )


def same(one: Bars, other: Bars) -> None:
    pd.testing.assert_frame_equal(one.frame, other.frame)
    pd.testing.assert_index_equal(one.close_time, other.close_time)
    assert (one.digest, one.bars_per_year) == (other.digest, other.bars_per_year)


def weekdays(frame: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    """The bars of some hours, from Monday to Friday."""
    index = pd.DatetimeIndex(frame.index)
    return frame[(index.hour >= first) & (index.hour < last) & (index.dayofweek < 5)]


MARKETS: dict[str, tuple[pd.DataFrame, str, str]] = {
    "continuous": (rows(300), "1h", "continuous"),
    "what there is": (weekdays(rows(900), 0, 7), "1h", "bars"),
    "hours in New York": (weekdays(rows(2500), 14, 24), "1h", "XNYS"),
    "days in New York": (rows(600, "1D"), "1d", "XNYS"),
}


@pytest.mark.parametrize("market", MARKETS)
def test_bars_at_a_moment_are_those_that_were_read_then(market: str) -> None:
    frame, timeframe, calendar = MARKETS[market]
    # Of bars outside the sessions many would be refused.
    whole = _inside(frame, timeframe) if calendar == "XNYS" else frame
    bars = read(whole, timeframe, calendar)
    for place in (len(bars.frame) // 3, len(bars.frame) // 2, -20):
        moment = bars.close_time[place] + pd.Timedelta(minutes=1)
        then = whole.loc[: bars.frame.index[place]] if timeframe == "1h" else None
        if then is None:
            then = whole[pd.DatetimeIndex(whole.index) <= bars.frame.index[place].normalize()]
        same(bars.at(moment), read(then, timeframe, calendar))


def _inside(frame: pd.DataFrame, timeframe: str) -> pd.DataFrame:
    from exchange_calendars import get_calendar

    calendar = get_calendar("XNYS", start="2020-01-01", end="2022-01-01")
    if timeframe == "1d":
        dates = pd.DatetimeIndex(frame.index).tz_localize(None)
        return frame[dates.isin(calendar.sessions)]
    minutes = calendar.schedule
    opened = [bool(((minutes["open"] <= t) & (t < minutes["close"])).any()) for t in frame.index]
    return frame[opened]


def test_a_gap_at_the_moment_is_no_bar_yet() -> None:
    frame = rows(100).drop(rows(100).index[50:60])
    bars = read(frame)
    early = bars.at(bars.close_time[54])
    same(early, read(frame[:50]))
    assert bars.until(bars.close_time[54]).frame["close"].isna().sum() == 5
    with pytest.raises(NotEnoughBarsError):
        bars.at(bars.frame.index[0])


def test_poisoned_later_bars_change_nothing_that_is_read() -> None:
    bars = read(rows(200))
    poisoned = bars.frame.copy()
    poisoned.iloc[120:, :4] *= 1000.0
    poisoned.iloc[120:, 4:] = -1e30
    evil = replace(bars, frame=poisoned)
    moment = bars.close_time[119]
    past = PastBars({"AAA/USD": evil}, ["mood"]).at(moment, ["AAA/USD"])
    same(past["AAA/USD"], bars.at(moment))
    same(past.read("AAA/USD", ()), bars.with_own(()).at(moment))


def test_of_market_series_only_what_was_public_is_read() -> None:
    bars = simulate(300, strength=0.0, seed=2, symbol="SIM/USD").bars
    market = replace(market_of(bars, 3), finer=bars)
    moment = bars.close_time[150]
    past = past_markets(lambda _: market, moment)("SIM/USD")
    assert past is not None
    for kind in ("funding", "open_interest"):
        frame, before = getattr(market, kind), getattr(past, kind)
        assert before["available"].max() <= moment
        assert len(before) == (frame["available"] <= moment).sum() > 0
    assert past.finer is not None
    assert past.finer.close_time[-1] == moment
    assert past_markets(lambda _: market, bars.frame.index[0] - bars.step)("SIM/USD") is None
