"""Metrics and their errors: against textbook twins, and against what is known of noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr, t as student

from brain.naming import REGIMES
from brain.records import Evidence
from engine.evaluation.bootstrap import MIN_BLOCKS, BlockBootstrap, block_length
from engine.evaluation.metrics import evaluate, net_returns, paired_difference, sharpe_ratio
from engine.evaluation.trading import ALL, KEYS, Trading, always_in, reversal
from engine.kernels.targets import forward_return

Array = NDArray[np.float64]

COST = 0.001


def market(rows: int, seed: int = 0, link: float = 0.3, horizon: int = 1) -> tuple[Array, Trading]:
    """Predictions, and a market in which the return after the fill follows them a little.

    Fills are at the next bar's open, which is the close before.
    """
    rng = np.random.default_rng(seed)
    prediction = rng.standard_normal(rows)
    lagged = np.concatenate([[0.0], prediction[:-1]])
    close = 100 * np.exp(np.cumsum(0.01 * (link * lagged + rng.standard_normal(rows))))
    fill = np.append(close[:-1], np.nan)
    regimes = np.zeros(rows, dtype=np.int8)
    return prediction, Trading(close, fill, regimes, horizon, COST, bars_per_year=365.0)


def evidence_of(prediction: Array, trading: Trading) -> dict[str, Evidence]:
    forward = forward_return(trading.fill, trading.horizon)
    return evaluate(prediction, forward, forward, trading)


def plain_returns(prediction: Array, trading: Trading) -> tuple[Array, Array, Array]:
    """Gross and net return and turnover of each bar at a horizon of one, bar by bar."""
    side = np.sign(prediction)
    gross, traded = np.zeros(len(side)), np.zeros(len(side))
    held = 0.0
    for bar in range(1, len(side)):
        price, close = trading.fill[bar - 1], trading.close[bar]
        new = side[bar - 1] / price
        gross[bar] = held * (price - trading.close[bar - 1]) + new * (close - price)
        traded[bar] = abs(new - held) * price
        held = new
    return gross[1:], gross[1:] - trading.cost * traded[1:], traded[1:]


def sharpe(returns: Array) -> float:
    return float(returns.mean() / returns.std() * np.sqrt(365))


def test_metrics_equal_their_textbook_formulas() -> None:
    prediction, trading = market(1000)
    evidence = evidence_of(prediction, trading)[ALL]
    gross, net, traded = plain_returns(prediction, trading)
    forward = forward_return(trading.fill, 1)[:-2]
    known = prediction[:-2]
    wealth = np.concatenate([[0.0], np.cumsum(net)])
    assert evidence.bars == 998
    assert evidence.years == pytest.approx(1000 / 365)
    assert evidence.rank_ic.value == pytest.approx(spearmanr(known, forward).statistic)
    assert evidence.hit_rate.value == pytest.approx(np.mean(known * forward > 0))
    assert evidence.net_sharpe.value == pytest.approx(sharpe(net))
    assert evidence.gross_sharpe.value == pytest.approx(sharpe(gross))
    assert evidence.gain_bp.value == pytest.approx(
        1e4 * np.mean(np.sign(known) * (np.exp(forward) - 1))
    )
    assert evidence.break_even_bp.value == pytest.approx(1e4 * gross.sum() / traded.sum())
    assert evidence.max_drawdown.value == pytest.approx(
        max(wealth[: t + 1].max() - wealth[t] for t in range(len(wealth)))
    )
    lagged = np.append(np.nan, prediction[:-1])
    late, _, _ = plain_returns(np.nan_to_num(lagged), trading)
    assert evidence.delayed_sharpe.value == pytest.approx(sharpe(late[1:]))
    _, long, _ = plain_returns(np.ones(1000), trading)
    assert evidence.long_sharpe.value == pytest.approx(sharpe(long))


def test_the_last_return_reversed_is_what_a_model_is_compared_with() -> None:
    prediction, trading = market(500)
    decided = np.arange(500) > 100
    position = reversal(trading.close, decided)
    assert np.isnan(position[:101]).all()
    moves = np.diff(trading.close)
    np.testing.assert_array_equal(position[101:], -np.sign(moves[100:]))
    evidence = evidence_of(np.where(decided, prediction, np.nan), trading)[ALL]
    _, net, _ = plain_returns(np.nan_to_num(position), trading)
    assert evidence.reversal_sharpe.value == pytest.approx(sharpe(net[101:]))


def test_costs_leave_what_is_below_the_break_even_cost() -> None:
    prediction, trading = market(2000)
    even = evidence_of(prediction, trading)[ALL].break_even_bp.value / 1e4
    for cost, sign in ((0.9 * even, 1), (1.1 * even, -1)):
        dear = evidence_of(prediction, replace(trading, cost=cost))[ALL]
        assert np.sign(dear.net_sharpe.value) == sign
        assert ("costs take all of it" in dear.caveats()) is (sign < 0)


def test_what_a_bar_of_delay_takes_is_told() -> None:
    prediction, trading = market(3000)  # the signal is of the next bar alone
    evidence = evidence_of(prediction, replace(trading, cost=0.0))[ALL]
    assert evidence.gross_sharpe.interval()[0] > 0
    assert abs(evidence.delayed_sharpe.value) < 2 * evidence.delayed_sharpe.error
    if evidence.delayed_sharpe.value <= 0:
        assert evidence.caveats() == ("one more bar of delay takes all of it",)


def test_the_whole_is_marked_to_market_on_all_of_its_capital() -> None:
    """Patternless signs of overlapping positions: their average is calmer than each of them."""
    prediction, trading = market(4000, horizon=6)
    net = net_returns(always_in(prediction), trading)
    single = np.sign(prediction) * np.expm1(forward_return(trading.fill, 6))
    assert np.nanstd(net) < 0.6 * np.nanstd(single) / np.sqrt(6)
    assert np.isnan(net[0])
    assert np.isfinite(net[1:]).all()


def test_a_regimes_returns_are_those_of_what_was_decided_in_it() -> None:
    prediction, trading = market(60, horizon=3)
    regimes = np.full(60, 1, dtype=np.int8)
    regimes[20:30] = 2
    trading = replace(trading, regimes=regimes, cost=0.0)
    high = net_returns(always_in(prediction), trading, "high")
    # Decided at rows 20 to 29, filled from bar 21 on, the last of them closed in bar 33.
    assert np.flatnonzero(np.isfinite(high)).tolist() == list(range(21, 34))
    whole = trading.profit(always_in(prediction))
    inside = slice(24, 31)  # every slot is of the regime
    np.testing.assert_allclose(high[inside], whole.net[inside], atol=1e-15)
    alone = np.sign(prediction[20]) * (trading.close[21] / trading.fill[20] - 1)
    assert high[21] == pytest.approx(alone)


def test_returns_of_the_past_ignore_the_future() -> None:
    prediction, trading = market(100, horizon=4)
    whole = net_returns(always_in(prediction), trading)
    head = net_returns(
        always_in(prediction)[:60],
        replace(
            trading,
            close=trading.close[:60],
            fill=np.append(trading.fill[:59], np.nan),
            regimes=trading.regimes[:60],
        ),
    )
    np.testing.assert_array_equal(whole[:60], head)


def test_errors_match_theory_where_bars_are_independent() -> None:
    prediction, trading = market(8000, link=0.0)
    evidence = evidence_of(prediction, replace(trading, cost=0.0, bars_per_year=1.0))[ALL]
    for name, expected in (("rank_ic", 1.0), ("hit_rate", 0.5), ("net_sharpe", 1.0)):
        assert evidence.estimates()[name].error == pytest.approx(expected / np.sqrt(8000), rel=0.25)


def test_overlapping_targets_widen_the_error() -> None:
    prediction, trading = market(6000, link=0.0, horizon=12)
    prediction = np.convolve(prediction, np.ones(12), mode="same")
    assert evidence_of(prediction, trading)[ALL].rank_ic.error > 2 / np.sqrt(6000)


def test_few_blocks_widen_the_error_by_students_quantile() -> None:
    five = BlockBootstrap(100, 20)
    assert five.widening() == pytest.approx(np.sqrt(5 / 4) * student.ppf(0.975, 4) / 1.959964)
    assert BlockBootstrap(100_000, 20).widening() == pytest.approx(1.0, abs=2e-3)
    assert np.isnan(BlockBootstrap(20, 20).widening())
    draws = np.array([1.0, 2.0, 3.0, np.nan])
    assert five.error(draws) == pytest.approx(five.widening())
    assert np.isnan(five.error(draws[:1]))


def test_each_regime_counts_its_own_bars_and_episodes() -> None:
    prediction, trading = market(100)
    regimes = np.full(100, 1, dtype=np.int8)
    regimes[10:20], regimes[40:60], regimes[80:82] = 0, 2, 2
    prediction[80:82] = np.nan  # an episode without a prediction is none
    evidence = evidence_of(prediction, replace(trading, regimes=regimes))
    assert [(evidence[r].bars, evidence[r].episodes) for r in REGIMES] == [
        (10, 1),
        (66, 4),
        (20, 1),
        (0, 0),
    ]
    assert evidence[ALL].bars == 96
    assert evidence[ALL].episodes == 1
    assert set(evidence) == set(KEYS)


def test_unknown_rows_end_no_episode() -> None:
    prediction, trading = market(100)
    regimes = np.full(100, 3, dtype=np.int8)
    regimes[10:90:10] = -1
    assert evidence_of(prediction, replace(trading, regimes=regimes))["extreme"].episodes == 1
    regimes[50] = 1
    assert evidence_of(prediction, replace(trading, regimes=regimes))["extreme"].episodes == 2


def test_what_few_bars_cannot_tell_is_unknown() -> None:
    prediction, trading = market(MIN_BLOCKS * block_length(1) - 1)
    evidence = evidence_of(prediction, trading)
    for name in evidence["low"].estimates():
        assert np.isnan(evidence["extreme"].estimates()[name].value)
        assert np.isfinite(evidence["low"].estimates()[name].value)
        assert np.isnan(evidence["low"].estimates()[name].error)
    assert not evidence["low"].beats_flat


def test_constant_predictions_have_no_rank_correlation() -> None:
    _, trading = market(500)
    evidence = evidence_of(np.ones(500), trading)[ALL]
    assert np.isnan(evidence.rank_ic.value)
    assert np.isfinite(evidence.hit_rate.value)


def test_paired_difference_is_tighter_than_its_parts() -> None:
    prediction, trading = market(3000)
    net = net_returns(always_in(prediction), replace(trading, cost=0.0))
    other = net + 0.001 * np.random.default_rng(1).standard_normal(3000)
    difference = paired_difference(net, other - 0.0005, horizon=1)
    assert difference.value == pytest.approx(0.0005, abs=1e-4)
    assert difference.error < 0.1 * np.nanstd(net) / np.sqrt(3000) * 5
    low, high = difference.interval()
    assert low < 0.0005 < high


def test_paired_difference_of_no_common_rows_is_unknown() -> None:
    difference = paired_difference(np.full(50, np.nan), np.zeros(50), horizon=1)
    assert np.isnan([difference.value, difference.error]).all()


def test_blocks_without_a_position_tell_nothing_of_the_error() -> None:
    _, trading = market(2000, horizon=3)
    returns = 0.01 * np.random.default_rng(0).standard_normal(2000)
    blocks = np.arange(2000) // 20
    five, four = (
        sharpe_ratio(np.where(np.isin(blocks, active), returns, 0.0), trading)
        for active in ([3, 20, 50, 70, 90], [3, 20, 50, 70])
    )
    assert np.isfinite(five.error)
    assert np.isfinite(four.value)
    assert np.isnan(four.error)
    draws = BlockBootstrap(2000, 20)
    assert draws.widening(5) == BlockBootstrap(100, 20).widening() > 1.5 * draws.widening()
    assert draws.widening(5000) == draws.widening()
