"""Planted faults are told with factor, time and number; sound prices, crashes included, are not."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from brain.series.bars import COLUMNS, Bars, check_bars
from brain.series.quality import Finding
from brain.series.quality.standstill import still_closes
from tests.brain.series.quality.prices import KINDS, prices

PRICES = list(COLUMNS[:4])
RATIOS = [
    Fraction(*r) for r in ((3, 2), (2, 1), (5, 2), (3, 1), (7, 1), (10, 1), (20, 1), (1000, 1))
]
SPLIT = "price that steps by a factor near {} and stays there, as at a split"
TICK = "price off by a factor near {} that comes back"


def bars(frame: pd.DataFrame, timeframe: str = "1h") -> Bars:
    return check_bars(frame, symbol="AAA/USD", timeframe=timeframe)


def findings(frame: pd.DataFrame, timeframe: str = "1h") -> tuple[Finding, ...]:
    checked = bars(frame, timeframe)
    before = checked.frame.copy(deep=True)
    listed = checked.findings.listed(pd.DatetimeIndex(checked.frame.index))
    pd.testing.assert_frame_equal(checked.frame, before)
    return listed


def only(frame: pd.DataFrame, timeframe: str = "1h") -> Finding:
    (finding,) = findings(frame, timeframe)
    return finding


def scaled(
    frame: pd.DataFrame, rows: slice, factor: float, names: list[str] = PRICES
) -> pd.DataFrame:
    """The bars with these rows' prices multiplied, and high and low around them."""
    frame = frame.copy()
    frame.loc[rows, names] *= factor
    frame["high"] = frame[PRICES].max(axis=1)
    frame["low"] = frame[PRICES].min(axis=1)
    return frame


# --- splits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ratio", [*RATIOS, *(1 / r for r in RATIOS)], ids=str)
def test_a_split_is_told_with_its_factor_and_time(kind: str, ratio: Fraction) -> None:
    frame = scaled(prices(600, kind), slice(321, None), float(ratio))
    finding = only(frame)
    assert finding.reason == SPLIT.format(ratio)
    assert (finding.kind, finding.rows) == ("split", 1)
    assert finding.first == finding.last == frame["time"][321]
    assert finding.cure == "adjust prices for splits at the source"


@pytest.mark.parametrize("row", [3, 25, 597, 599])
def test_a_split_near_an_end_is_told(row: int) -> None:
    finding = only(scaled(prices(600), slice(row, None), 0.5))
    assert (finding.reason, finding.first) == (SPLIT.format("1/2"), prices(600)["time"][row])


def test_two_splits_of_one_ratio_are_one_line() -> None:
    frame = scaled(scaled(prices(600), slice(100, None), 0.5), slice(400, None), 0.5)
    finding = only(frame)
    assert (finding.rows, finding.first, finding.last) == (2, *frame["time"][[100, 400]])
    assert str(finding) == (
        f"{SPLIT.format('1/2')}: 2 rows, 2024-01-05 04:00 UTC to 2024-01-17 16:00 UTC "
        "(adjust prices for splits at the source)"
    )


def test_a_split_is_told_over_missing_bars() -> None:
    frame = scaled(prices(600), slice(369, None), 1 / 3).drop(index=range(364, 369))
    finding = only(frame)
    assert finding.reason == SPLIT.format("1/3")
    assert finding.first == frame["time"][369]


