"""A night's evidence against a slow ledger, and the same whatever comes before and after."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from brain.naming import REGIMES
from engine.evaluation.nights import (
    DAY_NS,
    NightTable,
    complete_days,
    days_of,
    night_evidence,
)
from engine.evaluation.trading import Trading
from engine.kernels.columns import Floats
from engine.kernels.payments import Funding
from tests.engine.paths import HOUR, random_path

COST, HORIZON = 0.0007, 6


def book(seed: int, rows: int = 240, missing: float = 0.05) -> tuple[Floats, Trading, Floats]:
    """Positions of blocks, a market with gaps, regimes and funding, and the volatility."""
    rng = np.random.default_rng(seed)
    path = random_path(seed, rows, missing)
    close = path.close
    fill = np.append((path.high + path.low + close)[1:] / 3.0, np.nan)
    regimes = rng.integers(0, 4, rows // 8 + 1).repeat(8)[:rows].astype(np.int8)
    position = rng.integers(-1, 2, rows // 3 + 1).repeat(3)[:rows].astype(float)
    position[rng.random(rows) < 0.05] = np.nan
    paid = np.where(np.arange(rows) % 8 == 0, 0.0001 * rng.standard_normal(rows), 0.0) * 5000.0
    funding = Funding(paid, 0.5 * paid)
    trading = Trading(close, fill, regimes, HORIZON, COST, 8766.0, funding)
    return position, trading, 0.005 * rng.lognormal(0.0, 0.2, rows)


def close_times(rows: int, first: int = 1) -> np.ndarray:
    return HOUR * (np.arange(rows) + first)


class Ledger:
    """Orders one by one, in plain Python; bars close at 1, 2, … hours."""

    def __init__(self, position: Floats, trading: Trading) -> None:
        self.trading = trading
        self.fills = [t for t, price in enumerate(trading.fill) if math.isfinite(price)]
        self.bars = [t for t, price in enumerate(trading.close) if math.isfinite(price)]
        self.units = {
            t: position[t] / (HORIZON * trading.fill[t])
            for t in self.fills
            if math.isfinite(position[t])
        }
        self.ends = {
            t: next((s for s in self.fills if s >= t + HORIZON), len(position)) for t in self.units
        }

    def night(self, volatility: Floats, day: int) -> list[float]:
        """A day's evidence by regime."""
        rows = range(24 * day, 24 * day + 24)
        scale = volatility[24 * day - 1] * math.sqrt(24)
        profit = [math.nan] * 4
        for t in self.units:
            regime = int(self.trading.regimes[t])
            for s in (s for s in self.bars if s in rows and t < s):
                since = max((u for u in self.bars if u < s), default=-1)
                if since <= self.ends[t]:
                    profit[regime] = np.nansum([profit[regime], self.bar(t, since, s) / scale])
        return profit

    def bar(self, t: int, since: int, s: int) -> float:
        """What a decision earns from the close of one bar to that of the next that is there."""
        close, fill, end = self.trading.close, self.trading.fill, self.ends[t]
        units = self.units[t]
        bought = close[since] if since > t else fill[t]
        sold = fill[end] if end < s else close[s]
        earned = units * (sold - bought)
        for u in range(since + 1, s + 1):
            earned -= self.paid(t, u)
        return float(earned)

    def paid(self, t: int, u: int) -> float:
        """Costs and funding of a decision in one row of the grid."""
        end, units, funding = self.ends[t], self.units[t], self.trading.funding
        assert funding is not None
        fill = self.trading.fill
        paid = units * funding.before[u] if t + 1 < u <= end + 1 else 0.0
        paid += units * funding.after[u] if t < u <= end else 0.0
        if u == t + 1:
            paid += COST * fill[t] * (abs(units) - self.shared(t - HORIZON, t))
        if u == end + 1:
            paid += COST * fill[end] * (abs(units) - self.shared(t, end))
        return float(paid)

    def shared(self, t: int, heir: int) -> float:
        """Units that a decision hands over to the one that takes its slot."""
        one, other = self.units.get(t, 0.0), self.units.get(heir, 0.0)
        return min(abs(one), abs(other)) if one * other > 0.0 and heir == t + HORIZON else 0.0


