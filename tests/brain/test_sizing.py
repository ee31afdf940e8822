"""What lowers a size, at its corners and by its properties."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from brain.sizing import (
    Factor,
    age_factor,
    aged,
    drift_factor,
    lowered,
    lowered_by,
    missing_factor,
)

SHARES = st.none() | st.floats(0, 1)


@pytest.mark.parametrize(
    ("share", "value"), [(None, 1.0), (0.0, 1.0), (0.2, 1.0), (0.6, 0.5), (1.0, 0.0)]
)
def test_drift_lowers_beyond_what_is_usual(share: float | None, value: float) -> None:
    assert drift_factor(share).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("predictions", "features", "value", "reason"),
    [
        (None, None, 1.0, "missing: predictions unknown, features unknown"),
        (0.0, 0.0, 1.0, "missing: 0% of predictions, 0% of features"),
        (0.1, None, 0.9, "missing: 10% of predictions, features unknown"),
        (0.1, 0.5, 0.45, "missing: 10% of predictions, 50% of features"),
        (0.0, 1.0, 0.0, "missing: 0% of predictions, 100% of features"),
    ],
)
def test_what_is_missing_lowers_by_its_share(
    predictions: float | None, features: float | None, value: float, reason: str
) -> None:
    factor = missing_factor(predictions, features)
    assert factor.value == pytest.approx(value)
    assert factor.reason == reason


@pytest.mark.parametrize(
    ("days", "value"),
    [(-3.0, 1.0), (0.0, 1.0), (14.0, 1.0), (44.0, 0.5), (74.0, 0.25), (365.0, 0.0), (9e3, 0.0)],
)
def test_age_halves_after_a_fortnight_and_ends(days: float, value: float) -> None:
    assert age_factor(days).value == pytest.approx(value)


@given(SHARES, SHARES, SHARES, st.floats(0, 1000))
def test_factors_only_lower(
    drift: float | None, predictions: float | None, features: float | None, days: float
) -> None:
    factors = (drift_factor(drift), missing_factor(predictions, features), age_factor(days))
    assert all(0.0 <= factor.value <= 1.0 for factor in factors)
    assert 0.0 <= lowered(0.7, factors) <= 0.7


@given(st.floats(0, 364), st.floats(0, 1000))
def test_a_size_ages_from_whatever_age_it_was_judged_at(then: float, now: float) -> None:
    judged = lowered(0.7, [age_factor(then)])
    assert aged(judged, age_factor(then).value, now) == pytest.approx(
        lowered(0.7, [age_factor(now)])
    )


def test_of_a_size_that_had_ended_nothing_comes_back() -> None:
    assert aged(0.0, age_factor(400).value, 3.0) == 0.0


def test_the_factors_that_lower_are_told() -> None:
    factors = [Factor("a", 1.0, "whole"), Factor("b", 0.5, "half of it")]
    assert lowered_by(factors) == "lowered: half of it (× 0.50)"
    assert lowered_by(factors[:1]) == ""
