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
from tests.engine.sessions import COUNT, MARKETS, frame

# When the next bar begins: the only features that know of dates.
_CLOCK = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "weekend")
# Annualised, so that they differ by the root of the bars a year.
_ANNUAL = {
    "net_sharpe", "gross_sharpe", "delayed_sharpe", "sign_gross_sharpe", "sign_net_sharpe",
    "long_sharpe", "reversal_sharpe",
}  # fmt: skip


def bars_on(times: pd.Index, timeframe: str, calendar: str, gaps: Floats | None = None) -> Bars:
    table = frame(times, gaps)
    return check_bars(table, symbol="SPY", timeframe=timeframe, calendar=calendar)


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
