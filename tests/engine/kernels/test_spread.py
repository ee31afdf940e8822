"""The half spread: against the published formula, and known half spreads of simulated trades."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from brain.errors import InputError
from engine.kernels.fills import repeated_opens
from engine.kernels.spread import BLOCK, MIN_BLOCKS, Spread, half_spread
from tests.engine.paths import random_path
from tests.engine.quotes import simulate_quotes

Array = NDArray[np.float64]

# Open, high, low, close: of any price; and in ticks, with bars of one price and one without trade.
WRITTEN = (
    np.array(
        [
            (100.13, 101.02, 99.87, 100.64),
            (100.42, 100.91, 99.55, 99.61),
            (99.88, 100.37, 99.12, 100.05),
            (99.79, 101.44, 99.79, 101.21),
            (101.47, 101.93, 100.76, 100.76),
            (101.02, 101.58, 100.33, 101.29),
            (101.04, 101.66, 100.91, 101.35),
            (101.61, 102.48, 101.17, 102.11),
            (101.83, 102.02, 100.69, 100.98),
            (101.22, 101.94, 100.85, 101.73),
        ]
    ),
    np.array(
        [
            (50.0, 52.0, 50.0, 51.0),
            (52.0, 52.0, 51.0, 51.0),
            (51.0, 51.0, 51.0, 51.0),
            (52.0, 52.0, 52.0, 52.0),
            (51.0, 53.0, 50.0, 53.0),
            (52.0, 53.0, 51.0, 52.0),
            (53.0, 53.0, 52.0, 52.0),
            (53.0, 54.0, 52.0, 53.0),
            (52.0, 53.0, 51.0, 51.0),
            (52.0, 52.0, 50.0, 51.0),
        ]
    ),
)


def prices(half_spread_bp: float, seed: int, rows: int = 2000, **options: Any) -> Array:
    """Open, high, low and close of simulated trades, (4, rows)."""
    bars = simulate_quotes(
        rows, half_spread_bp=half_spread_bp, volatility=0.006, seed=seed, **options
    )
    return bars.frame[["open", "high", "low", "close"]].to_numpy(copy=True).T


def estimates(count: int, half_spread_bp: float, **options: Any) -> list[Spread]:
    return [half_spread(*prices(half_spread_bp, seed, **options)) for seed in range(count)]


def slow_square(open_: Array, high: Array, low: Array, close: Array, *, own_opens: bool) -> float:
    """The square of the half spread, in squared basis points, product by product."""
    rows = []
    for t in range(1, len(close)):
        bars = [column[s] for column in (open_, high, low, close) for s in (t - 1, t)]
        if np.isfinite(bars).all():
            rows.append(t)
    log = np.log
    n = len(rows)
    traded = {t: not high[t] == low[t] == close[t - 1] for t in rows}
    share = sum(traded.values()) / n

    def inside(price: float, bar: int) -> int:
        """Of the bar's high and low, how many the price is not."""
        return int(price != high[bar]) + int(price != low[bar])

    opens = sum(traded[t] * inside(open_[t], t) for t in rows) / n
    closes = sum(traded[t] * inside(close[t - 1], t - 1) for t in rows) / n

    def middle(t: int) -> float:
        return float(log(high[t] * low[t]) / 2)

    def centred(change: Callable[[int], float]) -> dict[int, float]:
        mean = sum(change(t) for t in rows) / n / share
        return {t: change(t) - mean * traded[t] for t in rows}

    from_open = centred(lambda t: middle(t) - log(open_[t]))
    from_close = centred(lambda t: middle(t) - log(close[t - 1]))
    between = centred(lambda t: log(open_[t] / close[t - 1]))
    first, second = [], []
    for t in rows:
        to_open, to_close = log(open_[t]) - middle(t - 1), log(close[t - 1]) - middle(t - 1)
        gap = log(open_[t] / close[t - 1])
        first.append(-4 / opens * from_open[t] * to_open - 4 / closes * from_close[t] * to_close)
        second.append(-4 / opens * from_open[t] * gap - 4 / closes * between[t] * to_close)
    variances = np.var(first), np.var(second)
    weight = variances[1] / sum(variances) if own_opens else 1.0
    return float(weight * np.mean(first) + (1 - weight) * np.mean(second)) / 4 * 1e8


