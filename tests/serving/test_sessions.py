"""Markets that close: a gap and a bar that is none are told by the version's own calendar."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.errors import InputError
from brain.naming import Family
from brain.series.bars import Bars, check_bars
from engine.data.dataset import make_dataset
from engine.data.frames import feature_frame
from serving import Hamilton, Limits
from serving.bars import Bar
from tests.serving.desk import HORIZON, Models, bars_of, fit, give, head

SYMBOL = "SPY"
TRAINED = 1300


def session_bars(timeframe: str = "1h", calendar: str = "XNYS") -> Bars:
    """Made-up bars of an exchange's sessions, with holidays and half days."""
    import exchange_calendars

    xnys = exchange_calendars.get_calendar("XNYS", start="2018-01-02", end="2019-12-31")
    times = []
    for session in xnys.sessions:
        opens, closes = xnys.session_open(session), xnys.session_close(session)
        step = pd.Timedelta("1h") if timeframe == "1h" else pd.Timedelta("1D")
        times += list(pd.date_range(opens, closes - pd.Timedelta("1ns"), freq=step))
    rng = np.random.default_rng(3)
    close = 250.0 * np.exp(np.cumsum(rng.normal(0.0, 0.004, len(times))))
    open_ = np.concatenate([[250.0], close[:-1]]) * np.exp(rng.normal(0.0, 0.001, len(times)))
    frame = pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * 1.002,
            "low": np.minimum(open_, close) * 0.998,
            "close": close,
            "volume": rng.uniform(1e3, 1e4, len(times)),
        },
        index=pd.DatetimeIndex(times, name="time"),
    )
    return check_bars(frame, symbol=SYMBOL, timeframe=timeframe, calendar=calendar)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return session_bars()


@pytest.fixture(scope="module")
def models(bars: Bars, tmp_path_factory: pytest.TempPathFactory) -> Models:
    dataset = make_dataset(head(bars, TRAINED), horizon=HORIZON)
    models = Models(tmp_path_factory.mktemp("models"))
    models.add(fit(Family.LIGHTGBM, dataset), dataset)
    return models


def test_nights_and_weekends_are_no_gaps(bars: Bars, models: Models) -> None:
    hamilton = Hamilton(models, [SYMBOL], limits=Limits.off())
    new = bars_of(bars, TRAINED)
    decisions = give(hamilton, SYMBOL, new)
    rows = feature_frame(bars).to_numpy()
    champion = hamilton.champion(SYMBOL, "low")
    assert len(decisions) == len(new) > 1500
    for place, decision in enumerate(decisions, start=TRAINED):
        if decision.regime is not None:
            assert decision.prediction == champion.predict(rows[place])


def test_a_bar_that_is_missing_in_a_session_is_one_of_the_grid(
    bars: Bars, models: Models, tmp_path: Path
) -> None:
    both = [
        Hamilton(models, [SYMBOL], limits=Limits.off(), journal=tmp_path / str(n)) for n in (0, 1)
    ]
    new = bars_of(bars, TRAINED, TRAINED + 60)
    gaps = [20, 21, 22, 23, 24, 25, 26, 27, 41]
    told = give(both[0], SYMBOL, [bar for n, bar in enumerate(new) if n not in gaps])
    for number, bar in enumerate(new):
        missing = Bar(bar.close_time, *[np.nan] * 5) if number in gaps else bar
        last = both[1].bar(SYMBOL, *missing[1:], missing.close_time)
    assert told[-1] == last
    assert both[0].profit(SYMBOL) == both[1].profit(SYMBOL)


def test_a_close_outside_the_sessions_is_refused_with_the_next_one(
    bars: Bars, models: Models
) -> None:
    hamilton = Hamilton(models, [SYMBOL], limits=Limits.off())
    bar = bars_of(bars, TRAINED)[0]
    night = pd.Timestamp(bar.close_time, tz="UTC").normalize() + pd.Timedelta("3h")
    while night.value <= bar.close_time:
        night += pd.Timedelta("1D")
    following = bars.close_time[bars.close_time > night][0]
    with pytest.raises(InputError, match=f"no bar closes at .*{following:%Y-%m-%d %H:%M}"):
        hamilton.bar(SYMBOL, *bar[1:], night.value)
    with pytest.raises(InputError, match="sessions of XNYS are those"):
        hamilton.bar(SYMBOL, *bar[1:], bar.close_time + 3 * 365 * 86_400 * 10**9)
    assert hamilton.bar(SYMBOL, *bar[1:], bar.close_time).time == bar.close_time


def test_bars_that_are_their_own_calendar_have_no_gaps(tmp_path: Path) -> None:
    bars = session_bars(calendar="bars")
    dataset = make_dataset(head(bars, TRAINED), horizon=HORIZON)
    models = Models(tmp_path)
    models.add(fit(Family.LIGHTGBM, dataset), dataset)
    hamilton = Hamilton(models, [SYMBOL], limits=Limits.off())
    new = bars_of(bars, TRAINED, TRAINED + 50)
    rows = feature_frame(head(bars, TRAINED + 50)).to_numpy()
    champion = hamilton.champion(SYMBOL, "low")
    for place, decision in enumerate(give(hamilton, SYMBOL, new), start=TRAINED):
        if decision.regime is not None:
            assert decision.prediction == champion.predict(rows[place])
