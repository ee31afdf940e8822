"""The effective number of trials, where the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from engine.evaluation.trial_count import effective_trials


def correlated(trials: int, correlation: float, rows: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((rows, 1))
    own = rng.standard_normal((rows, trials))
    return math.sqrt(correlation) * common + math.sqrt(1.0 - correlation) * own


def test_independent_trials_count_each_and_copies_once() -> None:
    trials = correlated(8, 0.0, 200_000)
    assert effective_trials(trials) == pytest.approx(8.0, abs=0.01)
    copies = np.repeat(trials[:, :1], 5, axis=1) * np.array([1.0, 2.0, -1.0, 1.0, 3.0])
    assert effective_trials(copies) == pytest.approx(1.0, abs=1e-6)
    assert effective_trials(trials[:, :1]) == 1.0


def test_equal_correlations_have_a_closed_form() -> None:
    first, others = 1.0 + 7 * 0.8, 0.2
    expected = (math.sqrt(first) + 7 * math.sqrt(others)) ** 2 / 8
    assert effective_trials(correlated(8, 0.8, 400_000)) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("correlation", [0.3, 0.8, 0.95])
def test_the_best_of_them_is_no_luckier_than_they_say(correlation: float) -> None:
    values = correlated(8, correlation, 400_000)
    for level in (0.01, 0.002):
        lucky = (values.max(axis=1) >= norm.ppf(1.0 - level)).mean()
        assert lucky <= 1.15 * level * effective_trials(values[:50_000])


def test_trials_without_predictions_count_for_none() -> None:
    trials = correlated(4, 0.0, 100_000)
    odd = np.column_stack([trials, np.full(len(trials), np.nan), np.ones(len(trials))])
    odd[:1000, 0] = np.nan
    assert effective_trials(odd) == pytest.approx(4.0, abs=0.01)
    assert effective_trials(np.full((5, 3), np.nan)) == 1.0
    assert effective_trials(trials[:2]) == 4.0