@pytest.mark.parametrize(
    ("bars", "spread"), [(WRITTEN[0], 0.0033316905177466125), (WRITTEN[1], 0.023952298245591253)]
)
def test_the_estimate_is_that_of_its_authors_library(bars: Array, spread: float) -> None:
    # Spreads of bidask 2.1.0 (edge with sign=True).
    result = half_spread(*bars.T)
    assert result.own_opens
    assert result.square == pytest.approx((spread / 2 * 1e4) ** 2, rel=1e-9)


@given(st.integers(0, 10_000), st.integers(30, 60), st.booleans())
def test_the_estimate_is_the_formula_product_by_product(
    seed: int, rows: int, repeated: bool
) -> None:
    columns = random_path(seed, rows, missing=0.1).prices()
    if repeated:
        columns[0][1:] = np.where(np.isnan(columns[3][:-1]), columns[0][1:], columns[3][:-1])
    result = half_spread(*columns)
    assert result.own_opens == (repeated_opens(columns[0], columns[3]) <= 0.5)
    expected = slow_square(*columns, own_opens=result.own_opens)
    assert result.square == pytest.approx(expected, rel=1e-6, abs=1e-3)


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("half_bp", [0.0, 15.0, 30.0])
def test_a_known_half_spread_is_recovered_with_its_error(half_bp: float, repeated: bool) -> None:
    results = estimates(40, half_bp, repeated_opens=repeated)
    squares = np.array([result.square for result in results])
    errors = np.array([result.square_error for result in results])
    assert {result.own_opens for result in results} == {not repeated}
    # Three errors of a mean of 40, and 3 % since a bar's trades are finite.
    allowed = 3 * squares.std(ddof=1) / np.sqrt(40) + 0.03 * half_bp**2
    assert abs(squares.mean() - half_bp**2) < allowed
    assert 0.75 < errors.mean() / squares.std(ddof=1) < 1.35
    covered = np.mean(np.abs(squares - squares.mean()) <= 1.96 * errors)
    assert covered >= 0.85
    significant = np.mean([result.significant for result in results])
    assert significant >= 0.9 if half_bp else significant <= 0.1


def test_opens_of_their_own_tell_smaller_spreads() -> None:
    own, repeated = (estimates(10, 5.0, repeated_opens=value) for value in (False, True))
    resolutions = [np.mean([r.resolution_bp for r in results]) for results in (own, repeated)]
    assert resolutions[0] < 5.0 < resolutions[1]
    assert all(result.significant for result in own)
    assert np.mean([result.significant for result in repeated]) < 0.5
    assert np.mean([r.error_bp for r in own]) == pytest.approx(
        np.std([r.half_bp for r in own], ddof=1), rel=0.5
    )


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("options", [{"tick": 0.1}, {"clustered": True}, {"trades": 20}])
def test_a_half_spread_is_recovered_from_awkward_bars(
    options: dict[str, Any], repeated: bool
) -> None:
    results = estimates(30, 15.0, repeated_opens=repeated, **options)
    root = np.sqrt(np.mean([result.square for result in results]))
    assert root == pytest.approx(15.0, abs=1.5)


@pytest.mark.parametrize("repeated", [False, True])
def test_bars_without_a_trade_say_nothing(repeated: bool) -> None:
    squares = []
    for seed in range(30):
        columns = prices(15.0, seed, repeated_opens=repeated)
        for t in np.flatnonzero(np.random.default_rng(seed).random(2000) < 0.2)[1:]:
            columns[:, t] = columns[3, t - 1]
            if repeated and t < 1999:
                columns[:3, t + 1] = (
                    columns[3, t],
                    max(columns[1, t + 1], columns[3, t]),
                    min(columns[2, t + 1], columns[3, t]),
                )
        squares.append(half_spread(*columns).square)
    assert np.sqrt(np.mean(squares)) == pytest.approx(15.0, abs=1.5)


