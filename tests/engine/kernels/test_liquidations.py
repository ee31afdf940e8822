"""Forced closes at every bar: what was listened to and had arrived, or unknown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from brain.errors import InputError
from engine.kernels.incremental.liquidations import IncrementalLiquidations
from engine.kernels.liquidations import (
    DELAY_NS,
    LIQUIDATION_FEATURES,
    LIQUIDATION_LOOK_BACK,
    LIQUIDATION_WINDOWS,
    MINUTE_NS,
    MinuteRows,
    liquidation_features,
)
from tests.engine.forced import Forced, forced_rows, random_forced
from tests.engine.kernels.incremental.drive import bars_of, bits, rows_of
from tests.engine.paths import HOUR, Path, random_path

NOTHING = Forced(())
EXCHANGES = ("binance", "okx")
SECOND = 1_000_000_000

seeds = st.integers(0, 10_000)


def column(name: str) -> int:
    return LIQUIDATION_FEATURES.index(name)


def heard(
    path: Path, amounts: dict[int, tuple[float, float]], without: frozenset[int] = frozenset()
) -> MinuteRows:
    """Every minute of a path; amounts and what is left out by minutes since the first close."""
    start = int(path.close_time_ns[0]) - HOUR
    minutes = [m for m in range(-59, 60 * len(path)) if m not in without]
    time = np.array([start + HOUR + m * MINUTE_NS for m in minutes], dtype=np.int64)
    usd = np.array([amounts.get(m, (0.0, 0.0)) for m in minutes])
    return MinuteRows(time, time + 30 * SECOND, usd[:, 0], usd[:, 1])


Window = tuple[float, float, float]


def known_at(rows: MinuteRows, close: int) -> dict[int, tuple[float, float]]:
    """The minutes that are known at a bar's close, a row at a time."""
    known: dict[int, tuple[float, float]] = {}
    doubted = set()
    columns = (c.tolist() for c in vars(rows).values())
    ordered = sorted((a, t, *usd) for t, a, *usd in zip(*columns, strict=True))
    for available, time, long, short in ordered:
        if available > close:
            break
        if np.isnan(long):
            doubted.add(time)
        else:
            known.setdefault(time, (round(long, 2), round(short, 2)))
    return {time: pair for time, pair in known.items() if time not in doubted}


def window_at(known: dict[int, tuple[float, float]], after: int, close: int) -> Window:
    """USD a minute, of longs and of shorts in a window."""
    inside = [pair for time, pair in known.items() if after < time + DELAY_NS <= close]
    whole = (close - after) / MINUTE_NS
    long, short = (sum(pair[k] for pair in inside) for k in (0, 1))
    if not inside or len(inside) < (0.95 * whole if long + short > 0 else whole):
        return np.nan, np.nan, np.nan
    return (long + short) / len(inside), long, short


def twin(path: Path, rows: MinuteRows, first: int) -> NDArray[np.float64]:
    """The formulas as they are written, for one exchange, from a bar on."""
    closes = path.close_time_ns.tolist()
    table = np.full((len(path), len(LIQUIDATION_FEATURES)), np.nan)
    rates: list[float] = []
    for t in range(first - 23, len(path)):
        known = known_at(rows, closes[t])
        bar, day, week = (window_at(known, closes[t - w], closes[t]) for w in LIQUIDATION_WINDOWS)
        rates.append(bar[0])
        recent = np.array(rates[-24:])
        peak = np.nanmax(recent) if np.isfinite(recent).sum() >= 12 else np.nan
        traded = (path.volume * path.close)[t - 23 : t + 1]
        mean = np.nanmean(traded) if np.isfinite(traded).sum() >= 12 else np.nan
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = np.array([bar[0], day[0], peak]) / week[0]
            sides = [(long - short) / np.float64(long + short) for _, long, short in (bar, day)]
        minutes = (closes[t] - closes[t - 24]) / MINUTE_NS
        if t >= first and all(price[t] > 0 for price in path.prices()):
            table[t] = [*np.log(1 + parts), *sides, day[0] * minutes / (24 * mean)]
    return table


