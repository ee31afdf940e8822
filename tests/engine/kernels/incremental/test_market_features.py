from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest

import numpy as np
import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError
from engine.kernels.incremental.market_features import IncrementalMarketFeatures
from engine.kernels.market_features import MARKET_FEATURES
from tests.engine.kernels.incremental.drive import bars_of, bits, rows_of
from tests.engine.markets import Market, random_market, rows_of as batch
from tests.engine.paths import HOUR, random_path

EXCHANGES = ("binance", "bybit", "okx")


def add(kernel: IncrementalMarketFeatures, market: Market) -> IncrementalMarketFeatures:
    for exchange, funding, interest in zip_longest(EXCHANGES, market.funding, market.open_interest):
        for push, rows in ((kernel.funding, funding), (kernel.open_interest, interest)):
            for row in zip(*(column.tolist() for column in vars(rows).values()), strict=True):
                push(exchange, *row)
    return kernel


@given(
    seed=st.integers(0, 10_000),
    missing=st.sampled_from([0.0, 0.05, 0.3]),
    lost=st.sampled_from([0.0, 0.1, 0.6]),
    restarts=st.frozensets(st.integers(0, 399), max_size=3),
)
def test_no_cell_differs_from_the_batch_with_rows_in_any_order(
    seed: int, missing: float, lost: float, restarts: frozenset[int]
) -> None:
    path = random_path(seed, 400, missing)
    market = random_market(path, seed, missing=lost)
    kernel = add(IncrementalMarketFeatures(EXCHANGES), market)
    rows = rows_of(kernel, path, restarts, IncrementalMarketFeatures.from_arrays)
    assert bits(rows) == bits(batch(path, market))


@given(st.integers(0, 10_000), st.integers(0, 8), st.frozensets(st.integers(0, 299), max_size=2))
def test_a_row_that_comes_late_is_as_one_that_was_published_late(
    seed: int, most: int, restarts: frozenset[int]
) -> None:
    path = random_path(seed, 300)
    market = random_market(path, seed)
    draw = np.random.default_rng(seed)
    # Each row comes before the first bar that closes so many hours after it was published.
    comes = [rows.available_ns + HOUR * draw.integers(0, most + 1, len(rows.time_ns))
             for rows in market.funding]  # fmt: skip
    kernel = IncrementalMarketFeatures(EXCHANGES)
    pushed = []
    waiting = sorted(
        (come, exchange, row)
        for exchange, rows, times in zip(EXCHANGES, market.funding, comes, strict=True)
        for come, row in zip(
            times.tolist(),
            zip(*(c.tolist() for c in vars(rows).values()), strict=True),
            strict=True,
        )
    )
    for place, bar in enumerate(bars_of(path)):
        while waiting and waiting[0][0] <= bar[-1]:
            _, exchange, row = waiting.pop(0)
            kernel.funding(exchange, *row)
        pushed.append(kernel.push(*bar))
        if place in restarts:
            kernel = IncrementalMarketFeatures.from_arrays(kernel.arrays())
    late = [replace(rows, available_ns=times)
            for rows, times in zip(market.funding, comes, strict=True)]  # fmt: skip
    funding = [name.startswith("funding") for name in MARKET_FEATURES]
    expected = batch(path, Market(late, []))
    assert np.isfinite(expected[:, funding]).mean() > 0.5
    assert bits(np.array(pushed)[:, funding]) == bits(expected[:, funding])


def test_open_interest_that_comes_late_counts_from_the_next_bar() -> None:
    place = MARKET_FEATURES.index("oi_change_1")
    path = random_path(1, 10)
    kernel = IncrementalMarketFeatures(["okx"])
    changes = []
    for t, bar in enumerate(bars_of(path)):
        if t != 5:  # that of the sixth bar comes with the next
            for stamp in (t,) if t != 6 else (5, 6):
                close = int(path.close_time_ns[stamp])
                kernel.open_interest("okx", close - HOUR, close, 100.0 + stamp, np.nan)
        changes.append(kernel.push(*bar)[place])
    assert np.flatnonzero(np.isnan(changes)).tolist() == [0, 5]
    # At the bar before the older row was public yet, and still fresh.
    assert changes[6] == pytest.approx(np.log(106 / 104))


def test_rows_of_an_exchange_without_any_in_training_are_refused() -> None:
    kernel = IncrementalMarketFeatures(["binance", "okx"])
    with pytest.raises(InputError, match="did you mean 'okx'"):
        kernel.funding("okex", 1, 1, 0.0001, 8.0)
    with pytest.raises(InputError, match="comes twice"):
        IncrementalMarketFeatures(["okx", "okx"])


def test_without_rows_all_is_unknown() -> None:
    kernel = IncrementalMarketFeatures([])
    rows = [kernel.push(*bar) for bar in bars_of(random_path(2, 30))]
    assert np.isnan(rows).all()
    kernel = IncrementalMarketFeatures.from_arrays(kernel.arrays())
    assert kernel.exchanges == ()
