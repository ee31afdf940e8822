"""The check of refits, by definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from engine.evaluation.refits import MIN_BARS, concordance, refit_check


@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 10.0), level=st.floats(-1.0, 1.0))
def test_concordance_is_lins_formula(seed: int, scale: float, level: float) -> None:
    one, noise = np.random.default_rng(seed).standard_normal((2, 40))
    other = level + scale * (one + noise)
    (a, cov), (_, b) = np.cov(one, other, bias=True)
    slow = 2.0 * cov / (a + b + (one.mean() - other.mean()) ** 2)
    assert concordance(one, other) == pytest.approx(slow, abs=1e-12)
    assert concordance(other, one) == pytest.approx(slow, abs=1e-12)


def test_a_refit_passes_and_another_scale_level_or_order_does_not() -> None:
    rng = np.random.default_rng(3)
    before = rng.standard_normal(48)
    near = before + 0.3 * rng.standard_normal(48)
    check = refit_check(near, before)
    assert check is not None
    assert check.passes
    assert check.bars == 48
    assert str(check).startswith("passes: concordance 0.9")
    for other in (0.1 * near, near + 3.0, rng.permutation(near), -near, np.zeros(48)):
        outcome = refit_check(other, before)
        assert outcome is not None
        assert not outcome.passes
        assert outcome.value < outcome.bound


@pytest.mark.parametrize(("bars", "passes"), [(35, True), (36, False)])
def test_more_bars_have_to_agree_more(bars: int, passes: bool) -> None:
    before = np.tile([-1.0, 1.0], 50)[:bars]
    check = refit_check(0.2 * before, before)
    assert check is not None
    assert 0.25 < check.value < 0.5
    assert check.passes is passes


def test_too_few_bars_tell_nothing_and_unknown_ones_dont_count() -> None:
    before = np.arange(MIN_BARS, dtype=np.float64)
    assert refit_check(before, before) is not None
    before[3] = np.nan
    assert refit_check(np.arange(MIN_BARS, dtype=np.float64), before) is None
    assert refit_check(np.ones(30), np.ones(30)).passes  # type: ignore[union-attr]
