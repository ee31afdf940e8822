from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError, NotEnoughBarsError
from engine.kernels.incremental.regimes import IncrementalRegimes
from engine.kernels.regime_state import RegimeDefinition, RegimeState
from engine.kernels.regimes import catch_up, classify, volatility
from tests.engine.kernels.incremental.drive import bars_of, bits
from tests.engine.kernels.incremental.test_features import SAMPLE, sample
from tests.engine.paths import HOUR, Path, random_path

QUICK = RegimeDefinition(min_bars=50)


def without_volume(path: Path) -> list[tuple[Any, ...]]:
    return [(*bar[:4], bar[5]) for bar in bars_of(path)]


def batch(
    path: Path, definition: RegimeDefinition, *, sessions: bool = False
) -> tuple[np.ndarray, np.ndarray, RegimeState]:
    values = volatility(*path.prices(), definition.window)
    codes, state = classify(values, path.close_time_ns, definition, sessions=sessions)
    return values, codes, state


@pytest.mark.parametrize("symbol", SAMPLE)
def test_no_bar_of_the_sample_differs_from_the_batch(symbol: str) -> None:
    path, definition = sample(symbol), RegimeDefinition()
    values, codes, state = batch(path, definition)
    regimes = IncrementalRegimes(definition, RegimeState.start(definition))
    pushed = [(regimes.push(*bar), regimes.volatility) for bar in without_volume(path)]
    assert [code for code, _ in pushed] == codes.tolist()
    assert bits(np.array([value for _, value in pushed])) == bits(values)
    assert regimes.state == state


@given(
    seed=st.integers(0, 10_000),
    missing=st.sampled_from([0.0, 0.05, 0.4]),
    window=st.integers(2, 40),
    restarts=st.frozensets(st.integers(0, 399), max_size=4),
    sessions=st.booleans(),
)
def test_across_gaps_sessions_and_restarts(
    seed: int, missing: float, window: int, restarts: frozenset[int], sessions: bool
) -> None:
    path = random_path(seed, 400, missing)
    if sessions:
        pauses = HOUR * np.random.default_rng(seed).integers(0, 3, len(path))
        path = replace(path, close_time_ns=path.close_time_ns + np.cumsum(pauses))
    definition = replace(QUICK, window=window)
    values, codes, state = batch(path, definition, sessions=sessions)
    regimes = IncrementalRegimes(definition, RegimeState.start(definition, sessions=sessions))
    for place, bar in enumerate(without_volume(path)):
        assert regimes.push(*bar) == codes[place]
        assert bits(np.array(regimes.volatility)) == bits(values[place])
        if place in restarts:
            regimes = IncrementalRegimes.from_arrays(regimes.arrays())
    assert regimes.state == state


@given(st.integers(0, 10_000), st.integers(24, 299), st.sampled_from([0.0, 0.1]))
def test_from_the_state_of_a_training_on(seed: int, end: int, missing: float) -> None:
    path = random_path(seed, 300, missing)
    state = batch(path[:end], QUICK)[2]
    codes, last = catch_up(*path.prices(), path.close_time_ns, QUICK, state)
    regimes = IncrementalRegimes(QUICK, state)
    bars = without_volume(path)[end - QUICK.window :]
    pushed = [regimes.push(*bar) for bar in bars]
    assert pushed[: QUICK.window] == [-1] * (QUICK.window - 1) + [state.code]
    assert pushed[QUICK.window :] == codes.tolist()
    assert regimes.state == last


@pytest.mark.parametrize("places", [(), range(57, 80), range(20, 79)])
def test_too_few_bars_before_the_state_are_told(places: range) -> None:
    path = random_path(1, 100)
    bars = without_volume(path)
    regimes = IncrementalRegimes(QUICK, batch(path[:80], QUICK)[2])
    for place in places:
        regimes.push(*bars[place])
    with pytest.raises(NotEnoughBarsError, match="push the 24 bars up to"):
        regimes.push(*bars[80])


def test_a_bar_off_the_grid_is_refused_and_changes_nothing() -> None:
    bars = without_volume(random_path(2, 300))
    codes = batch(random_path(2, 300), QUICK)[1]
    regimes = IncrementalRegimes(QUICK, RegimeState.start(QUICK))
    for bar in bars[:200]:
        regimes.push(*bar)
    with pytest.raises(InputError, match=r"2h after the last one, expected 1h|2h .*expected 1h"):
        regimes.push(*bars[201])
    with pytest.raises(InputError, match="in the order of time"):
        regimes.push(*bars[199])
    assert [regimes.push(*bar) for bar in bars[200:]] == codes[200:].tolist()


def test_the_state_of_another_definition_is_refused() -> None:
    with pytest.raises(InputError, match="made by definition"):
        IncrementalRegimes(QUICK, RegimeState.start(RegimeDefinition()))
