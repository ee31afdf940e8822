from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError
from engine.kernels.features import FEATURE_SET, FEATURES, LOOK_BACK, bar_features
from tests.engine.paths import HOUR, Path, random_path

VOLUME = [name for name in FEATURES if "volume" in name or "illiquidity" in name]
CALENDAR = ["hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "weekend"]


def rows_of(path: Path) -> np.ndarray:
    return bar_features(*path.columns())


def frame_of(path: Path) -> pd.DataFrame:
    return pd.DataFrame(rows_of(path), columns=list(FEATURES))


def same(left: np.ndarray, right: np.ndarray) -> bool:
    return np.array_equal(left, right, equal_nan=True)


def test_there_are_some_forty_features_each_with_its_own_name() -> None:
    assert 35 <= len(FEATURES) <= 50
    assert len(set(FEATURES)) == len(FEATURES)
    assert rows_of(random_path(0, 300)).shape == (300, len(FEATURES))


def test_every_feature_is_known_on_a_complete_history() -> None:
    moving = frame_of(random_path(1, 600))[LOOK_BACK:]
    # Flat bars and bars without trade leave a few percent unknown.
    assert moving.notna().mean().min() > 0.9


@given(st.integers(0, 10_000), st.integers(0, 500), st.sampled_from([0.0, 0.02, 0.3]))
def test_cutting_the_tail_off_changes_nothing_before(seed: int, end: int, missing: float) -> None:
    path = random_path(seed, 500, missing)
    assert same(rows_of(path[:end]), rows_of(path)[:end])


@given(st.integers(0, 10_000), st.integers(LOOK_BACK, 500), st.sampled_from([0.0, 0.02, 0.3]))
def test_the_last_look_back_bars_give_the_last_row(seed: int, end: int, missing: float) -> None:
    path = random_path(seed, 500, missing)
    recent = rows_of(path[end - LOOK_BACK : end])
    assert same(recent[-1], rows_of(path)[end - 1])


def test_one_bar_less_than_the_look_back_is_too_few() -> None:
    path = random_path(2, 500)
    assert not same(rows_of(path[-LOOK_BACK + 1 :])[-1], rows_of(path)[-1])


@given(st.integers(0, 10_000), st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_units_of_price_and_volume_do_not_matter(seed: int, price: float, volume: float) -> None:
    path = random_path(seed, 300, 0.02)
    np.testing.assert_allclose(
        rows_of(path.scaled(price, volume)), rows_of(path), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("column", ["open", "high", "low", "close"])
@pytest.mark.parametrize("value", [np.nan, 0.0, -1.0, np.inf])
def test_a_bar_without_four_positive_prices_knows_nothing(column: str, value: float) -> None:
    path = random_path(3, 400)
    prices = getattr(path, column).copy()
    prices[300] = value
    rows = rows_of(replace(path, **{column: prices}))
    assert np.isnan(rows[300]).all()
    assert same(rows, rows_of(path.without(300)))


def test_a_return_with_a_missing_end_is_missing_and_windows_skip_the_bar() -> None:
    path = random_path(3, 600)
    whole, holed = frame_of(path), frame_of(path.without(300))
    assert np.isnan(holed.ret_1[301])
    assert np.isnan(holed.ret_4[304])
    assert holed.ret_4[303] == pytest.approx(whole.ret_4[303], rel=0.1)
    windowed = ["log_gk_24", "log_abs_24", "position_24", "slope_24"]
    assert holed.loc[301:, windowed].notna().all().all()
    # Once the hole has left the look-back, nothing is left of it.
    touched = slice(300, 300 + LOOK_BACK)
    assert not same(holed[touched].to_numpy()[-1], whole[touched].to_numpy()[-1])
    assert same(holed[touched.stop :].to_numpy(), whole[touched.stop :].to_numpy())


@pytest.mark.parametrize(("holes", "valid"), [(12, True), (13, False)])
def test_a_window_wants_half_of_its_bars(holes: int, valid: bool) -> None:
    path = random_path(4, 400).without(slice(399 - holes, 399))
    assert frame_of(path).position_24.notna()[399] == valid


def test_a_missing_volume_hides_the_volume_features_alone() -> None:
    path = random_path(5, 400)
    volume = path.volume.copy()
    volume[:] = np.nan
    silent, whole = frame_of(replace(path, volume=volume)), frame_of(path)
    assert silent[VOLUME].isna().all().all()
    pd.testing.assert_frame_equal(silent.drop(columns=VOLUME), whole.drop(columns=VOLUME))


def constant(value: float, volume: float, n: int = 400) -> Path:
    prices = np.full(n, value)
    return Path(prices, prices, prices, prices, np.full(n, volume), HOUR * np.arange(1, n + 1))


@pytest.mark.parametrize("path", [constant(5.0, 0.0), constant(0.1, 3.3), constant(1e300, 1e308)])
def test_a_price_that_never_moves_has_unknown_ratios_and_nothing_infinite(path: Path) -> None:
    rows = frame_of(path)
    assert not np.isinf(rows.to_numpy()).any()
    assert rows[["ret_1", "body", "log_gk_24", "position_24", "rising_14"]].isna().all().all()
    assert rows[CALENDAR].notna().all().all()


@given(
    st.lists(st.floats(1e-300, 1e300), min_size=0, max_size=40),
    st.floats(0.0, 1e308),
    st.integers(0, 100),
)
def test_nothing_is_ever_infinite(prices: list[float], volume: float, seed: int) -> None:
    n = len(prices)
    p = np.array(prices)
    rng = np.random.default_rng(seed)
    other = p[rng.permutation(n)]
    path = Path(
        p,
        np.maximum(p, other),
        np.minimum(p, other),
        other,
        np.where(rng.random(n) < 0.5, volume, 0.0),
        HOUR * np.arange(n),
    )
    rows = rows_of(path)
    assert rows.shape == (n, len(FEATURES))
    assert not np.isinf(rows).any()


def test_a_flat_bar_among_others_misses_its_own_ratios_only() -> None:
    path = random_path(6, 400)
    close = path.close[350]
    flat = path[:]
    for column in flat.prices():
        column[350] = close
    flat.volume[350] = 0.0
    row = frame_of(flat).loc[350]
    unknown = {"range_1_24", "upper_shadow", "lower_shadow", "body", "volume_1_24"}
    assert {name for name in FEATURES if np.isnan(row[name])} == unknown


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_formulas_agree_with_a_plain_twin(missing: float) -> None:
    path = random_path(7, 500, missing)
    features, twin = frame_of(path), plain_twin(path)
    assert len(twin.columns) > 30
    for name in twin:
        np.testing.assert_allclose(features[name], twin[name], rtol=1e-7, atol=1e-9, err_msg=name)
        assert twin[name].notna().sum() > 50, name


def plain_twin(path: Path) -> pd.DataFrame:
    """The same formulas, as a reader would write them in pandas."""
    o, h, lo, c, v = (pd.Series(column) for column in path.columns()[:5])

    def mean(x: Any, window: int) -> Any:
        return x.rolling(window, min_periods=math.ceil(window / 2)).mean()

    def log(x: Any) -> Any:
        return np.log(x.where(x > 0))

    def log_ratio(x: Any, short: int, long: int) -> Any:
        return log(mean(x, short) / mean(x, long))

    def gk(window: int) -> Any:
        within = 0.5 * np.log(h / lo) ** 2 - (2 * math.log(2) - 1) * np.log(c / o) ** 2
        return np.sqrt(mean(within, window) + mean(np.log(o / c.shift()) ** 2, window))

    r: Any = np.log(c / c.shift())
    sigma = np.sqrt(mean(r**2, 72))
    span, rank = log(h / lo), log(c)
    hours = pd.concat([r.abs().shift(24 * k - 1) for k in range(1, 8)], axis=1)
    same_hour = hours.mean(axis=1).where(hours.notna().sum(axis=1) >= 4)
    foot, top = (lo.rolling(24, min_periods=12).min(), h.rolling(24, min_periods=12).max())
    week_top = h.rolling(168, min_periods=84).max()
    height = (h - lo).where(h > lo)
    amihud = r.abs() / (v * c).where(v > 0)
    twin = {
        **{
            f"ret_{k}": log(c / c.shift(k)) / (sigma * math.sqrt(k))
            for k in (1, 2, 4, 8, 24, 72, 168)
        },
        "log_gk_24": log(gk(24)),
        "log_gk_168": log(gk(168)),
        "gk_24_168": log(gk(24) / gk(168)),
        "log_cc_24": log(np.sqrt(mean(r**2, 24))),
        "log_abs_24": log(mean(r.abs(), 24)),
        "log_range_24": log(mean(span, 24)),
        "range_1_24": log_ratio(span, 1, 24),
        "range_4_24": log_ratio(span, 4, 24),
        "range_24_168": log_ratio(span, 24, 168),
        "abs_1_24": r.abs() / mean(r.abs(), 24),
        "abs_4_24": log_ratio(r.abs(), 4, 24),
        "abs_24_168": log_ratio(r.abs(), 24, 168),
        "same_hour_168": log(same_hour / mean(r.abs(), 168)),
        "vol_of_vol_168": np.sqrt(mean(log(gk(24)).diff() ** 2, 168)),
        "down_24": mean(r.where(r <= 0, 0 * r) ** 2, 24) / mean(r**2, 24),
        "above_mean_72": (rank - mean(rank, 72)) / (sigma * math.sqrt(72)),
        "slope_24": (mean(rank, 12) - mean(rank, 12).shift(12)) / (sigma * math.sqrt(24)),
        "efficiency_24": log(c / c.shift(24)).abs() / (24 * mean(r.abs(), 24)),
        "rising_14": mean(r.where(r >= 0, 0 * r), 14) / mean(r.abs(), 14),
        "autocorrelation_72": mean(r * r.shift(), 72) / sigma**2,
        "position_24": (c - foot) / (top - foot),
        "drawdown_168": np.log(c / week_top) / (sigma * math.sqrt(168)),
        "upper_shadow": (h - np.maximum(o, c)) / height,
        "body": (c - o) / height,
        "volume_1_24": log(v / mean(v, 24)),
        "volume_24_168": log_ratio(v, 24, 168),
        "signed_volume_4": mean(np.sign(r) * v, 4) / mean(v, 4),
        "illiquidity_24_168": log_ratio(amihud, 24, 168),
    }
    return pd.DataFrame(twin).where(c.notna(), axis=0)


def calendar_at(close: str) -> Any:
    path = constant(5.0, 1.0, 1)
    time = np.array([pd.Timestamp(close, tz="UTC").as_unit("ns").value])
    return frame_of(replace(path, close_time_ns=time)).loc[0, CALENDAR]


def test_the_calendar_is_that_of_the_next_bar() -> None:
    expected = {"hour_sin": 0, "hour_cos": 1, "weekday_sin": 0, "weekday_cos": 1, "weekend": 0}
    assert calendar_at("2024-01-01 00:00").to_dict() == pytest.approx(expected)  # a Monday
    six = calendar_at("2024-01-01 06:00")
    assert (six.hour_sin, six.hour_cos) == pytest.approx((1, 0))
    noon_on_thursday = calendar_at("2024-01-04 12:00")
    assert (noon_on_thursday.weekday_sin, noon_on_thursday.weekday_cos) == pytest.approx((0, -1))
    assert calendar_at("2024-01-05 23:00").weekend == 0.0
    assert calendar_at("2024-01-06 00:00").weekend == 1.0  # Friday's last bar: Saturday is next
    assert calendar_at("2024-01-07 23:00").weekend == 1.0
    assert calendar_at("2024-01-08 00:00").weekend == 0.0


def test_columns_of_unequal_length_are_refused() -> None:
    path = random_path(8, 50)
    with pytest.raises(InputError, match="volume has shape"):
        bar_features(*path.prices(), volume=path.volume[1:], close_time_ns=path.close_time_ns)


def test_the_executor_needs_no_pandas_for_it() -> None:
    code = (
        "import sys, engine.kernels.features, engine.kernels.regimes, engine.kernels.targets;"
        "print([m for m in ('pandas', 'scipy', 'mlflow', 'torch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_changed_formula_needs_a_new_name() -> None:
    t = np.arange(400.0)
    close = 100 * np.exp(0.02 * np.sin(t / 7) + 0.05 * np.sin(t / 61) + 0.003 * np.cos(2.3 * t))
    open_ = 100 * np.exp(0.02 * np.sin((t - 1) / 7) + 0.05 * np.sin((t - 1) / 61))
    path = Path(
        open_,
        np.maximum(open_, close) * 1.001,
        np.minimum(open_, close) * 0.998,
        close,
        50 + 30 * np.sin(t / 5),
        HOUR * np.arange(1, 401),
    )
    assert FEATURE_SET == "bars-1"
    np.testing.assert_allclose(rows_of(path)[-1], [float(x) for x in GOLDEN.split()], atol=2e-5)


#: The last row of that path, in the order of the features.
GOLDEN = """
    1.63534 1.75805 2.18311 2.25151 1.57552 1.49604 0.63732 -5.46140 -5.47585 -5.38197
    -5.56334 -5.17118 0.48912 0.26434 0.03343 1.91743 0.30670 0.01281 0.01446 0.01902 0.01370
    0.25177 0.45942 1.43105 1.12110 0.97757 0.91060 0.45042 0.37708 0.20853 0.85538 -0.24070
    0.97923 0.98934 -0.01715 0.10838 0.21542 0.67620 -0.98312 0.14460 0.47638 0.18535 -0.17787
    -0.86603 -0.50000 -0.93087 0.36534 1.00000
"""
