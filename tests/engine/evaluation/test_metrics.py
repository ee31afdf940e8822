"""Metrics and their errors: against textbook twins, and against what is known of noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from brain.naming import REGIMES
from engine.evaluation.bootstrap import MIN_BLOCKS, block_length
from engine.evaluation.metrics import ALL, evaluate, net_returns, paired_difference

Array = NDArray[np.float64]

COST = 0.001


def series(rows: int, seed: int = 0, link: float = 0.3) -> tuple[Array, Array]:
    """Predictions, and returns that follow them a little."""
    rng = np.random.default_rng(seed)
    prediction = rng.standard_normal(rows)
    return prediction, 0.01 * (link * prediction + rng.standard_normal(rows))


def plain_net(prediction: Array, forward: Array, horizon: int, cost: float) -> list[float]:
    net = []
    for t, (p, r) in enumerate(zip(prediction, forward, strict=True)):
        before = prediction[t - horizon] if t >= horizon else 0.0
        lagged = 0.0 if np.isnan(before) else np.sign(before)
        after = t + horizon
        follows = after < len(prediction) and np.isfinite(prediction[after] * forward[after])
        end = 0.0 if follows else abs(np.sign(p))
        net.append(np.sign(p) * (np.exp(r) - 1) - cost * (abs(np.sign(p) - lagged) + end))
    return net


def test_net_returns_pay_only_for_changes_of_direction() -> None:
    prediction, forward = series(200)
    prediction[20:30] = np.nan
    forward[-3:] = np.nan
    net = net_returns(prediction, forward, horizon=3, cost=COST)
    np.testing.assert_allclose(net, plain_net(prediction, forward, 3, COST), atol=1e-15)
    assert np.isnan(net[[20, -1]]).all()


def test_a_position_that_nothing_follows_pays_for_its_own_end() -> None:
    """Every cost by hand: the positions of a horizon of one, and what each of them trades."""
    up = np.log(1.01)
    nan = np.nan
    cases = {
        #  opened   kept    turned   closed: unknown   opened, turned   closed: no outcome, the end
        "prediction": [1.0, 1.0, -1.0, nan, 2.0, -3.0, 0.0, 1.0, 1.0],
        "forward": [up, up, up, up, up, up, up, up, nan],
        "traded": [1, 0, 2 + 1, nan, 1, 2, 1, 1 + 1, nan],
    }
    prediction, forward, traded = (np.array(values) for values in cases.values())
    net = net_returns(prediction, forward, horizon=1, cost=COST)
    expected = np.sign(prediction) * np.expm1(forward) - COST * traded
    np.testing.assert_allclose(net, expected, atol=1e-16)
    # Of two positions at a time, neither is handed over before the series ends.
    both = net_returns(np.array([1.0, -1.0]), np.array([up, up]), horizon=2, cost=COST)
    np.testing.assert_allclose(both, [0.01 - 2 * COST, -0.01 - 2 * COST], atol=1e-16)


def test_what_is_bought_is_sold_whatever_is_unknown() -> None:
    """The evaluated positions' costs cover a whole round trip for each stretch of one direction."""
    prediction, forward = series(300, seed=5)
    rng = np.random.default_rng(6)
    prediction[rng.random(300) < 0.2] = np.nan
    net = net_returns(prediction, forward, horizon=3, cost=COST)
    paid = (np.sign(prediction) * np.expm1(forward) - net) / COST
    assert np.nansum(paid) > 0
    for first in range(3):
        side = np.nan_to_num(np.sign(prediction[first::3]))
        turnover = np.abs(np.diff(side, prepend=0.0, append=0.0)).sum()
        assert np.nansum(paid[first::3]) == pytest.approx(turnover)


def test_net_returns_of_the_past_ignore_the_future() -> None:
    """All but those of the last positions, which are not handed over before the cut."""
    prediction, forward = series(100)
    whole = net_returns(prediction, forward, horizon=4, cost=COST)
    head = net_returns(prediction[:60], forward[:60], horizon=4, cost=COST)
    np.testing.assert_array_equal(whole[:56], head[:56])
    assert (head[56:] < whole[56:60]).all()


