"""Simple policies, beside loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from registry.promotion.policies import (
    composite_champion,
    composite_score,
    provisional_champion,
)

NAN = math.nan


def test_the_composite_score_of_a_loop() -> None:
    rng = np.random.default_rng(3)
    profits = rng.standard_normal((4, 90)) + 0.1
    profits[1, 10:20] = NAN
    scores = composite_score(profits)
    for row, score in zip(profits, scores, strict=True):
        known = [p for p in row if math.isfinite(p)]
        deviation = np.std(known, ddof=1)
        wealth = peak = fall = 0.0
        for p in known:
            wealth += p
            peak = max(peak, wealth)
            fall = max(fall, peak - wealth)
        sharpe = math.sqrt(365) * np.mean(known) / deviation
        hits = sum(p > 0 for p in known) / len(known)
        expected = 0.5 * sharpe + 0.3 * hits - 0.2 * fall / (deviation * math.sqrt(365))
        assert score == pytest.approx(expected)


@pytest.mark.parametrize("profits", [[NAN, NAN, NAN], [1.0, NAN, NAN], [2.0, 2.0, 2.0]])
def test_a_score_of_nothing_is_unknown(profits: list[float]) -> None:
    assert math.isnan(composite_score(np.array(profits)))


@pytest.mark.parametrize(
    ("scores", "previous", "promised", "champion"),
    [
        ([1.0, 1.1], -1, NAN, 1),
        ([1.0, 0.9], -1, NAN, 0),
        ([NAN, 0.9], -1, NAN, 0),
        ([1.0, NAN], -1, NAN, 0),
        ([0.94, 0.5], 1, 1.0, 1),
        ([0.96, 0.5], 1, 1.0, 0),
        ([-1.06, -2.0], 1, -1.0, 1),
        ([-1.04, -2.0], 1, -1.0, 0),
    ],
)
def test_the_best_score_wins_and_a_degraded_champion_goes_back(
    scores: list[float], previous: int, promised: float, champion: int
) -> None:
    now = composite_champion(
        np.array([scores]), np.array([0]), np.array([previous]), np.array([promised])
    )
    assert now.tolist() == [champion]


def test_the_prior_stays_unless_another_is_better_by_two_errors() -> None:
    rng = np.random.default_rng(2)
    changes = 0
    for _ in range(300):
        profits = rng.standard_normal((3, 40)) + np.array([[0.0], [0.3], [0.2]])
        profits[rng.random(profits.shape) < 0.1] = NAN
        best, champion = 0.0, 0
        for line in (1, 2):
            paired = profits[line] - profits[0]
            paired = paired[np.isfinite(paired)]
            error = paired.std(ddof=1) / math.sqrt(len(paired))
            if paired.mean() > 2 * error and paired.mean() > best:
                best, champion = paired.mean(), line
        assert provisional_champion(profits, 0) == champion
        changes += champion > 0
    assert 30 < changes < 270
    assert provisional_champion(np.full((2, 9), NAN), 0) == 0