@pytest.mark.parametrize("seed", range(6))
def test_a_night_is_what_a_ledger_of_orders_says(seed: int) -> None:
    position, trading, volatility = book(seed)
    table = night_evidence(position, position, trading, volatility, close_times(240))
    assert table.days.tolist() == list(range(10))
    assert np.isnan(table.profit[0]).all()
    ledger = Ledger(position, trading)
    for day in range(1, 10):
        expected = ledger.night(volatility, day)
        assert table.profit[day] == pytest.approx(expected, abs=1e-11, nan_ok=True)


@given(seed=st.integers(0, 10**6))
def test_regimes_add_up_to_the_whole_book(seed: int) -> None:
    position, trading, volatility = book(seed)
    table = night_evidence(position, position, trading, volatility, close_times(240))
    whole = trading.profit(position)
    total = np.nansum(table.profit[1:] * table.volatility[1:, None])
    assert total == pytest.approx(np.nansum(whole.net[24:]), abs=1e-12)
    assert table.turnover.sum() == pytest.approx(np.nansum(whole.turnover), abs=1e-12)


def equal(one: NightTable, other: NightTable) -> bool:
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def cut(trading: Trading, rows: slice) -> Trading:
    funding = trading.funding
    assert funding is not None
    return Trading(
        trading.close[rows],
        trading.fill[rows],
        trading.regimes[rows],
        trading.horizon,
        trading.cost,
        trading.bars_per_year,
        Funding(funding.before[rows], funding.after[rows]),
    )


@given(seed=st.integers(0, 10**6), end=st.integers(30, 239), first=st.integers(0, 40))
@settings(max_examples=60)
def test_no_later_bar_and_none_before_the_first_position_changes_a_night(
    seed: int, end: int, first: int
) -> None:
    position, trading, volatility = book(seed)
    position[:48] = np.nan
    times = close_times(240)
    table = night_evidence(position, position, trading, volatility, times)
    rows = slice(first, end)
    part = night_evidence(
        position[rows], position[rows], cut(trading, rows), volatility[rows], times[rows]
    )
    last = int(complete_days(times[rows])[-1]) if len(complete_days(times[rows])) else -1
    assert equal(
        table.nights((table.days >= 2) & (table.days <= last)),
        part.nights((part.days >= 2) & (part.days <= last)),
    )


def test_a_close_at_midnight_belongs_to_the_day_that_ends() -> None:
    closes = np.array([DAY_NS - HOUR, DAY_NS, DAY_NS + 1, 2 * DAY_NS, 4 * DAY_NS - 1])
    assert days_of(closes).tolist() == [0, 0, 1, 1, 3]
    assert complete_days(closes).tolist() == [0, 1]
    assert complete_days(closes[:0]).tolist() == []


def test_a_day_without_bars_is_no_row_and_unknown_is_not_zero() -> None:
    times = np.concatenate([close_times(24), close_times(24, 73)])
    rows, close = len(times), np.full(48, 100.0)
    regimes = np.zeros(rows, dtype=np.int8)
    trading = Trading(close, close, regimes, HORIZON, 0.0, 8766.0)
    position = np.where(np.arange(rows) < 24, np.nan, 0.0)
    volatility = np.full(rows, 0.01)
    table = night_evidence(position, position, trading, volatility, times)
    assert table.days.tolist() == [0, 3]
    assert table.missing.tolist() == [1.0, 0.0]
    assert table.bars.tolist() == [24, 24]
    low = REGIMES.index("low")
    assert table.profit[1, low] == 0.0
    assert np.isnan(np.delete(table.profit, low, axis=1)).all()
    assert table.volatility[1] == pytest.approx(0.01 * math.sqrt(24))


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_without_a_volatility_before_it_a_night_is_unknown(value: float) -> None:
    position, trading, volatility = book(3)
    volatility[47] = value
    table = night_evidence(position, position, trading, volatility, close_times(240))
    assert np.isnan(table.profit[2]).all()
    assert np.isfinite(table.profit[3]).any()


def test_unknown_funding_makes_the_night_of_what_is_held_unknown() -> None:
    position, trading, volatility = book(5)
    assert trading.funding is not None
    position[60:] = 1.0
    trading.regimes[60:] = 1
    trading.funding.before[100] = np.nan
    table = night_evidence(position, position, trading, volatility, close_times(240))
    assert np.isnan(table.profit[4, 1])
    assert np.isfinite(table.profit[5:, 1]).all()
