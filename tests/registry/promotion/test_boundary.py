"""The boundary: its formula beside a slow one, and its error rate by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import beta, norm

from brain.errors import InputError
from registry.promotion.boundary import (
    Rule,
    backtest_weight,
    confirmations,
    look_at,
    quantiles,
)
from registry.promotion.budget import Start, available, share
from registry.promotion.sums import Sums

RULE = Rule()


def sums(
    x: list[float], known: int | None = None, nights: int | None = None, before: int = 0
) -> Sums:
    """Of one group, from values of X."""
    values = np.array(x)
    active = np.array([float(len(x) if known is None else known)])
    return Sums(
        np.array([100.0]),
        np.array([100.0]),
        np.array([values.sum()]),
        np.array([(values**2).sum()]),
        active,
        np.array([float(before)]),
        len(x) if nights is None else nights,
    )


def test_quantiles_are_those_of_scipy() -> None:
    levels = np.array([0.02, 0.005, 1e-5, 1e-20])
    assert quantiles(levels) == pytest.approx(norm.isf(levels / 2))


def test_a_gaussian_sum_crosses_no_more_often_than_its_level() -> None:
    """The reflection principle, by brute force: looks at every night, 180 of them."""
    rng = np.random.default_rng(5)
    walks = np.cumsum(rng.standard_normal((20_000, RULE.nights)), axis=1)
    for level in (0.05, 0.02):
        boundary = quantiles(np.array([level]))[0] * math.sqrt(RULE.nights)
        count = int((walks.max(axis=1) >= boundary).sum())
        assert beta.ppf(0.01, count, len(walks) - count + 1) < level
        assert count / len(walks) > 0.75 * level  # looks are nights, not moments


@pytest.mark.parametrize("backtest", [False, True])
def test_a_look_is_the_formula(backtest: bool) -> None:
    x = [0.5, -1.0, 2.0, 1.5, 0.7] * 8
    live = sums(x, known=30, nights=40)
    back = sums([0.3] * 100, known=90, nights=120) if backtest else None
    weight = 0.5 if backtest else 0.0
    seen = look_at(RULE, np.array([2.5]), live, back, weight)
    nights, active = (160, 120) if backtest else (40, 30)
    presence = (active + 10) / (nights + 10)
    squares = sum(v * v for v in x)
    variance = max(squares + 140 * presence, 180 * presence)
    score = sum(x)
    if backtest:
        variance += 0.25 * max(100 * 0.09, 90)
        score += 0.5 * 30.0
    assert seen.presence[0] == pytest.approx(presence)
    assert seen.variance[0] == pytest.approx(variance)
    assert seen.score[0] == pytest.approx(score)
    assert seen.boundary[0] == pytest.approx(2.5 * math.sqrt(variance))
    assert seen.live[0] == pytest.approx(sum(x) / math.sqrt(squares))
    assert seen.crossed[0] == (score >= 2.5 * math.sqrt(variance))


def test_large_values_widen_the_boundary() -> None:
    calm, wild = (look_at(RULE, np.array([2.0]), sums([v] * 100)) for v in (1.0, 3.0))
    assert calm.variance[0] == 180.0
    assert wild.variance[0] == 900 + 80


def test_a_backtest_alone_promotes_nothing() -> None:
    back = sums([2.0] * 420)
    z = np.array([2.5])
    assert not look_at(RULE, z, sums([0.2, -0.2] * 20), back, 0.5).crossed[0]
    assert not look_at(RULE, z, sums([2.0] * 29), back, 0.5).crossed[0]
    assert look_at(RULE, z, sums([2.0] * 30), back, 0.5).crossed[0]


def test_the_confirmation_of_a_group_is_as_rare_as_its_level_is_small() -> None:
    shares = np.array([0.5, 0.075, 0.01])
    needed = confirmations(RULE, shares)
    assert needed[0] == pytest.approx(1.0)
    assert norm.sf(needed) / norm.sf(1.0) == pytest.approx(shares / 0.5)
    back, z = sums([2.0] * 420), np.array([2.5])
    live = sums([1.5, 1.0] * 20)
    ratio = look_at(RULE, z, live, back, 0.5).live[0]
    for confirmation in (ratio - 0.1, ratio + 0.1):
        crossed = look_at(RULE, z, live, back, 0.5, confirmation).crossed[0]
        assert crossed == (ratio >= confirmation)


def test_a_backtest_without_weight_does_not_count() -> None:
    live = sums([1.0] * 20)
    alone, beside = (look_at(RULE, np.array([2.5]), live, b, 0.0) for b in (None, sums([3.0] * 99)))
    assert alone.score == beside.score
    assert alone.crossed[0] == beside.crossed[0]


def test_nothing_is_crossed_after_the_trials_nights() -> None:
    assert look_at(RULE, np.array([2.5]), sums([1.0] * 180)).crossed[0]
    assert not look_at(RULE, np.array([2.5]), sums([1.0] * 181)).crossed[0]


def test_nothing_is_crossed_without_evidence() -> None:
    assert not look_at(RULE, np.array([2.5]), Sums.empty(1)).crossed[0]


def test_many_recipes_take_the_weight_from_a_backtest() -> None:
    assert backtest_weight(RULE, 420, 0.01, 1) == 0.5
    assert backtest_weight(RULE, 420, 0.01, 40) == 0.5
    assert backtest_weight(RULE, 420, 0.01, 1e9) == 0.0
    assert backtest_weight(RULE, 0, 0.01, 1) == 0.0
    assert backtest_weight(RULE, 20, 0.01, 4) == 0.0


def test_levels_of_any_window_sum_to_no_more_than_five_percent() -> None:
    rng = np.random.default_rng(4)
    starts: list[Start] = []
    day = 0
    for _ in range(200):
        day += int(rng.integers(0, 40))
        lines = int(rng.integers(1, 4))
        starts += [Start(day, share(RULE, starts, day, lines))] * lines
    days = np.array([s.day for s in starts])
    levels = np.array([s.level for s in starts])
    assert (levels > 0).all()
    for first in range(day):
        window = levels[(days >= first) & (days < first + RULE.nights)]
        assert window.sum() <= RULE.level * (1 + 1e-12)


def test_the_first_two_lines_get_four_fifths_and_the_next_four_fifths_of_the_rest() -> None:
    first = share(RULE, [], 0, 2)
    assert first == pytest.approx(0.02)
    starts = [Start(0, first)] * 2
    assert share(RULE, starts, 7, 1) == pytest.approx(0.008)
    assert available(RULE, starts, 179) == pytest.approx(0.01)
    assert available(RULE, starts, 180) == pytest.approx(0.05)


def test_starts_out_of_order_and_none_are_refused() -> None:
    with pytest.raises(InputError, match="before a trial's start"):
        available(RULE, [Start(9, 0.01)], 8)
    with pytest.raises(InputError, match="name at least one"):
        share(RULE, [], 0, 0)


def test_a_group_that_begins_later_has_the_nights_that_are_left() -> None:
    late = look_at(RULE, np.array([2.5]), sums([1.0] * 20, nights=120, before=100))
    presence = (20 + 10) / (20 + 10)
    assert late.presence[0] == presence
    assert late.variance[0] == max(20 + 60 * presence, 80 * presence)
    absent = look_at(RULE, np.array([2.5]), sums([1.0] * 20, nights=120))
    assert absent.presence[0] == pytest.approx(30 / 130)
    assert absent.variance[0] == pytest.approx(max(20 + 60 * 30 / 130, 180 * 30 / 130))
