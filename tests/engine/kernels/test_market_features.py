"""Funding and open interest at every bar: as they were known then, or else unknown."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from brain.errors import InputError
from engine.kernels.market_features import (
    MARKET_FEATURE_SET,
    MARKET_FEATURES,
    MARKET_LOOK_BACK,
    FundingRows,
    OpenInterestRows,
)
from tests.engine.markets import Market, random_market, rows_of
from tests.engine.paths import HOUR, Path, random_path

FUNDING = [name for name in MARKET_FEATURES if name.startswith("funding")]
OPEN_INTEREST = [name for name in MARKET_FEATURES if name.startswith("oi")]
NOTHING = Market((), ())


def frame_of(path: Path, market: Market) -> pd.DataFrame:
    return pd.DataFrame(rows_of(path, market), columns=list(MARKET_FEATURES))


def same(left: NDArray[np.float64], right: NDArray[np.float64]) -> bool:
    return np.array_equal(left, right, equal_nan=True)


def funding(
    *rows: tuple[float, float], hours: float = 8.0, late: float = 0.0, start: int = 0
) -> FundingRows:
    """Rows of (hours since the start, rate)."""
    time = np.array([start + int(at * HOUR) for at, _ in rows], dtype=np.int64)
    rates = np.array([rate for _, rate in rows])
    return FundingRows(time, time + int(late * HOUR), rates, np.full(len(rows), hours))


def interest(*rows: tuple[float, float], period: float = 1.0, start: int = 0) -> OpenInterestRows:
    """Rows of (hours since the start, base units)."""
    time = np.array([start + int(at * HOUR) for at, _ in rows], dtype=np.int64)
    base = np.array([value for _, value in rows])
    return OpenInterestRows(time, time + int(period * HOUR), base, np.full(len(rows), np.nan))


def start_of(path: Path) -> int:
    """The close of the bar before the first."""
    return int(path.close_time_ns[0]) - HOUR


# --- point in time ------------------------------------------------------------------------------

seeds = st.integers(0, 10_000)
shares = st.sampled_from([0.0, 0.1, 0.6])


@given(seeds, st.integers(0, 400), shares)
def test_what_comes_later_changes_nothing_before(seed: int, end: int, missing: float) -> None:
    path = random_path(seed, 400, missing / 5)
    market = random_market(path, seed, missing=missing)
    whole = rows_of(path, market)
    assert same(rows_of(path[:end], market), whole[:end])
    if end:
        public = market.published(int(path.close_time_ns[end - 1]))
        assert same(rows_of(path[:end], public), whole[:end])
        assert same(rows_of(path, public)[:end], whole[:end])


@given(seeds, st.integers(MARKET_LOOK_BACK, 400), shares)
def test_the_last_look_back_bars_give_the_last_row(seed: int, end: int, missing: float) -> None:
    path = random_path(seed, 400, missing / 5)
    market = random_market(path, seed, missing=missing)
    recent = path[end - MARKET_LOOK_BACK : end]
    features = rows_of(recent, market.stamped(int(recent.close_time_ns[0])))
    assert same(features[-1], rows_of(path, market)[end - 1])


def test_one_bar_less_than_the_look_back_is_too_few() -> None:
    path = random_path(2, 400)
    market = random_market(path, 2)
    assert not same(rows_of(path[-MARKET_LOOK_BACK + 1 :], market)[-1], rows_of(path, market)[-1])


def test_a_row_counts_from_the_close_at_which_it_was_published() -> None:
    path = random_path(0, 30)
    start = start_of(path)
    rows = funding((0, 1e-4), (8, 3e-4), late=1, start=start)
    rates = frame_of(path, Market([rows], ()))["funding_8h"]
    assert rates[:8].tolist() == [1e-4] * 8  # closes 1 to 8; the second is published at 9
    assert rates[8:24].tolist() == [3e-4] * 16  # stale after 8 + 2 * 8
    assert rates[24:].isna().all()


def test_an_old_row_that_is_published_late_replaces_nothing() -> None:
    path = random_path(0, 12)
    rows = funding((0, 1e-4), (4, 2e-4), hours=4.0, start=start_of(path))
    late = replace(rows, available_ns=rows.available_ns + np.array([6 * HOUR, 0]))
    rates = frame_of(path, Market([late], ()))["funding_8h"]
    assert np.isnan(rates[:3]).all()
    assert rates[3:].tolist() == [4e-4] * 9


@pytest.mark.parametrize(("hours", "bars"), [(8.0, 16), (4.0, 8), (1.0, 2)])
def test_a_rate_is_stale_two_of_its_intervals_after_its_settlement(hours: float, bars: int) -> None:
    path = random_path(0, 40)
    rows = funding((1, 1e-4), hours=hours, start=start_of(path))
    features = frame_of(path, Market([rows], ()))
    assert features["funding_8h"].notna().tolist() == [i <= bars for i in range(40)]
    assert features["funding_8h"][0] == 1e-4 * 8 / hours
    elapsed = features["funding_elapsed"].dropna()
    np.testing.assert_allclose(elapsed, np.arange(bars + 1) / hours)


def test_open_interest_is_stale_two_of_its_periods_after_its_stamp() -> None:
    path = random_path(0, 60)
    start = start_of(path)
    hourly, daily = interest((0, 5.0), start=start), interest((0, 5.0), period=24.0, start=start)
    turnover = [
        frame_of(path.without(slice(0, 0)), Market((), [rows]))["oi_turnover_24"]
        for rows in (hourly, daily)
    ]
    # Half a window of traded value is needed: the first eleven bars know none.
    assert turnover[0].isna().all()
    assert turnover[1].notna().tolist() == [23 <= i < 48 for i in range(60)]


# --- several exchanges --------------------------------------------------------------------------


def test_an_exchange_that_falls_out_is_no_change_of_open_interest() -> None:
    path = random_path(1, 100)
    start = start_of(path)
    small = [(h, 100.0 * 1.01**h) for h in range(100)]
    large = [(h, 9000.0 * 1.01**h) for h in range(40)]
    features = frame_of(
        path, Market((), [interest(*small, start=start), interest(*large, start=start)])
    )
    np.testing.assert_allclose(features["oi_change_1"].dropna(), np.log(1.01))
    # Its last row stands for one bar more, so that its change over 24 bars is that of 23.
    np.testing.assert_allclose(features["oi_change_24"].dropna(), 24 * np.log(1.01), rtol=1 / 40)
    assert features["oi_change_1"].notna().sum() == 99


def test_between_two_bars_that_know_the_same_row_the_change_is_unknown() -> None:
    path = random_path(1, 30)
    rows = [(h, 100.0 + h) for h in range(30) if h != 10]
    features = frame_of(path, Market((), [interest(*rows, start=start_of(path))]))["oi_change_1"]
    assert np.flatnonzero(features.isna()).tolist() == [0, 10]  # the first, and where one is late
    assert features[11] == pytest.approx(np.log(111 / 109))


def test_the_spread_wants_two_exchanges_and_an_unknown_one_changes_no_bit() -> None:
    path = random_path(1, 200)
    start = start_of(path)
    one = funding((0, 1e-4), (8, 2e-4), (16, 1e-4), start=start)
    other = funding((0, 5e-5), hours=4.0, start=start)
    alone = frame_of(path, Market([one], ()))
    assert alone["funding_spread"].isna().all()
    both = frame_of(path, Market([one, other], ()))
    assert both["funding_spread"][:7].tolist() == [0.0] * 7  # both 1e-4 for 8 hours
    assert both["funding_spread"][7] == pytest.approx(1e-4)  # 2e-4, against the 4-hour rate
    assert both["funding_spread"][8:].isna().all()
    dead = replace(other, time_ns=other.time_ns - 900 * HOUR)
    assert same(rows_of(path, Market([dead, one], ())), alone.to_numpy())


# --- unknown ------------------------------------------------------------------------------------


def test_nothing_published_is_all_unknown() -> None:
    path = random_path(0, 50)
    empty = Market([funding()], [interest()])
    for market in (NOTHING, empty):
        assert np.isnan(rows_of(path, market)).all()
    assert rows_of(path[:0], empty).shape == (0, len(MARKET_FEATURES))


def test_one_kind_alone_leaves_the_other_unknown() -> None:
    path = random_path(0, 400)
    market = random_market(path, 0)
    rates = frame_of(path, replace(market, open_interest=()))
    interests = frame_of(path, replace(market, funding=()))
    assert rates[OPEN_INTEREST].isna().all().all()
    assert interests[FUNDING].isna().all().all()
    both = frame_of(path, market)
    pd.testing.assert_frame_equal(both[FUNDING], rates[FUNDING])
    pd.testing.assert_frame_equal(both[OPEN_INTEREST], interests[OPEN_INTEREST])


def test_a_missing_bar_knows_nothing() -> None:
    path = random_path(0, 300)
    market = random_market(path, 0, missing=0.0)
    whole, holed = frame_of(path, market), frame_of(path.without(200), market)
    assert holed.loc[200].isna().all()
    for name in (*FUNDING, "oi_change_1", "oi_change_24", "oi_change_168"):
        pd.testing.assert_series_equal(holed[name].drop(200), whole[name].drop(200))
    assert np.isnan(holed["oi_flow_24"][224])  # its return has a missing end


@pytest.mark.parametrize(
    ("rate", "hours"), [(np.nan, 8.0), (np.inf, 8.0), (1.0, 8.0), (1e-4, np.nan), (1e-4, 0.0)]
)
def test_a_rate_that_cannot_be_is_unknown_and_not_the_one_before(rate: float, hours: float) -> None:
    path = random_path(0, 40)
    good = funding((0, 1e-4), (8, 1e-4), (16, 1e-4), start=start_of(path))
    rates, intervals = good.rate.copy(), good.interval_hours.copy()
    rates[1], intervals[1] = rate, hours
    bad = replace(good, rate=rates, interval_hours=intervals)
    features = frame_of(path, Market([bad], ()))["funding_8h"]
    valid = [i < 7 or 15 <= i < 32 for i in range(40)]
    assert features.notna().tolist() == valid


@pytest.mark.parametrize("value", [np.nan, 0.0, -1.0, np.inf])
def test_open_interest_that_cannot_be_is_unknown(value: float) -> None:
    path = random_path(0, 60)
    rows = interest(*[(h, value if h == 40 else 5.0 + h) for h in range(60)], start=start_of(path))
    features = frame_of(path, Market((), [rows]))
    assert np.flatnonzero(features["oi_change_1"].isna()).tolist() == [0, 40, 41]
    assert np.isnan(features["oi_turnover_24"][40])


@given(
    st.lists(
        st.tuples(st.floats(allow_nan=True), st.floats(allow_nan=True), st.floats(0.0, 1e308)),
        min_size=1,
        max_size=30,
    )
)
def test_nothing_is_ever_infinite(values: list[tuple[float, float, float]]) -> None:
    path = random_path(0, 40)
    rate, usd, base = (np.array(column) for column in zip(*values, strict=True))
    time = start_of(path) + HOUR * np.arange(len(values), dtype=np.int64)
    rates = FundingRows(time, time, rate, np.abs(usd))
    rows = rows_of(path, Market([rates], [OpenInterestRows(time, time + HOUR, base, usd)]))
    assert not np.isinf(rows).any()
    assert np.nanmax(np.abs(rows), initial=0.0) < 1e6  # what every family takes


def test_columns_of_unequal_length_are_refused() -> None:
    path = random_path(0, 20)
    rows = replace(funding((0, 1e-4)), rate=np.zeros(2))
    with pytest.raises(InputError, match="funding's rate has shape"):
        rows_of(path, Market([rows], ()))
    with pytest.raises(InputError, match="volume has shape"):
        rows_of(replace(path, volume=path.volume[1:]), NOTHING)


# --- formulas -----------------------------------------------------------------------------------


def test_formulas_agree_with_a_plain_twin() -> None:
    path = random_path(7, 600, 0.02)
    market = random_market(path, 7)
    features, twin = frame_of(path, market), plain_twin(path, market)
    assert list(twin) == list(MARKET_FEATURES)
    for name in twin:
        np.testing.assert_allclose(features[name], twin[name], rtol=1e-7, atol=1e-12, err_msg=name)
        assert twin[name].notna().sum() > 50, name


def plain_twin(path: Path, market: Market) -> pd.DataFrame:
    """The same formulas, as a reader would write them in pandas."""
    closes = path.close_time_ns
    _, _, _, c, v = (pd.Series(column) for column in path.columns()[:5])
    rates, elapsed = {}, {}
    for k, rows in enumerate(market.funding):
        rows_at = _as_of(rows, rows.interval_hours * HOUR, closes)
        rows_at["interval_hours"] = rows_at["interval_hours"].where(rows_at["rate"].notna())
        rates[k] = rows_at["rate"] * 8 / rows_at["interval_hours"]
        elapsed[k] = (closes - rows_at["time_ns"]) / (rows_at["interval_hours"] * HOUR)
    rate = pd.DataFrame(rates)
    changes, values = {1: {}, 24: {}, 168: {}}, {}  # type: ignore[var-annotated]
    for k, stamps in enumerate(market.open_interest):
        rows_at = _as_of(stamps, np.full(len(stamps.base), HOUR), closes)
        for h in changes:
            moved: Any = np.log(rows_at["base"] / rows_at["base"].shift(h))
            changes[h][k] = moved.where(rows_at["time_ns"] > rows_at["time_ns"].shift(h))
        values[k] = np.log(rows_at["usd"].fillna(rows_at["base"] * c))
    change = {h: pd.DataFrame(columns).mean(axis=1) for h, columns in changes.items()}
    funding_8h = rate.mean(axis=1)
    day = 24 * (v * c).rolling(24, min_periods=12).mean()
    twin = {
        "funding_8h": funding_8h,
        "funding_mean_24": funding_8h.rolling(24, min_periods=12).mean(),
        "funding_mean_168": funding_8h.rolling(168, min_periods=84).mean(),
        "funding_spread": (rate.max(axis=1) - rate.min(axis=1)).where(rate.count(axis=1) > 1),
        "funding_elapsed": pd.DataFrame(elapsed).mean(axis=1),
        **{f"oi_change_{h}": columns for h, columns in change.items()},
        "oi_turnover_24": pd.DataFrame(values).mean(axis=1) - np.log(day),
        "oi_flow_24": change[24] * np.sign(np.log(c / c.shift(24))),
    }
    return pd.DataFrame(twin).where(c.notna(), axis=0)


def _as_of(
    rows: FundingRows | OpenInterestRows, period: NDArray[np.float64], closes: NDArray[np.int64]
) -> pd.DataFrame:
    """Row by row: the newest of those published by each close, blank where it is stale."""
    table = pd.DataFrame(vars(rows)).assign(period=period).sort_values("time_ns")
    rows_at = []
    for close in closes:
        last = table[table.available_ns <= close].tail(1)
        fresh = len(last) == 1 and close - last.time_ns.item() <= 2 * last.period.item()
        rows_at.append(last.iloc[0].to_dict() if fresh else {})
    return pd.DataFrame(rows_at, columns=list(table)).astype(float)


def test_the_executor_needs_no_pandas_for_it() -> None:
    code = (
        "import sys, engine.kernels.market_features;"
        "print([m for m in ('pandas', 'scipy', 'mlflow', 'torch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_changed_formula_needs_a_new_name() -> None:
    t = np.arange(400.0)
    close = 100 * np.exp(0.02 * np.sin(t / 7) + 0.05 * np.sin(t / 61))
    closes = HOUR * np.arange(1, 401)
    path = Path(close, close, close, close, 50 + 30 * np.sin(t / 5), closes)
    hours = np.arange(0, 401, dtype=np.int64)
    settled = HOUR * hours[::8]
    stamped = HOUR * hours
    market = Market(
        [
            FundingRows(settled, settled, 1e-4 * np.sin(settled / 9e13), np.full(len(settled), n))
            for n in (8.0, 4.0)
        ],
        [
            OpenInterestRows(
                stamped,
                stamped + HOUR,
                1e4 * np.exp(0.1 * np.sin(hours / k)),
                1e6 + hours.astype(np.float64),
            )
            for k in (20, 70)
        ],
    )
    assert MARKET_FEATURE_SET == "market-1"
    np.testing.assert_allclose(
        rows_of(path, market)[-1], [float(x) for x in GOLDEN.split()], rtol=1e-4
    )


#: The last row of that path, in the order of the features.
GOLDEN = """
    -4.318550e-05 4.374601e-05 4.521235e-07 2.879033e-05 0 1.781624e-03 6.196812e-02 6.743359e-02
    1.995615 6.196812e-02
"""
