"""Cascades and clusters of volatility: by the symbol's own past alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brain.errors import NotEnoughBarsError
from market.liquidations.cascades import cascades_of, past_ranks, volatility_clusters

FIRST = pd.Timestamp("2026-11-01", tz="UTC")


def joint(usd: np.ndarray, long_share: float = 0.8) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "time": pd.date_range(FIRST, periods=len(usd), freq="5min", unit="us"),
            "long_usd": long_share * usd,
            "short_usd": (1 - long_share) * usd,
            "liquidations": np.where(np.isnan(usd), np.nan, np.ceil(usd / 100)),
            "largest_usd": usd / 2,
            "listened": np.where(np.isnan(usd), 0.0, 1.0),
            "lower_bound": False,
        }
    )


def usual(bars: int, seed: int = 0) -> np.ndarray:
    """Mostly nothing, and now and then some thousand dollars."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(bars) < 0.6, 0.0, 1e4 * rng.exponential(size=bars))


def planted(bars: int = 600) -> np.ndarray:
    usd = usual(bars)
    usd[500:504] = [3e5, 9e5, 6e4, 3e5]
    usd[504:506] = [0, 0]
    return usd


def test_a_rank_is_among_a_values_own_past() -> None:
    rng = np.random.default_rng(1)
    values = np.round(rng.normal(size=300), 1)
    values[rng.random(300) < 0.1] = np.nan
    ranks = past_ranks(values, least=20)
    for place, value in enumerate(values):
        past = values[:place][~np.isnan(values[:place])]
        if np.isnan(value) or len(past) < 20:
            assert np.isnan(ranks[place])
        else:
            right = (past < value).mean() + (past == value).mean() / 2
            assert ranks[place] == pytest.approx(right)
    longer = past_ranks(np.concatenate([values, [99.0]]), least=20)
    np.testing.assert_array_equal(longer[:-1], ranks)


def test_a_planted_cascade_is_found_with_what_it_was() -> None:
    bars = joint(planted())
    start = FIRST + pd.Timedelta(minutes=5 * 450)
    (row,) = cascades_of(bars, start).query("usd > 1e6").to_dict("records")
    assert row["start"] == FIRST + pd.Timedelta(minutes=5 * 500)
    assert row["end"] == FIRST + pd.Timedelta(minutes=5 * 504)
    assert row["usd"] == pytest.approx(1.56e6)
    assert row["long_share"] == pytest.approx(0.8)
    assert row["bars"] == 4
    assert row["rank"] > 0.99
    assert not row["lower_bound"]


def test_what_is_large_for_one_symbol_is_small_for_another() -> None:
    start = FIRST + pd.Timedelta(minutes=5 * 450)
    small, large = cascades_of(joint(planted()), start), cascades_of(joint(50 * planted()), start)
    pd.testing.assert_frame_equal(small.drop(columns=["usd", "liquidations"]),
                                  large.drop(columns=["usd", "liquidations"]))  # fmt: skip


def test_no_cascade_depends_on_what_came_later() -> None:
    bars, start = joint(planted()), FIRST + pd.Timedelta(minutes=5 * 450)
    whole = cascades_of(bars, start)
    for until in (503, 505, 550):
        part = cascades_of(bars.iloc[:until], start)
        expected = whole[whole["start"] < bars["time"].iloc[until - 1]]
        assert part["start"].tolist()[: len(expected) - 1] == expected["start"].tolist()[:-1]
    lasting = cascades_of(bars.iloc[:503], start).iloc[-1]
    assert pd.isna(lasting["end"])


def test_an_unknown_bar_ends_a_cascade_and_is_none() -> None:
    usd = planted()
    usd[502] = np.nan
    found = cascades_of(joint(usd), FIRST + pd.Timedelta(minutes=5 * 450)).query("usd > 1e5")
    assert found["bars"].tolist() == [2, 1]
    unknown = joint(np.full(600, np.nan))
    with pytest.raises(NotEnoughBarsError, match=r"takes 200 bars listened to .* are 0: let"):
        cascades_of(unknown, FIRST + pd.Timedelta(days=2))


def test_quiet_symbols_have_no_cascade() -> None:
    assert len(cascades_of(joint(np.zeros(600)), FIRST + pd.Timedelta(days=1))) == 0


def test_the_share_of_bars_that_begin_a_cascade_is_what_the_quantile_says() -> None:
    """One of a hundred at most, of bars that are like their past."""
    starts = [
        len(cascades_of(joint(usual(2000, seed)), FIRST + pd.Timedelta(minutes=5 * 1000)))
        for seed in range(20)
    ]
    assert 0.004 < np.mean(starts) / 1000 < 0.014


def test_clusters_say_whether_liquidations_are_part_of_them() -> None:
    rng = np.random.default_rng(3)
    returns = 0.001 * rng.normal(size=600)
    returns[400:405] = [0.02, -0.015, 0.01, 0.012, -0.02]  # with liquidations
    returns[500:504] = [0.02, -0.015, 0.01, 0.012]  # without
    returns[550:553] = [0.03, -0.015, 0.01]  # nobody listened
    usd = usual(600)
    usd[380:410] = 0
    usd[400] = 1e6
    usd[495:510] = 0
    usd[545:560] = np.nan
    bars = joint(usd)
    closes = pd.Series(100 * np.exp(np.cumsum(returns)), index=bars["time"])
    table = volatility_clusters(bars, closes)
    assert set(table["label"][400:405]) == {"liquidation"}
    assert set(table["label"][500:504]) == {"other"}
    assert set(table["label"][550:553]) == {"unknown"}
    assert table["cluster"][400:405].nunique() == 1
    assert set(table["label"][:200]) == {"unknown"}  # no past
    assert (table["label"] == "calm").mean() > 0.3
    assert table["cluster"][table["label"] == "calm"].isna().all()
    cut = volatility_clusters(bars.iloc[:504], closes)
    same = table["volatility_rank"].iloc[:504]
    np.testing.assert_array_equal(cut["volatility_rank"], same)
