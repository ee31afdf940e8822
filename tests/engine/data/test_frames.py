from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain.naming import Fill
from brain.series.bars import Bars
from engine.data import frames
from engine.data.dataset import make_dataset
from engine.data.frames import feature_frame, regime_series, target_frame
from engine.kernels.features import FEATURES, bar_features
from engine.kernels.fills import fill_prices
from engine.kernels.regime_state import RegimeDefinition
from engine.kernels.regimes import catch_up, volatility
from engine.kernels.targets import forward_return, scaled_target
from tests.engine.paths import Path, random_path

DEFINITION = RegimeDefinition(window=12, min_bars=50)


@pytest.fixture(scope="module")
def path() -> Path:
    rng = np.random.default_rng(1)
    return random_path(0, 500).without(rng.integers(1, 499, 20))


@pytest.fixture(scope="module")
def bars(path: Path) -> Bars:
    return path.bars()


def test_features_stand_on_the_grid_of_the_bars(path: Path, bars: Bars) -> None:
    frame = feature_frame(bars)
    assert list(frame.columns) == list(FEATURES)
    pd.testing.assert_index_equal(frame.index, bars.frame.index)
    assert np.array_equal(frame.to_numpy(), bar_features(*path.columns()), equal_nan=True)


def test_the_calendar_is_that_of_the_close(bars: Bars) -> None:
    last_of_the_day = feature_frame(bars)[pd.DatetimeIndex(bars.frame.index).hour == 23]
    assert last_of_the_day["hour_cos"].dropna().eq(1.0).all()


@pytest.mark.parametrize("fill", [Fill.OPEN, Fill.WORKED, Fill.CLOSE])
def test_targets_stand_on_the_grid_of_the_bars(path: Path, bars: Bars, fill: Fill) -> None:
    frame = target_frame(bars, 4, DEFINITION, fill=fill)
    pd.testing.assert_index_equal(frame.index, bars.frame.index)
    sigma = volatility(*path.prices(), 12)
    price = fill_prices(*path.prices(), fill)
    for name, values in {
        "fill": price,
        "forward_return": forward_return(price, 4),
        "target": scaled_target(price, sigma, 4),
    }.items():
        assert np.array_equal(frame[name], values, equal_nan=True), name


def test_regimes_stand_on_the_grid_and_their_state_goes_on(path: Path, bars: Bars) -> None:
    codes, state = regime_series(bars, DEFINITION)
    pd.testing.assert_index_equal(codes.index, bars.frame.index)
    assert codes.dtype == np.int8
    assert set(codes) == {-1, 0, 1, 2, 3}
    _, early = regime_series(path[:400].bars(), DEFINITION)
    later, end = catch_up(*path.prices(), path.close_time_ns, DEFINITION, early)
    assert later.tolist() == codes.iloc[-len(later) :].tolist()
    assert end == state


def test_the_unit_of_the_index_does_not_matter(bars: Bars) -> None:
    coarse = bars.frame.set_axis(pd.DatetimeIndex(bars.frame.index).as_unit("s"))
    other = Bars(bars.symbol, bars.timeframe, coarse)
    assert np.array_equal(feature_frame(other), feature_frame(bars), equal_nan=True)
    assert regime_series(other, DEFINITION)[1] == regime_series(bars, DEFINITION)[1]


def test_targets_and_regimes_of_a_dataset_share_one_volatility(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bars = random_path(2, 900).bars()
    targets, (codes, state) = target_frame(bars, 4), regime_series(bars)
    windows = []

    def count(open_: Any, high: Any, low: Any, close: Any, window: int) -> Any:
        windows.append(window)
        return volatility(open_, high, low, close, window)

    monkeypatch.setattr(frames, "volatility", count)
    dataset = make_dataset(bars, horizon=4)
    assert windows == [RegimeDefinition().window]
    assert np.array_equal(dataset.target, targets["target"], equal_nan=True)
    assert np.array_equal(dataset.forward_return, targets["forward_return"], equal_nan=True)
    assert np.array_equal(dataset.regimes, codes)
    assert dataset.state == state


def test_the_standard_definition_is_taken_if_none_is_given(bars: Bars) -> None:
    assert regime_series(bars)[1] == regime_series(bars, RegimeDefinition())[1]
    pd.testing.assert_frame_equal(target_frame(bars, 2), target_frame(bars, 2, RegimeDefinition()))