@pytest.mark.parametrize("seed", range(2))
def test_the_kernel_is_its_slow_twin(seed: int) -> None:
    path = random_path(seed, 195, 0.02)
    forced = random_forced(path, seed)
    tables = np.array([twin(path, rows, 168) for rows in forced.minutes])
    known = np.isfinite(tables)
    both = np.where(known, tables, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    expected = np.where(known.any(axis=0), both, np.nan)
    rows = forced_rows(path, forced)
    np.testing.assert_allclose(rows[168:], expected[168:], rtol=1e-9, atol=1e-12)
    assert np.isfinite(rows[168:]).any(axis=0).all()


# --- point in time --------------------------------------------------------------------------------


@given(seeds, st.integers(1, 260), seeds)
def test_bars_see_what_had_arrived_by_their_close(seed: int, end: int, order: int) -> None:
    """Whatever comes later, and in whatever order all of it arrives."""
    path = random_path(seed, 260, 0.02)
    forced = random_forced(path, seed)
    whole = forced_rows(path, forced)
    arrived = forced.arrived(int(path.close_time_ns[end - 1]))
    for world in (forced, arrived, arrived.shuffled(order), forced.shuffled(order)):
        assert bits(forced_rows(path[:end], world)) == bits(whole[:end])
    assert bits(forced_rows(path, arrived.shuffled(order))[:end]) == bits(whole[:end])


@given(seeds, st.integers(LIQUIDATION_LOOK_BACK, 260))
def test_the_last_look_back_bars_give_the_last_row(seed: int, end: int) -> None:
    path = random_path(seed, 260, 0.02)
    forced = random_forced(path, seed)
    recent = path[end - LIQUIDATION_LOOK_BACK : end]
    assert bits(forced_rows(recent, forced)[-1]) == bits(forced_rows(path, forced)[end - 1])


def test_a_minute_is_of_the_bar_that_closes_a_minute_after_its_end() -> None:
    path = random_path(1, 200)
    for minute, bar in ((6000, 101), (5999, 100), (5941, 100), (5940, 100), (5939, 99)):
        rows = forced_rows(path, Forced([heard(path, {10: (1.0, 0.0), minute: (70.0, 30.0)})]))
        sides = np.flatnonzero(rows[:, column("liq_side_1")] == 0.4)
        assert sides.tolist() == [bar]


# --- unknown is not zero --------------------------------------------------------------------------


def test_zero_means_that_every_minute_was_listened_to_and_nothing_came() -> None:
    path = random_path(2, 200)
    place = column("liq_1_168")
    whole = forced_rows(path, Forced([heard(path, {10: (5.0, 0.0)})]))
    assert whole[168, place] == 0.0  # minute 10 is of bar 1, the first of the window
    assert np.isnan(whole[:168, place]).all()
    # A single minute that was not listened to, and the bar's zero is unknown.
    lacking = forced_rows(path, Forced([heard(path, {10: (5.0, 0.0)}, frozenset({168 * 60 - 5}))]))
    assert np.isnan(lacking[168, place])
    # Where something came, the rest says what can be said.
    came = {10: (5.0, 0.0), 168 * 60 - 9: (0.0, 2.0)}
    lacking = forced_rows(path, Forced([heard(path, came, frozenset({168 * 60 - 5}))]))
    assert lacking[168, column("liq_side_1")] == -1.0
    assert np.isfinite(lacking[168, place])
    # But not where more than a twentieth is unknown.
    deaf = frozenset(range(168 * 60 - 8, 168 * 60 - 4))
    assert np.isnan(forced_rows(path, Forced([heard(path, came, deaf)]))[168, place])


def test_without_minutes_all_is_unknown() -> None:
    path = random_path(3, 200)
    empty = MinuteRows(*(np.empty(0, t) for t in (np.int64, np.int64, float, float)))
    for forced in (NOTHING, Forced([empty])):
        assert np.isnan(forced_rows(path, forced)).all()


def test_an_exchange_that_is_not_listened_to_changes_no_bit() -> None:
    path = random_path(4, 260)
    forced = random_forced(path, 4)
    empty = MinuteRows(*(np.empty(0, t) for t in (np.int64, np.int64, float, float)))
    more = Forced([*forced.minutes, empty])
    assert bits(forced_rows(path, more)) == bits(forced_rows(path, forced))


@pytest.mark.parametrize("usd", [np.nan, -1.0, np.inf])
def test_a_minute_without_an_amount_that_can_be_is_unknown(usd: float) -> None:
    path = random_path(5, 200)
    known = heard(path, {10: (5.0, 0.0)})
    columns = {name: values.copy() for name, values in vars(known).items()}
    columns["short_usd"][168 * 60] = usd
    rows = forced_rows(path, Forced([MinuteRows(**columns)]))
    assert np.isnan(rows[168, column("liq_1_168")])


def test_columns_of_other_lengths_are_refused() -> None:
    path = random_path(6, 20)
    rows = MinuteRows(path.close_time_ns, path.close_time_ns, np.zeros(20), np.zeros(3))
    with pytest.raises(InputError, match="short"):
        liquidation_features(*path.columns(), [rows])


# --- a bar at a time ------------------------------------------------------------------------------


def kernel_of(forced: Forced) -> IncrementalLiquidations:
    kernel = IncrementalLiquidations(EXCHANGES)
    for exchange, rows in zip(EXCHANGES, forced.minutes, strict=True):
        for row in zip(*(c.tolist() for c in vars(rows).values()), strict=True):
            kernel.minute(exchange, *row)
    return kernel


@given(
    seed=seeds,
    missing=st.sampled_from([0.0, 0.05, 0.3]),
    restarts=st.frozensets(st.integers(0, 259), max_size=3),
)
def test_no_cell_differs_from_the_batch(
    seed: int, missing: float, restarts: frozenset[int]
) -> None:
    path = random_path(seed, 260, missing)
    forced = random_forced(path, seed)
    rows = rows_of(kernel_of(forced), path, restarts, IncrementalLiquidations.from_arrays)
    assert bits(rows) == bits(forced_rows(path, forced))


def test_a_minute_that_is_pushed_late_is_as_one_that_arrived_late_and_twice_is_once() -> None:
    path = random_path(7, 200)
    start = int(path.close_time_ns[0])
    known = heard(path, {10: (5.0, 0.0), 175 * 60 + 9: (0.0, 40.0)})
    late = known.time_ns == start + (175 * 60 + 9) * MINUTE_NS
    kernel, rows = IncrementalLiquidations(["okx"]), []
    for row in zip(*(c[~late].tolist() for c in vars(known).values()), strict=True):
        kernel.minute("okx", *row)
    for place, bar in enumerate(bars_of(path)):
        if place == 178:
            for again in 2 * [[c[late][0] for c in vars(known).values()]]:
                kernel.minute("okx", *again)
        rows.append(kernel.push(*bar))
    arrived = known.available_ns + np.where(late, (178 * 60 - (175 * 60 + 10)) * MINUTE_NS, 0)
    batch = MinuteRows(known.time_ns, arrived, known.long_usd, known.short_usd)
    assert bits(np.array(rows)) == bits(forced_rows(path, Forced([batch])))
    assert rows[178][column("liq_side_24")] == -1.0


def test_exchanges_without_any_in_training_are_refused() -> None:
    with pytest.raises(InputError, match="liquidations of 'bibance' don't count"):
        IncrementalLiquidations(["binance"]).minute("bibance", 1, 1, 0.5, 0.0)
    with pytest.raises(InputError, match="comes twice"):
        IncrementalLiquidations(["okx", "okx"])
    arrays = IncrementalLiquidations([]).arrays()
    assert IncrementalLiquidations.from_arrays(arrays).exchanges == ()
    with pytest.raises(InputError, match="known is missing"):
        IncrementalLiquidations.from_arrays({k: v for k, v in arrays.items() if k != "known"})


def test_what_no_bar_can_have_is_refused() -> None:
    path = random_path(8, 30)
    kernel = kernel_of(random_forced(path, 8))
    for bar in bars_of(path):
        kernel.push(*bar)
    arrays = kernel.arrays()
    spoilt = arrays["known"].copy()
    spoilt[0, 3] = 2**40
    with pytest.raises(InputError, match="minutes from the"):
        IncrementalLiquidations.from_arrays({**arrays, "known": spoilt})
