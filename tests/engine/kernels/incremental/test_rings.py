from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from engine.kernels.incremental.rings import Largest, Means
from engine.kernels.windows import rolling_max, rolling_mean
from tests.engine.kernels.incremental.drive import bits

WINDOWS = (1, 2, 3, 4, 7, 12, 24, 84, 168, 255, 256)


def values(seed: int, missing: float) -> np.ndarray:
    draw = np.random.default_rng(seed)
    x = draw.standard_t(2, 700) * 10.0 ** draw.integers(-9, 9, 700)
    x[draw.random(700) < 0.1] = 0.0
    x[draw.random(700) < 0.05] = -0.0
    x[draw.random(700) < missing] = np.nan
    return x


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.05, 0.5, 1.0]))
def test_means_and_maxima_have_the_bits_of_the_batch(seed: int, missing: float) -> None:
    x = values(seed, missing)
    means = Means(*WINDOWS)
    pushed = np.array([means.push(value) for value in x.tolist()])
    for window, column in zip(WINDOWS, pushed.T, strict=True):
        assert bits(column) == bits(rolling_mean(x, window))
        largest = Largest(window)
        top = np.array([largest.push(value) for value in x.tolist()])
        enough = ~np.isnan(column)
        assert np.array_equal(top[enough], rolling_max(x, window)[enough])


def test_the_sum_of_a_window_is_made_of_that_window_alone() -> None:
    means = Means(3)
    for value in (1e300, 1.0, 2.0):
        means.push(value)
    assert means.push(6.0) == [3.0]


@pytest.mark.parametrize("window", [2, 5])
def test_half_of_a_window_must_be_there(window: int) -> None:
    means = Means(window)
    known = [not np.isnan(means.push(1.0)[0]) for _ in range(window)]
    assert known == [2 * bars >= window for bars in range(1, window + 1)]
