"""The position rule: what it opens, keeps and closes, and that it can be continued."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError
from brain.naming import Fill, Regime
from engine.kernels.position import PositionRule, expected_gain, positions

nan = math.nan
RULE = PositionRule(
    horizon=4,
    slope=0.5,
    slopes={Regime.HIGH: 1.0, Regime.LOW: 0.0},
    cost=3.0,
    threshold=6.0,
    fill=Fill.WORKED,
)


def test_a_gain_is_slope_times_prediction_in_the_units_of_the_target() -> None:
    gain = expected_gain(np.array([0.2, -0.2, nan]), np.array([0.01, 0.02, 0.01]), 0.5, 4)
    np.testing.assert_allclose(gain, [20.0, -40.0, nan])


def test_a_position_is_opened_above_the_threshold_and_kept_while_the_sign_stays() -> None:
    gain = np.array([9.0, 11.0, 1.0, 0.5, -3.0, 2.0, -11.0, 12.0, nan, 5.0, 0.0])
    expected = [0, 1, 1, 1, 0, 0, -1, 1, nan, 0, 0]
    np.testing.assert_array_equal(positions(gain, 10.0, 1), expected)


def test_each_slot_goes_on_from_its_own_decision() -> None:
    gain = np.array([11.0, -11.0, 1.0, -1.0, -1.0, -1.0])
    np.testing.assert_array_equal(positions(gain, 10.0, 2), [1, -1, 1, -1, 0, -1])
    np.testing.assert_array_equal(
        positions(np.array([1.0, 1.0, 1.0]), 10.0, 3, before=np.array([1.0, -1.0, nan])), [1, 0, 0]
    )


def slow(gain: list[float], threshold: float, horizon: int) -> list[float]:
    """One decision after the other."""
    decisions: list[float] = []
    for row, value in enumerate(gain):
        former = decisions[row - horizon] if row >= horizon else 0.0
        if math.isnan(value):
            decisions.append(nan)
        elif abs(value) > threshold or (value and np.sign(value) == former):
            decisions.append(float(np.sign(value)))
        else:
            decisions.append(0.0)
    return decisions


@given(
    st.lists(st.sampled_from([nan, 0.0]) | st.floats(-20, 20), min_size=1, max_size=60),
    st.integers(1, 7),
    st.floats(0, 15),
    st.integers(0, 60),
)
def test_it_equals_a_loop_and_can_be_continued_anywhere(
    gain: list[float], horizon: int, threshold: float, cut: int
) -> None:
    whole = positions(np.array(gain), threshold, horizon)
    np.testing.assert_array_equal(whole, slow(gain, threshold, horizon))
    if horizon <= cut < len(gain):
        rest = positions(
            np.array(gain[cut:]), threshold, horizon, before=whole[cut - horizon : cut]
        )
        np.testing.assert_array_equal(rest, whole[cut:])


def test_a_regime_may_have_a_slope_of_its_own() -> None:
    codes = np.array([0, 1, 2, 3, -1], dtype=np.int8)
    np.testing.assert_array_equal(RULE.slopes_of(codes), [0.0, 0.5, 1.0, 0.5, 0.5])
    decided = RULE.decide(np.full(5, 0.1), np.full(5, 0.005), codes)  # 10 bp times the slope
    np.testing.assert_array_equal(decided, [0, 0, 1, 0, 0])


def test_an_unknown_slope_decides_nothing() -> None:
    rule = PositionRule(4, nan, {}, cost=3.0, threshold=6.0, fill=Fill.OPEN)
    assert np.isnan(rule.decide(np.ones(3), np.ones(3), np.zeros(3, dtype=np.int8))).all()
    assert math.isnan(PositionRule.from_json(rule.to_json()).slope)


def test_a_rule_reads_back() -> None:
    assert PositionRule.from_json(RULE.to_json()) == RULE


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"horizon": "x"}'])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no position rule"):
        PositionRule.from_json(text)


def test_each_slot_needs_its_decision_before() -> None:
    with pytest.raises(InputError, match="give one for each"):
        positions(np.ones(3), 1.0, 3, before=np.ones(2))


def test_each_row_may_have_a_threshold_of_its_own() -> None:
    gain, threshold = np.array([5.0, 5.0, -5.0, np.nan]), np.array([4.0, 6.0, 4.0, 0.0])
    decided = positions(gain, threshold, 2)
    np.testing.assert_array_equal(decided, [1.0, 0.0, -1.0, np.nan])
    np.testing.assert_array_equal(positions(gain, 4.0, 2), positions(gain, np.full(4, 4.0), 2))


def test_an_infinite_gain_is_no_decision_and_leaves_its_slot_empty() -> None:
    gain = np.array([np.inf, 1.0])
    whole = positions(gain, 2.0, 1)
    np.testing.assert_array_equal(whole, [np.nan, 0.0])
    np.testing.assert_array_equal(positions(gain[1:], 2.0, 1, before=whole[:1]), whole[1:])
