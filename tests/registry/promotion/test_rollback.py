"""Sums that roll back: beside a loop, and their error rate by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import beta, norm

from registry.promotion.rollback import LEVEL, PROMISE_NIGHTS, RIVAL_NIGHTS, Watch
from registry.promotion.sums import Sums

LIMIT = 3.0


def begin(scale: float = 1.0, promise: float = 0.2, paths: int = 1) -> Watch:
    sums = Sums.empty(paths, 1).add_all(np.full((50, paths, 1), scale), LIMIT)
    return Watch.begin(sums, np.full((paths, 1), promise))


def test_the_sums_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(1)
    means = rng.standard_normal(200)
    means[20:25] = np.nan
    watch, fall, shortfall = begin(), 0.0, 0.0
    squares, known, mean_squares = 50.0, 50, []
    for mean in means:
        watch = watch.add(np.array([[mean]]), LIMIT)
        if np.isfinite(mean):
            x = min(max(mean / math.sqrt(squares / known), -LIMIT), LIMIT)
            fall, shortfall = max(0.0, fall - x), max(0.0, shortfall + 0.1 - x)
            mean_squares.append(x * x)
            squares, known = squares + mean * mean, known + 1
        assert watch.fall[0, 0] == pytest.approx(fall)
        assert watch.shortfall[0, 0] == pytest.approx(shortfall)
    z = norm.isf(LEVEL / 8)
    variance = max(1.0, float(np.mean(mean_squares)))
    assert watch.boundary(RIVAL_NIGHTS)[0, 0] == pytest.approx(z * math.sqrt(180 * variance))
    assert watch.boundary(PROMISE_NIGHTS)[0, 0] == pytest.approx(z * math.sqrt(365 * variance))


def test_equal_lines_part_no_more_often_than_the_level() -> None:
    """Lévy's law, by brute force: the largest fall of 180 Gaussian nights."""
    rng = np.random.default_rng(2)
    walks = np.cumsum(rng.standard_normal((20_000, RIVAL_NIGHTS)), axis=1)
    peak = np.maximum(np.maximum.accumulate(walks, axis=1), 0.0)
    count = int(((peak - walks).max(axis=1) >= norm.isf(LEVEL / 8) * math.sqrt(180)).sum())
    assert beta.ppf(0.01, count, len(walks) - count + 1) < LEVEL / 2
    assert count / len(walks) > 0.3 * LEVEL


def test_a_champion_that_turns_bad_is_worse_and_one_that_lasts_is_not() -> None:
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((180, 200, 1))
    lasting = turned = begin(promise=0.3, paths=200)
    for night in noise:
        lasting, turned = lasting.add(night + 0.3, LIMIT), turned.add(night - 0.3, LIMIT)
    assert turned.worse().mean() > 0.9
    assert not lasting.worse().any()
    assert not lasting.disappointing().any()


def test_only_a_promise_can_be_broken() -> None:
    watch = begin(promise=-0.5)
    for _ in range(400):
        watch = watch.add(np.array([[-2.0]]), LIMIT)
    assert watch.worse().all()
    assert not watch.disappointing().any()
    kept = begin(promise=0.5)
    for _ in range(400):
        kept = kept.add(np.array([[0.0001]]), LIMIT)
    assert kept.disappointing().all()
    assert not kept.worse().any()


def test_unknown_nights_change_nothing() -> None:
    watch = begin().add(np.array([[-1.0]]), LIMIT)
    after = watch.add(np.array([[np.nan]]), LIMIT)
    assert (after.fall, after.shortfall) == (watch.fall, watch.shortfall)
