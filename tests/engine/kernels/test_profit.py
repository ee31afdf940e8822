"""Profit and funding payments: against a slow ledger of orders, units and cash."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from brain.errors import InputError
from brain.naming import Fill
from engine.kernels.fills import choose_fill, fill_prices, repeated_opens
from engine.kernels.payments import Funding, funding_payments
from engine.kernels.profit import position_profit

Array = NDArray[np.float64]
HOUR = 3_600_000_000_000
COST = 0.0007


@dataclass
class Market:
    """Random bars with gaps, decisions with gaps, and settlements at changing intervals."""

    rows: int
    seed: int
    gaps: float = 0.1
    hours: int = 1
    close: Array = field(init=False)
    prices: tuple[Array, Array, Array, Array] = field(init=False)

    def __post_init__(self) -> None:
        draw = np.random.default_rng(self.seed)
        close = 100 * np.exp(np.cumsum(0.02 * draw.standard_normal(self.rows)))
        open_ = close * np.exp(0.01 * draw.standard_normal(self.rows))
        high = np.maximum(open_, close) * 1.004
        low = np.minimum(open_, close) * 0.995
        missing = draw.random(self.rows) < self.gaps
        for column in (open_, high, low, close):
            column[missing] = np.nan
        self.close, self.prices = close, (open_, high, low, close)
        self.position = draw.uniform(-1, 1, self.rows)
        self.position[draw.random(self.rows) < 0.2] = 0.0
        self.position[draw.random(self.rows) < 0.1] = np.nan
        self.regimes = draw.integers(0, 3, self.rows)

    @property
    def times(self) -> NDArray[np.int64]:
        return (np.arange(self.rows, dtype=np.int64) + 1) * self.hours * HOUR

    def settlements(self, intervals: tuple[int, ...]) -> tuple[NDArray[np.int64], Array, Array]:
        """Settlements from one interval before the first bar to the end of the last."""
        draw = np.random.default_rng(self.seed + 1)
        times, hours, now = [0], [float(intervals[0])], 0
        while now < self.rows * self.hours:
            step = int(draw.choice(intervals))
            now += step
            times.append(now)
            hours.append(float(step))
        rate = 0.001 * draw.standard_normal(len(times))
        return np.array(times, dtype=np.int64) * HOUR, rate, np.array(hours)


class Ledger:
    """Orders, units and cash of the chosen decisions, bar by bar."""

    def __init__(self, market: Market, fill: Array, horizon: int) -> None:
        self.market, self.fill, self.horizon = market, fill, horizon
        self.settlements: list[tuple[int, float]] = []
        self.filled_after = 0.0
        self.chosen = np.ones(market.rows, dtype=bool)
        self.held: dict[int, float] = {}
        self.cash = 0.0
        self.mark = np.nan

    def net(self) -> Array:
        """The change of wealth in every bar that exists."""
        wealth, net = 0.0, np.full(self.market.rows, np.nan)
        step = self.market.hours * HOUR
        for bar, end in enumerate(self.market.times):
            moment = end - step + self.filled_after * step
            self.settle(bar, end - step, moment)
            if bar and np.isfinite(self.fill[bar - 1]):
                self.trade(bar - 1)
            self.settle(bar, moment, end)
            if np.isfinite(self.market.close[bar]):
                self.mark = self.market.close[bar]
                value = self.cash + self.mark * self.units()
                net[bar], wealth = value - wealth, value
        return net

    def units(self) -> float:
        return sum(units for row, units in self.held.items() if self.chosen[row])

    def settle(self, bar: int, first: float, last: float) -> None:
        for moment, rate in self.settlements:
            if self.held and first < moment <= last:
                close = self.market.close[bar]
                ended = moment == self.market.times[bar] and np.isfinite(close)
                self.cash -= self.units() * (close if ended else self.mark) * rate

    def trade(self, row: int) -> None:
        price = self.fill[row]
        new = self.market.position[row] / (self.horizon * price)
        for decision in [t for t in self.held if t + self.horizon <= row]:
            units = self.held.pop(decision)
            self.cash += units * price * self.chosen[decision]
            common = 0.0
            if decision + self.horizon == row and np.isfinite(new) and new * units > 0:
                common = min(abs(new), abs(units))  # handed over, and not traded
            self.cash -= COST * (abs(units) - common) * price * self.chosen[decision]
            self.cash += COST * common * price * self.chosen[row]
        if np.isfinite(new):
            self.cash -= (new + COST * abs(new)) * price * self.chosen[row]
            self.held[row] = new


@pytest.mark.parametrize("fill", [Fill.OPEN, Fill.WORKED, Fill.CLOSE])
@pytest.mark.parametrize("horizon", [1, 2, 6])
def test_profit_equals_a_ledger_of_orders_units_and_cash(horizon: int, fill: Fill) -> None:
    for seed in range(8):
        market = Market(250, seed)
        prices = fill_prices(*market.prices, fill)
        result = position_profit(market.position, prices, market.close, horizon=horizon, cost=COST)
        expected = Ledger(market, prices, horizon).net()
        np.testing.assert_allclose(result.net, expected, rtol=0, atol=1e-12)
        assert np.isnan(result.net).any()
        assert np.nanstd(result.net) > 1e-4


@pytest.mark.parametrize("intervals", [(1,), (4,), (8,), (8, 4), (1, 4, 8)])
@pytest.mark.parametrize("filled_after", [0.0, 0.5])
@pytest.mark.parametrize("hours", [1, 24])
def test_funding_is_paid_by_what_was_opened_before_and_not_closed_before(
    intervals: tuple[int, ...], filled_after: float, hours: int
) -> None:
    market = Market(200, seed=sum(intervals), hours=hours)
    prices = fill_prices(*market.prices, Fill.OPEN)
    rows = market.settlements(intervals)
    payments = funding_payments(
        market.close,
        market.times - hours * HOUR,
        market.times,
        *rows,
        filled_after=filled_after,
    )
    first = int(np.argmax(np.isfinite(market.close))) + 1
    assert np.isfinite(payments.before[first:]).all()
    result = position_profit(
        market.position, prices, market.close, horizon=3, cost=COST, funding=payments
    )
    orders = Ledger(market, prices, 3)
    orders.settlements = list(zip(rows[0].tolist(), rows[1].tolist(), strict=True))
    orders.filled_after = filled_after
    expected = orders.net()
    np.testing.assert_allclose(result.net, expected, rtol=0, atol=1e-12)
    assert np.nanstd(result.funding) > 0


def test_the_profits_of_groups_add_up_to_the_whole() -> None:
    market = Market(300, seed=3)
    prices = fill_prices(*market.prices, Fill.WORKED)
    whole = position_profit(market.position, prices, market.close, horizon=4, cost=COST)
    total, slots = np.zeros(300), np.zeros(300, dtype=int)
    for regime in range(3):
        members = market.regimes == regime
        part = position_profit(
            market.position, prices, market.close, horizon=4, cost=COST, members=members
        )
        orders = Ledger(market, prices, 4)
        orders.chosen = members
        np.testing.assert_allclose(part.net, orders.net(), rtol=0, atol=1e-12)
        total += part.net
        slots += part.slots
    np.testing.assert_allclose(total, whole.net, rtol=0, atol=1e-12)
    assert (slots >= whole.slots).all()
    assert whole.slots.max() == 4


@given(
    st.integers(0, 1000),
    st.integers(1, 7),
    st.integers(20, 79),
    st.sampled_from([Fill.OPEN, Fill.WORKED, Fill.CLOSE]),
)
def test_a_profit_that_is_known_never_changes(
    seed: int, horizon: int, cut: int, fill: Fill
) -> None:
    market = Market(80, seed)
    moments, rate, hours = market.settlements((4, 8))
    results = []
    for end in (80, cut):
        open_, high, low, close = (column[:end] for column in market.prices)
        times = market.times[:end]
        known = moments <= times[-1]
        payments = funding_payments(
            close, times - HOUR, times, moments[known], rate[known], hours[known], filled_after=0.0
        )
        fills = fill_prices(open_, high, low, close, fill)
        position = market.position[:end]
        results.append(
            position_profit(
                position, fills, close, horizon=horizon, cost=COST, funding=payments
            ).net
        )
    whole, head = results
    np.testing.assert_array_equal(head[np.isfinite(head)], whole[:cut][np.isfinite(head)])


def test_an_opening_is_paid_whatever_came_before() -> None:
    nan = np.nan
    ones = np.ones(5)
    flat = position_profit(np.array([nan, 1.0, 1.0, 1.0, 0.0]), ones, ones, horizon=1, cost=0.0005)
    np.testing.assert_allclose(flat.net, [0.0, 0.0, -0.0005, 0.0, 0.0], atol=1e-18)
    # A bar that does not exist holds nothing: the decision before it is not filled.
    close = np.array([1.0, nan, 1.0, 1.0, 1.0])
    fill = fill_prices(close, close, close, close, Fill.OPEN)
    gap = position_profit(ones, fill, close, horizon=1, cost=0.0005)
    np.testing.assert_allclose(gap.net, [0.0, nan, -0.0005, 0.0, 0.0], atol=1e-18)


def test_unknown_funding_leaves_unknown_what_is_held_and_nothing_else() -> None:
    ones = np.ones(6)
    payments = Funding(np.zeros(6), np.array([0.0, 0.0, 0.0, np.nan, 0.0, np.nan]))
    position = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    net = position_profit(position, ones, ones, horizon=1, cost=0.0, funding=payments).net
    assert np.isnan(net).tolist() == [False, False, False, True, False, False]


def test_settlements_that_may_be_missing_are_unknown() -> None:
    times = (np.arange(24, dtype=np.int64) + 1) * HOUR
    settlements = np.array([4, 8, 20], dtype=np.int64) * HOUR  # those at 12 and 16 are missing
    payments = funding_payments(
        np.ones(24),
        times - HOUR,
        times,
        settlements,
        np.zeros(3),
        np.full(3, 4.0),
        filled_after=0.0,
    )
    unknown = np.flatnonzero(np.isnan(payments.after)) + 1
    # Hours that end at 9 to 16, and the one that ends when the next settlement is due.
    assert unknown.tolist() == [*range(9, 17), 24]
    none = np.array([], dtype=np.int64)
    payments = funding_payments(
        np.ones(24),
        times - HOUR,
        times,
        none,
        none.astype(float),
        none.astype(float),
        filled_after=0.0,
    )
    assert np.isnan(payments.before).all()


def test_fills_come_after_the_close_that_decided() -> None:
    market = Market(60, seed=1, gaps=0.0)
    open_, high, low, close = market.prices
    np.testing.assert_array_equal(fill_prices(*market.prices, Fill.OPEN)[:-1], open_[1:])
    typical = (high + low + close) / 3
    np.testing.assert_array_equal(fill_prices(*market.prices, Fill.WORKED)[:-1], typical[1:])
    np.testing.assert_array_equal(fill_prices(*market.prices, Fill.CLOSE), close)
    assert np.isnan(fill_prices(*market.prices, Fill.WORKED)[-1])


def test_opens_that_repeat_the_close_are_no_prices_of_their_own() -> None:
    close = np.array([1.0, 2.0, 3.0, 4.0])
    repeated = np.array([0.5, 1.0, 2.0, 3.5])
    assert repeated_opens(repeated, close) == pytest.approx(2 / 3)
    assert choose_fill(repeated, close) is Fill.WORKED
    assert choose_fill(close - 0.1, close) is Fill.OPEN
    assert np.isnan(repeated_opens(close[:1], close[:1]))
    assert choose_fill(close[:1], close[:1]) is Fill.WORKED


def test_what_does_not_match_is_told() -> None:
    ones = np.ones(3)
    with pytest.raises(InputError, match="horizon 0 is not a number of bars"):
        position_profit(ones, ones, ones, horizon=0, cost=0.0)
    with pytest.raises(InputError, match=r"\(3,\) positions, \(2,\) fills"):
        position_profit(ones, ones[:2], ones, horizon=1, cost=0.0)


def test_what_is_closed_leaves_no_rest_that_would_be_paid_for() -> None:
    close = np.array([100.0, 103.0, 99.7, 101.3, 98.9, 102.1, 100.3, 99.1, 101.7, 100.9])
    position = np.array([0.3, -0.7, 0.9, 0.1, -0.3, 0.0, 0.0, 0.0, 0.0, 0.0])
    fill = fill_prices(close, close, close, close, Fill.CLOSE)
    unknown = np.full(len(close), np.nan)
    profit = position_profit(
        position, fill, close, horizon=3, cost=0.0, funding=Funding(unknown, unknown)
    )
    # The last position, of the fifth bar, is closed at the eighth's fill.
    assert np.isnan(profit.funding[1:8]).all()
    assert profit.funding[[0, 9]].tolist() == [0.0, 0.0]
