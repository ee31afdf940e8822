"""Markets that close, from bars to figures: what counts is bars, not the days between them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from brain.records import Estimate, Evidence
from brain.series.bars import Bars, check_bars
from engine.data.dataset import Dataset, make_dataset
from engine.evaluation.metrics import evaluate
from engine.evaluation.trading import trading_of
from engine.kernels.columns import Floats
from engine.kernels.features import FEATURES

COUNT = 900
# When the next bar begins: the only features that know of dates.
_CLOCK = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "weekend")
# Annualised, so that they differ by the root of the bars a year.
_ANNUAL = {
    "net_sharpe", "gross_sharpe", "delayed_sharpe", "sign_gross_sharpe", "sign_net_sharpe",
    "long_sharpe", "reversal_sharpe",
}  # fmt: skip


def frame(times: pd.Index, gaps: Floats | None = None) -> pd.DataFrame:
    draw = np.random.default_rng(5)
    close = 100.0 * np.exp(np.cumsum(draw.standard_t(4, len(times)) * 0.01))
    open_ = close * np.exp(draw.normal(0.0, 0.004, len(times)))
    table = pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * 1.003,
            "low": np.minimum(open_, close) * 0.997,
            "close": close,
            "volume": draw.lognormal(size=len(times)),
        },
        index=times,
    )
    if gaps is not None:
        table.loc[gaps > 0.0] = np.nan
    return table


def bars_on(times: pd.Index, timeframe: str, calendar: str, gaps: Floats | None = None) -> Bars:
    table = frame(times, gaps)
    return check_bars(table, symbol="SPY", timeframe=timeframe, calendar=calendar)


def sessions_of_new_york() -> pd.Index:
    from exchange_calendars import get_calendar

    market = get_calendar("XNYS", start="2015-01-01", end="2019-12-31")
    return pd.DatetimeIndex(market.sessions[:COUNT]).tz_localize("UTC")


def hours_of_new_york() -> pd.Index:
    from exchange_calendars import get_calendar

    schedule = get_calendar("XNYS", start="2019-01-01", end="2019-12-31").schedule
    hours = [
        pd.date_range(opens, closes, freq="h", inclusive="left")
        for opens, closes in zip(schedule["open"], schedule["close"], strict=True)
    ]
    return pd.DatetimeIndex(np.concatenate([h.asi8 for h in hours])[:COUNT]).tz_localize("UTC")


def week_of_foreign_exchange() -> pd.Index:
    hours = pd.date_range("2021-01-03 22:00", periods=2 * COUNT, freq="h", tz="UTC")
    local = hours.tz_convert("America/New_York")
    at = local.dayofweek * 24 + local.hour
    return hours[(at < 4 * 24 + 17) | (at >= 6 * 24 + 17)][:COUNT]


MARKETS = {
    "business days": (pd.bdate_range("2015-01-01", periods=COUNT, tz="UTC"), "1d", "bars"),
    "holidays and half days": (sessions_of_new_york(), "1d", "XNYS"),
    "half days by hours": (hours_of_new_york(), "1h", "XNYS"),
    "foreign exchange": (week_of_foreign_exchange(), "1h", "FX"),
}


def figures(dataset: Dataset) -> dict[str, Evidence]:
    draw = np.random.default_rng(3)
    prediction = np.nan_to_num(dataset.target) * 0.1 + draw.normal(size=len(dataset))
    prediction[:300] = np.nan
    trading = trading_of(dataset, 1e-4)
    return evaluate(prediction, dataset.target, dataset.forward_return, trading)


@pytest.mark.parametrize("name", MARKETS)
@pytest.mark.parametrize("missing", [0.0, 0.03])
def test_sessions_give_what_consecutive_bars_give(name: str, missing: float) -> None:
    times, timeframe, calendar = MARKETS[name]
    gaps = (np.random.default_rng(9).random(COUNT) < missing).astype(float)
    gaps[[0, -1]] = 0.0
    closed = bars_on(times, timeframe, calendar, gaps)
    step = pd.Timedelta(1, "D" if timeframe == "1d" else "h")
    open_ = pd.date_range("2015-01-01", periods=COUNT, freq=step, tz="UTC")
    continuous = bars_on(open_, timeframe, "continuous", gaps)
    assert len(closed.frame) == len(continuous.frame) == COUNT
    for horizon in range(1, 11):
        ours, other = (make_dataset(bars, horizon=horizon) for bars in (closed, continuous))
        for field in ("target", "forward_return", "volatility", "fill_price", "regimes", "close"):
            np.testing.assert_array_equal(getattr(ours, field), getattr(other, field))
        columns = [FEATURES.index(feature) for feature in FEATURES if feature not in _CLOCK]
        np.testing.assert_array_equal(ours.features[:, columns], other.features[:, columns])
        annual = math.sqrt(closed.bars_per_year / continuous.bars_per_year)
        theirs = figures(other)
        for key, evidence in figures(ours).items():
            _check_evidence(evidence, theirs[key], annual)
        assert evidence.bars


def _check_evidence(ours: Evidence, other: Evidence, annual: float) -> None:
    for field in dataclasses.fields(ours):
        value, expected = getattr(ours, field.name), getattr(other, field.name)
        if field.name == "years":
            assert value * annual**2 == pytest.approx(expected)
        elif isinstance(value, Estimate):
            scale = annual if field.name in _ANNUAL else 1.0
            theirs = [scale * expected.value, scale * expected.error]
            np.testing.assert_allclose([value.value, value.error], theirs, rtol=1e-12)
        else:
            assert value == expected, field.name


def test_every_bar_with_a_known_past_and_future_is_judged() -> None:
    for times, timeframe, calendar in MARKETS.values():
        dataset = make_dataset(bars_on(times, timeframe, calendar), horizon=6)
        judged = np.isfinite(dataset.target[COUNT // 2 :]).mean()
        assert judged >= 0.97
        assert (dataset.regimes[300:] >= 0).all()
        assert np.isfinite(dataset.features[300:, FEATURES.index("autocorrelation_72")]).all()