def test_metrics_equal_their_textbook_formulas() -> None:
    prediction, forward = series(1000)
    regimes = np.zeros(1000, dtype=np.int8)
    evidence = evaluate(
        prediction, forward, forward, regimes, horizon=1, cost=COST, bars_per_year=365.0
    )[ALL]
    net = np.array(plain_net(prediction, forward, 1, COST))
    wealth = np.concatenate([[0.0], np.cumsum(net)])
    assert evidence.rank_ic.value == pytest.approx(spearmanr(prediction, forward).statistic)
    assert evidence.hit_rate.value == pytest.approx(np.mean(prediction * forward > 0))
    assert evidence.net_sharpe.value == pytest.approx(net.mean() / net.std() * np.sqrt(365))
    assert evidence.max_drawdown.value == pytest.approx(
        max(wealth[: t + 1].max() - wealth[t] for t in range(len(wealth)))
    )


def test_errors_match_theory_where_bars_are_independent() -> None:
    prediction, forward = series(8000, link=0.0)
    regimes = np.zeros(8000, dtype=np.int8)
    evidence = evaluate(
        prediction, forward, forward, regimes, horizon=1, cost=0.0, bars_per_year=1.0
    )[ALL]
    for name, expected in (("rank_ic", 1.0), ("hit_rate", 0.5), ("net_sharpe", 1.0)):
        assert evidence.estimates()[name].error == pytest.approx(expected / np.sqrt(8000), rel=0.25)


def test_overlapping_targets_widen_the_error() -> None:
    prediction, step = series(6000, link=0.0)
    prediction = np.convolve(prediction, np.ones(12), mode="same")
    forward = np.convolve(step, np.ones(12), mode="full")[11 : 11 + 6000]
    regimes = np.zeros(6000, dtype=np.int8)
    evidence = evaluate(
        prediction, forward, forward, regimes, horizon=12, cost=0.0, bars_per_year=1.0
    )[ALL]
    assert evidence.rank_ic.error > 2 / np.sqrt(6000)


def test_each_regime_counts_its_own_bars_and_episodes() -> None:
    prediction, forward = series(100)
    regimes = np.full(100, -1, dtype=np.int8)
    regimes[10:20], regimes[40:60], regimes[80:82] = 0, 2, 2
    prediction[80:82] = np.nan  # an episode without a prediction is none
    evidence = evaluate(
        prediction, forward, forward, regimes, horizon=1, cost=0.0, bars_per_year=1.0
    )
    assert [(evidence[r].bars, evidence[r].episodes) for r in REGIMES] == [
        (10, 1),
        (0, 0),
        (20, 1),
        (0, 0),
    ]
    assert evidence[ALL].bars == 98


def test_what_few_bars_cannot_tell_is_unknown() -> None:
    prediction, forward = series(MIN_BLOCKS * block_length(1) - 1)
    regimes = np.zeros(len(prediction), dtype=np.int8)
    evidence = evaluate(
        prediction, forward, forward, regimes, horizon=1, cost=0.0, bars_per_year=1.0
    )
    for name in evidence["low"].estimates():
        assert np.isnan(evidence["extreme"].estimates()[name].value)
        assert np.isfinite(evidence["low"].estimates()[name].value)
        assert np.isnan(evidence["low"].estimates()[name].error)


def test_constant_predictions_have_no_rank_correlation() -> None:
    _, forward = series(500)
    regimes = np.zeros(500, dtype=np.int8)
    evidence = evaluate(
        np.ones(500), forward, forward, regimes, horizon=1, cost=0.0, bars_per_year=1.0
    )
    assert np.isnan(evidence[ALL].rank_ic.value)
    assert np.isfinite(evidence[ALL].hit_rate.value)


def test_paired_difference_is_tighter_than_its_parts() -> None:
    prediction, forward = series(3000)
    net = net_returns(prediction, forward, horizon=1, cost=0.0)
    other = net + 0.001 * np.random.default_rng(1).standard_normal(3000)
    rows = np.ones(3000, dtype=bool)
    difference = paired_difference(net, other - 0.0005, rows, horizon=1)
    assert difference.value == pytest.approx(0.0005, abs=1e-4)
    assert difference.error < 0.1 * net.std() / np.sqrt(3000) * 5
    low, high = difference.interval()
    assert low < 0.0005 < high


def test_paired_difference_of_no_common_rows_is_unknown() -> None:
    nothing = np.full(50, np.nan)
    difference = paired_difference(nothing, np.zeros(50), np.ones(50, dtype=bool), horizon=1)
    assert np.isnan([difference.value, difference.error]).all()
