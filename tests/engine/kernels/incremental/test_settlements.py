"""Payments of settlements that come one by one are those of the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError
from engine.kernels.columns import Floats, Times
from engine.kernels.incremental import IncrementalSettlements, PaidBar
from engine.kernels.payments import funding_payments

HOUR = 3_600_000_000_000
BARS = 90


def bars_of(seed: int, hours: int) -> tuple[Times, Times, Floats]:
    """Opens, closes and prices, some missing, after a night now and then."""
    rng = np.random.default_rng(seed)
    nights = np.cumsum(rng.integers(0, 9, BARS) == 0) * 15 * HOUR
    closes = np.arange(1, BARS + 1) * hours * HOUR + nights
    prices = 100.0 * np.exp(np.cumsum(0.02 * rng.standard_normal(BARS)))
    prices[rng.random(BARS) < 0.1] = np.nan
    return closes - hours * HOUR, closes, prices


def settlements_of(seed: int, end: int) -> tuple[Times, Floats, Floats]:
    """Times, rates and intervals, with holes, unknown ones, and changes of the interval."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([1, 4, 8], end // HOUR)
    times = np.cumsum(steps) * HOUR + rng.integers(-9, 9) * HOUR // 4
    rates, intervals = 1e-4 * rng.standard_normal(len(times)), steps.astype(np.float64)
    rates[rng.random(len(times)) < 0.05] = np.nan
    intervals[rng.random(len(times)) < 0.05] = np.nan
    known = (rng.random(len(times)) > 0.1) & (times < end + 20 * HOUR)
    return times[known], rates[known], intervals[known]


def payments_of(
    settlements: IncrementalSettlements, opens: Times, closes: Times, prices: Floats, after: float
) -> tuple[list[Any], list[Any]]:
    """Of all bars, as an executor asks."""
    before, then, mark = [], [], np.nan
    begin = int(opens[0])
    for open_ns, close_ns, price in zip(opens.tolist(), closes.tolist(), prices, strict=True):
        close = mark if np.isnan(price) else price
        fill_ns = close_ns - round((close_ns - open_ns) * (1.0 - after))
        paid = settlements.payments(PaidBar(begin, fill_ns, close_ns, mark, close))
        before.append(paid[0])
        then.append(paid[1])
        mark, begin = close, close_ns
    return before, then


@given(st.integers(0, 5000), st.sampled_from([1, 8, 24]), st.sampled_from([0.0, 0.5]))
def test_payments_are_those_of_the_batch_in_whatever_order_rows_come(
    seed: int, hours: int, after: float
) -> None:
    opens, closes, prices = bars_of(seed, hours)
    rows = settlements_of(seed, int(closes[-1]))
    settlements = IncrementalSettlements("binance")
    for at in np.random.default_rng(seed).permutation(len(rows[0])):
        settlements.add(int(rows[0][at]), float(rows[1][at]), float(rows[2][at]))
    settlements = IncrementalSettlements.from_arrays(settlements.arrays())
    batch = funding_payments(prices, opens, closes, *rows, filled_after=after)
    mine = payments_of(settlements, opens, closes, prices, after)
    # Before the first close there is no price, and nothing that could be held.
    np.testing.assert_allclose(mine[0][1:], batch.before[1:], rtol=0, atol=1e-15)
    np.testing.assert_allclose(mine[1][1:], batch.after[1:], rtol=0, atol=1e-15)


@given(st.integers(0, 5000), st.sampled_from([1, 8]))
def test_at_each_close_it_says_what_the_batch_says_of_the_rows_until_then(
    seed: int, hours: int
) -> None:
    opens, closes, prices = bars_of(seed, hours)
    times, rates, intervals = settlements_of(seed, int(closes[-1]))
    settlements, given_rows = IncrementalSettlements("binance"), 0
    for end in range(1, BARS + 1):
        known = times <= closes[end - 1]
        for at in range(given_rows, int(known.sum())):
            settlements.add(int(times[at]), float(rates[at]), float(intervals[at]))
        given_rows = int(known.sum())
        settlements.forget(int(closes[end - 1]) - 30 * HOUR)
        if end % 9:
            continue
        batch = funding_payments(
            prices[:end], opens[:end], closes[:end],
            times[known], rates[known], intervals[known], filled_after=0.5,
        )  # fmt: skip
        mine = payments_of(settlements, opens[:end], closes[:end], prices[:end], 0.5)
        np.testing.assert_allclose(mine[0][-1], batch.before[-1], rtol=0, atol=1e-15)
        np.testing.assert_allclose(mine[1][-1], batch.after[-1], rtol=0, atol=1e-15)


def test_the_oldest_are_forgotten_and_a_day_stays() -> None:
    settlements = IncrementalSettlements("okx")
    for hour in range(1000):
        settlements.add(hour * HOUR, 1e-4, 1.0)
        settlements.forget((hour - 1) * HOUR)
    assert len(settlements.arrays()["time_ns"]) == 50
    bar = PaidBar(975 * HOUR, 975 * HOUR, 976 * HOUR, 10.0, 20.0)
    before, after = settlements.payments(bar)
    assert (before, after) == pytest.approx((0.0, 20.0 * 1e-4))


def test_later_ones_alone_are_added_of_others() -> None:
    mine, theirs = (IncrementalSettlements("okx") for _ in range(2))
    mine.add(8 * HOUR, 1.0, 8.0)
    for hour, rate in ((8, 5.0), (16, 2.0)):
        theirs.add(hour * HOUR, rate, 8.0)
    mine.extend(theirs)
    assert mine.arrays()["rate"].tolist() == [1.0, 2.0]


def test_arrays_of_something_else_are_refused() -> None:
    arrays = IncrementalSettlements("okx").arrays()
    with pytest.raises(InputError, match="exchange is missing"):
        IncrementalSettlements.from_arrays({})
    with pytest.raises(InputError, match="0 settlements have 1 rates"):
        IncrementalSettlements.from_arrays(arrays | {"rate": np.ones(1)})
