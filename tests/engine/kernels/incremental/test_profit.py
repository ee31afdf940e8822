from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError
from brain.naming import Fill
from engine.kernels.fills import fill_prices
from engine.kernels.incremental.profit import BarProfit, IncrementalProfit
from engine.kernels.payments import Funding
from engine.kernels.profit import position_profit
from tests.engine.paths import random_path

COLUMNS = ("gross", "turnover", "cost", "funding", "net")


@given(
    seed=st.integers(0, 10_000),
    horizon=st.integers(1, 8),
    fill=st.sampled_from([Fill.OPEN, Fill.WORKED, Fill.CLOSE]),
    missing=st.sampled_from([0.0, 0.05, 0.5]),
    pays=st.booleans(),
    restarts=st.frozensets(st.integers(0, 199), max_size=3),
)
def test_the_profit_is_that_of_the_batch(
    seed: int, horizon: int, fill: Fill, missing: float, pays: bool, restarts: frozenset[int]
) -> None:
    draw, path = np.random.default_rng(seed), random_path(seed, 200, missing)
    position = draw.choice([-1.0, 0.0, 0.0, 1.0, 0.3, -0.7, np.nan], len(path))
    cost = 1e-3 * draw.random(len(path))
    paid = 10.0 * draw.standard_normal((2, len(path)))
    paid[0, draw.random(len(path)) < 0.1] = np.nan
    expected = position_profit(
        position,
        fill_prices(*path.prices(), fill),
        path.close,
        horizon=horizon,
        cost=cost,
        funding=Funding(*paid) if pays else None,
    )
    profit, bars = IncrementalProfit(horizon, fill), []
    for t, (o, h, lo, c) in enumerate(np.column_stack(path.prices()).tolist()):
        funding = (paid[0, t], paid[1, t]) if pays else None
        bars.append(profit.push(position[t], o, h, lo, c, cost[t], funding))
        if t in restarts:
            profit = IncrementalProfit.from_arrays(profit.arrays())
    for name in COLUMNS:
        pushed = [getattr(bar, name) for bar in bars]
        np.testing.assert_allclose(pushed, getattr(expected, name), rtol=0.0, atol=1e-12)


def bar(profit: IncrementalProfit, open_: float, close: float) -> BarProfit:
    return profit.settle(open_, max(open_, close), min(open_, close), close, 0.001)


def test_a_bar_settles_the_decision_before_it() -> None:
    profit = IncrementalProfit(2, Fill.OPEN)
    assert bar(profit, 100.0, 100.0) == BarProfit(0.0, 0.0, 0.0, 0.0)
    profit.decide(-1.0)
    profit.decide(1.0)  # the later of two counts
    first = bar(profit, 100.0, 110.0)
    assert first.gross == pytest.approx(0.5 * 0.1)
    assert first.turnover == pytest.approx(0.5)
    assert first.cost == pytest.approx(0.0005)
    assert profit.units == pytest.approx(0.5 / 100.0)
    # Without a decision the slot is closed two bars later, at the open.
    assert bar(profit, 110.0, 121.0).gross == pytest.approx(0.5 * 0.11)
    last = bar(profit, 121.0, 500.0)
    assert last.gross == pytest.approx(0.0)
    assert last.net == pytest.approx(-0.001 * 0.5 * 1.21)
    assert profit.units == 0.0


def test_a_fill_in_finer_bars_is_given() -> None:
    profit = IncrementalProfit(1, Fill.FINER)
    profit.push(1.0, 100.0, 100.0, 100.0, 100.0, 0.0)
    assert profit.settle(90.0, 110.0, 90.0, 110.0, 0.0, fill=100.0).gross == pytest.approx(0.1)


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(InputError, match="horizon 0"):
        IncrementalProfit(0, Fill.OPEN)
    arrays = IncrementalProfit(2, Fill.OPEN).arrays()
    with pytest.raises(InputError, match="slots is missing"):
        IncrementalProfit.from_arrays({"fill": arrays["fill"]})
    with pytest.raises(InputError, match="other lengths"):
        IncrementalProfit.from_arrays(arrays | {"last": np.zeros(2)})