def test_pairs_across_a_gap_are_left_out() -> None:
    columns = prices(15.0, 1, rows=600)
    columns[:, 300] = np.nan
    columns[1, 400] = np.nan  # one missing price is a missing bar
    result = half_spread(*columns)
    assert result.pairs == 599 - 4
    # So the level after a gap is free.
    columns[:, 301:] *= 2.0
    moved = half_spread(*columns)
    np.testing.assert_allclose(
        (moved.square, moved.square_error), (result.square, result.square_error), rtol=1e-9
    )


@pytest.mark.parametrize("repeated", [False, True])
def test_an_estimate_has_no_unit_and_missing_bars_after_it_change_nothing(repeated: bool) -> None:
    columns = prices(15.0, 2, rows=500, repeated_opens=repeated)
    result = half_spread(*columns)
    scaled = half_spread(*(0.001 * columns))
    np.testing.assert_allclose(
        (scaled.square, scaled.square_error), (result.square, result.square_error), rtol=1e-6
    )
    later = np.full((4, 700), np.nan)
    later[:, :500] = columns
    assert half_spread(*later) == result


def test_momentum_leaves_the_half_spread_unknown_and_not_zero() -> None:
    result = half_spread(*prices(0.0, 3, repeated_opens=True, autocorrelation=0.3))
    assert result.square < -result.square_error
    assert np.isnan(result.half_bp)
    assert np.isnan(result.error_bp)
    assert result.resolution_bp > 5.0
    assert not result.significant


def test_reversal_looks_like_a_spread_where_opens_repeat_and_hardly_elsewhere() -> None:
    options = {"autocorrelation": -0.2}
    repeated = estimates(10, 0.0, repeated_opens=True, **options)
    assert all(result.significant for result in repeated)
    assert np.mean([result.half_bp for result in repeated]) > 10.0
    own = np.mean([result.square for result in estimates(10, 0.0, **options)])
    assert abs(own) < 2.5**2


def test_runs_of_trades_on_one_side_lower_it_where_opens_are_their_own() -> None:
    roots = [
        np.sqrt(np.mean([result.square for result in estimates(20, 15.0, runs=0.6, **options)]))
        for options in ({}, {"repeated_opens": True})
    ]
    assert roots[0] == pytest.approx(15.0 * np.sqrt(1 - 0.6), abs=1.5)
    assert roots[1] == pytest.approx(15.0, abs=1.5)


def test_too_little_is_unknown() -> None:
    columns = prices(15.0, 4, rows=BLOCK * MIN_BLOCKS)
    assert np.isfinite(half_spread(*columns).square_error)
    few = half_spread(*columns[:, : BLOCK * (MIN_BLOCKS - 1)])
    assert np.isfinite(few.square)
    assert np.isnan([few.square_error, few.resolution_bp]).all()
    assert not few.significant
    for nothing in (columns[:, :2], columns[:, :1], columns[:, :0], np.ones((4, 300))):
        unknown = half_spread(*nothing)
        assert np.isnan([unknown.square, unknown.half_bp, unknown.error_bp]).all()
        assert not unknown.significant
    with pytest.raises(InputError, match=r"\(3,\) opens, \(3,\) highs, \(2,\) lows"):
        half_spread(np.ones(3), np.ones(3), np.ones(2), np.ones(3))


def test_a_planted_signal_lasts_and_shows_in_the_volume_alone() -> None:
    options: dict[str, Any] = {"half_spread_bp": 15.0, "volatility": 0.006, "seed": 5}
    for strength, one, six in ((0.0, 0.0, 0.0), (0.2, 0.2, 0.35)):
        frame = simulate_quotes(20_000, signal=strength, **options).frame
        state, price = np.log(frame["volume"]), np.log(frame["close"])
        assert state.corr(price.shift(-1) - price) == pytest.approx(one, abs=0.03)
        assert state.corr(price.shift(-6) - price) == pytest.approx(six, abs=0.05)
        assert state.autocorr(6) == pytest.approx(0.5, abs=0.05)
        assert price.diff().std() == pytest.approx(0.006 + 15e-4**2 / 0.006, rel=0.03)
