from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError
from brain.series import read_folder, sample_folder
from engine.kernels.features import FEATURES, LOOK_BACK, bar_features
from engine.kernels.incremental.features import IncrementalFeatures
from tests.engine.kernels.incremental.drive import bars_of, bits, rows_of
from tests.engine.paths import HOUR, Path, random_path

SAMPLE = ("BTC/USD", "ETH/USD", "LTC/USD")


def sample(symbol: str) -> Path:
    bars = read_folder(sample_folder(), [symbol]).bars[symbol]
    o, h, lo, c, v = bars.frame.iloc[:, :5].to_numpy(dtype=np.float64).T.copy()
    return Path(o, h, lo, c, v, bars.close_time.as_unit("ns").asi8)


def pushed(path: Path, restarts: frozenset[int] = frozenset()) -> np.ndarray:
    return rows_of(IncrementalFeatures(), path, restarts, IncrementalFeatures.from_arrays)


@pytest.mark.parametrize("symbol", SAMPLE)
def test_no_cell_of_the_sample_differs_from_the_batch(symbol: str) -> None:
    path = sample(symbol)
    rows = bar_features(*path.columns())
    assert np.isfinite(rows).mean() > 0.9
    assert bits(pushed(path)) == bits(rows)


@pytest.mark.parametrize("symbol", SAMPLE)
def test_nor_with_gaps_and_restarts(symbol: str) -> None:
    path = sample(symbol)[-3000:]
    draw = np.random.default_rng(1)
    path = path.without(draw.random(len(path)) < 0.05)
    path.volume[draw.random(len(path)) < 0.02] = np.nan
    restarts = frozenset(draw.integers(0, len(path), 20).tolist())
    assert bits(pushed(path, restarts)) == bits(bar_features(*path.columns()))


@given(
    seed=st.integers(0, 10_000),
    start=st.integers(0, 200),
    missing=st.sampled_from([0.0, 0.02, 0.3, 0.6]),
    restarts=st.frozensets(st.integers(0, 449), max_size=3),
)
def test_from_any_start_across_gaps_sessions_and_restarts(
    seed: int, start: int, missing: float, restarts: frozenset[int]
) -> None:
    path = random_path(seed, 450, missing)[start:]
    draw = np.random.default_rng(seed)
    # Sessions: nights and weekends of any length lie between bars.
    pauses = np.cumsum(HOUR * draw.integers(0, 60, len(path)) * (draw.random(len(path)) < 0.1))
    path = replace(path, close_time_ns=path.close_time_ns + pauses)
    assert bits(pushed(path, restarts)) == bits(bar_features(*path.columns()))


@given(
    st.lists(
        st.tuples(*[st.floats(min_value=-1.0) | st.just(np.nan)] * 4, st.floats()),
        min_size=1,
        max_size=40,
    )
)
def test_absurd_prices_and_volumes_are_unknown_as_in_the_batch(
    bars: list[tuple[float, ...]],
) -> None:
    o, h, lo, c, v = np.array(bars).T.copy()
    path = Path(o, h, lo, c, v, HOUR * np.arange(1, len(bars) + 1))
    assert bits(pushed(path)) == bits(bar_features(*path.columns()))


def test_a_state_is_the_bars_that_a_row_looks_back_on() -> None:
    features = IncrementalFeatures()
    for bar in bars_of(random_path(3, 300)):
        features.push(*bar)
    arrays = features.arrays()
    assert arrays["bars"].shape == (LOOK_BACK - 1, 5)
    assert arrays["close_time_ns"].shape == (LOOK_BACK - 1,)


def test_a_state_of_no_bar_is_a_beginning() -> None:
    path = random_path(4, 50)
    features = IncrementalFeatures.from_arrays(IncrementalFeatures().arrays())
    rows = np.array([features.push(*bar) for bar in bars_of(path)])
    assert bits(rows) == bits(bar_features(*path.columns()))


def test_time_ascends_and_a_refused_bar_changes_nothing() -> None:
    path = random_path(5, 300)
    *before, last = bars_of(path)
    features = IncrementalFeatures()
    for bar in before:
        features.push(*bar)
    with pytest.raises(InputError, match="in the order of time"):
        features.push(*before[-1])
    assert bits(features.push(*last)) == bits(bar_features(*path.columns())[-1])


def test_arrays_of_something_else_are_refused() -> None:
    with pytest.raises(InputError, match="close_time_ns is missing"):
        IncrementalFeatures.from_arrays({})
    four = {"bars": np.ones((3, 4)), "close_time_ns": np.arange(3)}
    with pytest.raises(InputError, match="give 5 columns a bar"):
        IncrementalFeatures.from_arrays(four)
    text = {"bars": np.array([["a"] * 5]), "close_time_ns": np.arange(1)}
    with pytest.raises(InputError, match="state's bars is <U1"):
        IncrementalFeatures.from_arrays(text)


def test_the_executor_needs_no_pandas_for_it() -> None:
    code = (
        "import sys, engine.kernels.executor_data; from engine.kernels.incremental import *;"
        "print([m for m in ('pandas', 'scipy', 'mlflow', 'torch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert len(FEATURES) == len(IncrementalFeatures().push(1.0, 2.0, 1.0, 2.0, 1.0, HOUR))
