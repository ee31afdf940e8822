from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError
from engine.kernels.regimes import volatility
from engine.kernels.targets import (
    LIMIT,
    forward_return,
    in_volatility_units,
    next_absolute_return,
    scaled_target,
)
from tests.engine.paths import Path, random_path

nan = math.nan


def scaled(path: Path, horizon: int, **options: Any) -> np.ndarray:
    return scaled_target(path.close, volatility(*path.prices(), 24), horizon, **options)


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(0, 200))
def test_cutting_the_tail_off_hides_the_last_targets_and_changes_no_other(
    seed: int, horizon: int, end: int
) -> None:
    path = random_path(seed, 200, 0.1)
    for targets in (lambda p: scaled(p, horizon), lambda p: forward_return(p.close, horizon)):
        whole, short = targets(path), targets(path[:end])
        valid = max(end - horizon, 0)
        assert np.array_equal(short[:valid], whole[:valid], equal_nan=True)
        assert np.isnan(short[valid:]).all()


@given(st.integers(0, 10_000), st.integers(1, 30))
def test_the_forward_return_agrees_with_a_plain_twin(seed: int, horizon: int) -> None:
    close = random_path(seed, 100, 0.1).close
    twin = [
        math.log(close[t + horizon] / close[t]) if t + horizon < 100 else nan for t in range(100)
    ]
    np.testing.assert_allclose(forward_return(close, horizon), twin, rtol=1e-12)


def test_a_return_is_unknown_where_either_close_is() -> None:
    returns = forward_return(np.array([1.0, nan, math.e, 1.0, 0.0]), 1)
    assert np.array_equal(returns, [nan, nan, -1.0, nan, nan], equal_nan=True)


def test_a_horizon_beyond_the_end_leaves_nothing_known() -> None:
    for n in (0, 1, 3):
        assert np.isnan(forward_return(np.ones(n), 3)).all()


def test_the_target_counts_standard_deviations_of_the_horizon() -> None:
    close = np.array([100.0, 101.0, 102.0, 103.0, 104.0])
    target = scaled_target(close, np.full(5, 0.02), 4)
    assert target[0] == pytest.approx(math.log(1.04) / (0.02 * 2))
    assert np.isnan(target[1:]).all()


def test_the_target_is_about_as_wide_at_every_horizon_and_in_every_unit() -> None:
    path = random_path(0, 5000)
    spread = [np.nanstd(scaled(path, horizon, limit=math.inf)) for horizon in (1, 4, 24)]
    assert max(spread) / min(spread) < 1.5
    np.testing.assert_allclose(scaled(path.scaled(7.0, 1.0), 4), scaled(path, 4), rtol=1e-9)


def test_targets_are_clipped_at_the_limit() -> None:
    path = random_path(0, 5000)
    free, clipped = scaled(path, 1, limit=math.inf), scaled(path, 1)
    assert np.nanmax(np.abs(free)) > 2 * LIMIT
    assert np.nanmax(clipped) == LIMIT
    assert np.nanmin(clipped) == -LIMIT
    inside = np.abs(free) < LIMIT
    assert np.array_equal(clipped[inside], free[inside])
    assert np.nanmax(np.abs(scaled(path, 1, limit=1.0))) == 1.0


@pytest.mark.parametrize("none", [0.0, 1e-12, nan])
def test_without_a_volatility_there_is_no_target(none: float) -> None:
    close = np.array([100.0, 101.0, 102.0])
    target = scaled_target(close, np.array([none, 0.01, 0.01]), 1)
    assert np.isnan(target[0])
    assert target[1] == pytest.approx(math.log(102 / 101) / 0.01)


def test_the_positive_control_is_the_size_of_the_next_move() -> None:
    close = np.array([1.0, math.e, 1.0, nan, 1.0])
    assert np.array_equal(next_absolute_return(close), [1.0, 1.0, nan, nan, nan], equal_nan=True)


def test_predictions_in_volatility_units_can_be_undone() -> None:
    path = random_path(1, 300)
    sigma, size = volatility(*path.prices(), 24), next_absolute_return(path.close)
    scaled_size = in_volatility_units(size, sigma, 1, limit=math.inf)
    valid = np.isfinite(scaled_size)
    assert valid.sum() > 250
    np.testing.assert_allclose((scaled_size * sigma)[valid], size[valid])


@pytest.mark.parametrize("horizon", [0, -1, 1.0, True, None])
def test_a_horizon_is_a_number_of_bars(horizon: Any) -> None:
    with pytest.raises(InputError, match="horizon"):
        forward_return(np.ones(5), horizon)


@pytest.mark.parametrize("limit", [0.0, -1.0, nan])
def test_a_limit_is_positive(limit: float) -> None:
    with pytest.raises(InputError, match="limit"):
        scaled_target(np.ones(5), np.ones(5), 1, limit)


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(InputError, match="don't match"):
        scaled_target(np.ones(5), np.ones(4), 1)