@pytest.mark.parametrize("move", [-0.4, 0.4, -0.55, -0.2, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_large_move_is_no_split(kind: str, move: float) -> None:
    """Between two bars and in quiet ranges, as no crash is; only its size is another."""
    frame = scaled(prices(600, kind), slice(321, None), 1 + move)
    assert "split" not in {finding.kind for finding in findings(frame)}


@pytest.mark.parametrize("factor", [1 / 2, 1 / 3, 2.0])
def test_a_crash_is_no_split(factor: float) -> None:
    """By exactly such a factor, and for good, but within a bar and in wide ranges."""
    frame = prices(600, "continuous")
    fall = np.ones(600)
    fall[318:324] = factor ** np.array([0.1, 0.3, 0.5, 0.8, 1.1, 1.0])
    fall[324:] = factor
    before = np.concatenate(([1.0], fall[:-1]))
    frame["open"] *= before
    frame[["high", "low", "close"]] = frame[["high", "low", "close"]].mul(fall, axis=0)
    frame["high"] = np.maximum(frame["high"], frame[PRICES].max(axis=1)) * np.where(
        fall == before, 1, 1.1
    )
    frame["low"] = np.minimum(frame["low"], frame[PRICES].min(axis=1)) / np.where(
        fall == before, 1, 1.1
    )
    assert "split" not in {finding.kind for finding in findings(frame)}


def test_a_split_within_a_wide_range_is_not_told() -> None:
    """A fall by half in a bar that ranges over a third of it: a crash."""
    frame = scaled(prices(600), slice(321, None), 0.5)
    frame["low"] *= np.where(frame.index == 321, 0.7, 1.0)
    assert "split" not in {finding.kind for finding in findings(frame)}


# --- ticks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [PRICES, ["close"], ["open"], ["high"]], ids="-".join)
@pytest.mark.parametrize(("factor", "words"), [(10.0, "10"), (100.0, "100")])
@pytest.mark.parametrize("row", [1, 300, 598])
def test_a_tick_of_ten_times_is_told(names: list[str], factor: float, words: str, row: int) -> None:
    frame = scaled(prices(600), slice(row, row), factor, names)
    finding = only(frame)
    assert finding.reason == TICK.format(words)
    assert (finding.kind, finding.rows, finding.first) == ("outlier", 1, frame["time"][row])
    assert finding.cure == "correct the bar at the source, or leave it out"


@pytest.mark.parametrize("names", [PRICES, ["close"], ["low"]], ids="-".join)
@pytest.mark.parametrize("kind", KINDS)
def test_a_tick_of_a_tenth_is_told(names: list[str], kind: str) -> None:
    finding = only(scaled(prices(600, kind), slice(300, 300), 0.1, names))
    assert (finding.reason, finding.rows) == (TICK.format("1/10"), 1)


def test_a_high_may_be_wrong_in_the_last_bar() -> None:
    finding = only(scaled(prices(600), slice(599, 599), 10.0, ["high"]))
    assert (finding.reason, finding.rows) == (TICK.format("10"), 1)


def test_up_to_three_wrong_bars_on_end_are_ticks_and_more_are_a_step_and_back() -> None:
    finding = only(scaled(prices(600), slice(300, 302), 0.1))
    assert (finding.reason, finding.rows) == (TICK.format("1/10"), 3)
    steps = findings(scaled(prices(600), slice(300, 330), 0.1))
    assert [(f.reason, f.first) for f in steps] == [
        (SPLIT.format(ratio), prices(600)["time"][row])
        for ratio, row in (("1/10", 300), ("10", 331))
    ]


# --- prices that stand still --------------------------------------------------------------------


@pytest.mark.parametrize(("number", "told"), [(29, 0), (30, 1), (80, 1)])
def test_thirty_equal_closes_are_frozen(number: int, told: int) -> None:
    frame = prices(600)
    frame.loc[200 : 199 + number, "close"] = frame["close"][200]
    frame = scaled(frame, slice(0, None), 1.0)
    listed = [f for f in findings(frame) if f.kind == "stale"]
    assert len(listed) == told
    for finding in listed:
        assert finding.reason == "close that stays equal over 30 bars and more"
        assert (finding.rows, finding.first) == (number - 1, frame["time"][201])
        assert "another source" in finding.cure


def test_bars_carried_forward_are_told_once() -> None:
    frame = prices(600)
    frame.loc[200:249, list(COLUMNS)] = frame.loc[200, list(COLUMNS)].to_numpy()
    assert only(frame).rows == 49


def test_a_market_without_trade_most_of_the_time_is_told_by_its_share() -> None:
    frame, rng = prices(2000), np.random.default_rng(1)
    still = rng.random(2000) < 0.93
    still[0] = False
    last = np.maximum.accumulate(np.where(still, 0, np.arange(2000)))
    close = frame["close"].to_numpy()[last]
    frame = frame.assign(open=close, high=close, low=close, close=close)
    (finding,) = [f for f in findings(frame) if f.kind == "stale"]
    assert finding.reason == f"{still.mean():.0%} of closes unchanged"
    assert (finding.rows, finding.first) == (still.sum(), frame["time"][int(still.argmax())])
    assert "longer timeframe" in finding.cure


def test_flat_prices_are_told_as_such() -> None:
    # Bars like that are refused; collected candles may be.
    (fault,) = still_closes(np.full(200, 5.0))
    assert (fault.reason, int(fault.flags.sum())) == ("price that never moves", 199)


@pytest.mark.parametrize(("times", "told"), [(1.0, False), (1.7, False), (2.5, True), (6.0, True)])
def test_prices_in_coarse_steps_are_told_with_their_size(times: float, told: bool) -> None:
    rng = np.random.default_rng(2)
    moves = rng.standard_normal(5000)
    step = 0.01
    fine = 50 + np.cumsum(moves / np.abs(moves).mean() * step / times)
    close = np.round(fine, 2)
    frame = prices(5000).assign(close=close, open=np.append(close[0], close[:-1]))
    frame["high"], frame["low"] = (
        frame[["open", "close"]].max(axis=1),
        frame[["open", "close"]].min(axis=1),
    )
    listed = [f for f in findings(frame) if f.kind == "series"]
    assert len(listed) == told
    for finding in listed:
        size = step / np.abs(np.diff(close)).mean()
        assert size == pytest.approx(times, rel=0.15)
        assert finding.reason == f"prices in steps of 0.01, {size:.1f} times their mean move"
        assert finding.rows == 5000


# --- volume -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("volume", "words"), [(0.0, "0"), (1.0, "1"), (2500.0, "2500")])
def test_a_volume_that_is_always_the_same_is_told(volume: float, words: str) -> None:
    finding = only(prices(200).assign(volume=volume))
    assert (finding.kind, finding.rows) == ("series", 200)
    assert finding.reason == f"volume that is always {words}"
    assert finding.cure == "leave it empty where it is not known"


def test_an_unknown_volume_is_no_fault() -> None:
    assert not findings(prices(200).assign(volume=np.nan))


# --- sound prices -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_fat_tails_and_clusters_are_no_fault(kind: str, seed: int) -> None:
    """Two percent an hour: ten times as wild as any market that trades."""
    assert not findings(prices(3000, kind, seed=seed, size=0.02))


@pytest.mark.parametrize("change", [lambda f: f[:1], lambda f: f[:2], lambda f: f[:5]])
def test_few_bars_are_no_fault(change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    assert not findings(change(prices(10)))
