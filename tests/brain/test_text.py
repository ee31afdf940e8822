"""Numbers as text for people and as values for JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from brain.text import count, finite, plus_minus


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bars"),
        (1, "1 bar"),
        (2, "2 bars"),
        (np.int64(1), "1 bar"),
        (None, "an unknown number of bars"),
    ],
)
def test_a_count_has_its_noun_in_the_right_number(number: int | None, text: str) -> None:
    assert count(number, "bar") == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_a_float_that_is_not_finite_is_none(value: float) -> None:
    assert finite(value) is None


@pytest.mark.parametrize("value", [0.0, -1.5, 3, None, "nan", [math.nan], True])
def test_every_other_value_is_itself(value: Any) -> None:
    assert finite(value) is value


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.234, 0.456, "1.23 ± 0.46"),
        (-1, 0, "-1.00 ± 0.00"),
        (0.5, None, "0.50 ± ?"),
        (0.5, math.nan, "0.50 ± ?"),
        (0.5, math.inf, "0.50 ± ?"),
        (None, 0.1, "unknown"),
        (math.nan, 0.1, "unknown"),
        (-math.inf, None, "unknown"),
    ],
)
def test_a_metric_has_its_standard_error(
    value: float | None, error: float | None, text: str
) -> None:
    assert plus_minus(value, error) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.3, "+0.30 ± 0.10"), (-0.3, "-0.30 ± 0.10"), (math.nan, "unknown")]
)
def test_a_metric_may_have_its_sign(value: float, text: str) -> None:
    assert plus_minus(value, 0.1, "+") == text
