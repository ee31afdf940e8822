from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError
from engine.kernels.incremental.positions import IncrementalPositions
from engine.kernels.position import positions

GAINS = st.sampled_from([0.0, 1.0, -1.0, 3.0, -3.0, np.nan, np.inf])
BARS = st.lists(st.tuples(GAINS, st.sampled_from([0.0, 2.0, 4.0, np.nan])), max_size=60)


@given(BARS, st.integers(1, 7), st.frozensets(st.integers(0, 59), max_size=3))
def test_the_decisions_are_those_of_the_batch(
    bars: list[tuple[float, float]], horizon: int, restarts: frozenset[int]
) -> None:
    gain, threshold = np.array(bars, dtype=np.float64).reshape(-1, 2).T
    decided = IncrementalPositions(horizon)
    pushed = []
    for place, bar in enumerate(bars):
        pushed.append(decided.push(*bar))
        if place in restarts:
            decided = IncrementalPositions.from_arrays(decided.arrays())
    expected = positions(gain, threshold, horizon)
    np.testing.assert_array_equal(pushed, expected)
    np.testing.assert_array_equal(
        decided.before, np.concatenate([np.zeros(horizon), expected])[-horizon:]
    )


@given(BARS, st.lists(st.sampled_from([0.0, 1.0, -1.0, 0.3, np.nan]), min_size=4, max_size=4))
def test_it_goes_on_from_decisions_before(
    bars: list[tuple[float, float]], before: list[float]
) -> None:
    gain, threshold = np.array(bars, dtype=np.float64).reshape(-1, 2).T
    decided = IncrementalPositions(4)
    decided.before = np.array(before)
    np.testing.assert_array_equal(
        [decided.push(*bar) for bar in bars],
        positions(gain, threshold, 4, before=np.array(before)),
    )


def test_a_slot_is_kept_by_a_gain_below_the_threshold_of_its_own_bar() -> None:
    decided = IncrementalPositions(2)
    gains = [(5.0, 4.0), (5.0, 9.0), (1.0, 9.0), (1.0, 0.5), (-1.0, 9.0)]
    assert [decided.push(*gain) for gain in gains] == [1.0, 0.0, 1.0, 1.0, 0.0]


def test_wrong_slots_are_refused() -> None:
    with pytest.raises(InputError, match="horizon 0"):
        IncrementalPositions(0)
    with pytest.raises(InputError, match="don't fit 3 slots"):
        IncrementalPositions(3).before = np.zeros(2)
