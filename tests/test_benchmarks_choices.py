"""The comparison of design choices: it finds a planted signal, and is told fairly."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from benchmarks import choice_bars, choices
from benchmarks.choice_bars import FOLDER, SAMPLE, UNSEEN, Series
from benchmarks.choice_list import (
    ALTERNATIVES,
    GROUPS,
    STANDING,
    Choice,
    price_volume_correlations,
)
from benchmarks.choice_scores import Scores, difference, pooled, predict
from benchmarks.choices import Comparison
from brain.errors import InputError
from brain.naming import Family
from brain.records import Estimate
from brain.settings import load_settings
from engine.data.dataset import make_dataset
from engine.families import family
from engine.kernels.features import FEATURES
from tests.engine.simulate import simulate

TREES = [Family.LIGHTGBM]
UNKNOWN = Estimate(math.nan, math.nan)


@pytest.fixture(scope="module")
def series() -> Series:
    return Series(UNSEEN, simulate(2000, strength=0.5, seed=3).bars)


# --- the choices --------------------------------------------------------------------------------


def test_every_feature_is_in_one_group() -> None:
    for feature in FEATURES:
        groups = [name for name, prefixes in GROUPS.items() if feature.startswith(prefixes)]
        assert len(groups) == 1, (feature, groups)


def test_what_stands_is_what_is_trained(series: Series) -> None:
    dataset = make_dataset(series.bars, horizon=STANDING.horizon)
    prediction = predict(series, STANDING, TREES)[Family.LIGHTGBM]
    limited = np.clip(prediction.outcome, -STANDING.limit, STANDING.limit)
    np.testing.assert_array_equal(limited, dataset.target)
    assert load_settings().bars_ahead == STANDING.horizon
    for name in Family:
        assert family(name).defaults()["elbow"] == STANDING.elbow


def test_alternatives_differ_from_what_stands_in_one_thing() -> None:
    assert len({choice.name for choice in ALTERNATIVES}) == len(ALTERNATIVES)
    for choice in ALTERNATIVES:
        changes = {k for k, v in vars(choice).items() if v != getattr(STANDING, k)} - {"name"}
        assert len(changes) == 1 or changes == {"scaled", "limit"}


def test_correlations_are_those_of_pandas() -> None:
    bars = simulate(300, strength=0.0, seed=5).bars
    logs = bars.frame[["close", "volume"]].transform("log").diff()
    found = price_volume_correlations(bars)
    for column, window in enumerate((24, 72)):
        expected = logs["close"].rolling(window).corr(logs["volume"]).to_numpy()
        np.testing.assert_allclose(found[100:, column], expected[100:], atol=1e-9)


def test_correlations_without_volume_are_unknown() -> None:
    bars = simulate(300, strength=0.0, seed=5).bars
    silent = replace(bars, frame=bars.frame.assign(volume=0.0))
    assert np.isnan(price_volume_correlations(silent)).all()


# --- the scores ---------------------------------------------------------------------------------


def test_scores_are_the_evaluations_own_metrics(series: Series) -> None:
    prediction = predict(series, STANDING, TREES)[Family.LIGHTGBM]
    evidence, rows = prediction.evidence(), prediction.scores().rows
    known = np.isfinite(prediction.values) & np.isfinite(prediction.outcome)
    spearman = spearmanr(prediction.values[known], prediction.outcome[known]).statistic
    assert np.nanmean(rows["rank IC"]) == pytest.approx(spearman, abs=1e-12)
    assert np.nanmean(rows["rank IC"]) == pytest.approx(evidence.rank_ic.value, abs=1e-9)
    assert np.nanmean(rows["gross Sharpe"]) == pytest.approx(evidence.gross_sharpe.value)
    assert np.nanmean(rows["net Sharpe"]) == pytest.approx(evidence.net_sharpe.value)
    assert known.sum() == evidence.bars


def test_only_rows_from_the_first_test_on_are_evaluated(series: Series) -> None:
    late = predict(replace(series, first_test=0.8), STANDING, TREES)[Family.LIGHTGBM]
    assert np.flatnonzero(np.isfinite(late.values))[0] == round(0.8 * len(series.bars.frame))


def test_leaving_out_the_planted_signal_costs_and_the_calendar_does_not(series: Series) -> None:
    next_bar = Choice(horizon=1)
    without = [replace(next_bar, name=name, without=name) for name in ("range", "calendar")]
    found = choices.compare(series, without, predict(series, next_bar, TREES))
    loss = {c.choice: c.differences["rank IC"] for c in found if c.family == "all"}
    assert loss["range"].value < -0.2
    assert loss["range"].value < -5 * loss["range"].error
    assert abs(loss["calendar"].value) < 3 * loss["calendar"].error


def test_rank_ics_of_two_horizons_are_not_compared() -> None:
    rows = {"rank IC": np.ones(400), "gross Sharpe": np.ones(400)}
    near, far = Scores(1, rows), Scores(6, {m: 2 * x for m, x in rows.items()})
    assert difference(far, near, "gross Sharpe").value == 1
    assert math.isnan(difference(far, near, "rank IC").value)


def test_pooling_weighs_by_the_inverse_variance() -> None:
    mean = pooled([Estimate(1.0, 1.0), Estimate(4.0, 2.0), UNKNOWN])
    assert mean.value == pytest.approx(1.6)
    assert mean.error == pytest.approx(math.sqrt(0.8))
    assert math.isnan(pooled([UNKNOWN]).value)


# --- the report ---------------------------------------------------------------------------------


def comparison(part: str, value: float, error: float) -> Comparison:
    known = {"rank IC": Estimate(value, error), "gross Sharpe": UNKNOWN, "net Sharpe": UNKNOWN}
    return Comparison(f"{part} X", part, "new", "all", known)


@pytest.mark.parametrize(
    ("sample", "unseen", "better", "worse"),
    [(0.05, 0.03, 1, 0), (0.05, 0.01, 0, 0), (0.05, -0.05, 0, 0), (-0.05, -0.03, 0, 1)],
)
def test_what_is_better_on_one_part_alone_is_not_supported(
    sample: float, unseen: float, better: int, worse: int
) -> None:
    both = [comparison(SAMPLE, sample, 0.01), comparison(UNSEEN, unseen, 0.01)]
    result = choices.report([], both, runs=1)
    metrics = {metric.name: metric.ours for metric in result.metrics}
    assert metrics["differences of single series"] == [2]
    assert metrics["pooled differences known on both parts"] == [1]
    assert metrics["better by two errors on both"] == [better]
    assert metrics["worse by two errors on both"] == [worse]
    assert result.beside["new: rank IC"] == (f"{sample:+.4f} ± 0.0100", f"{unseen:+.4f} ± 0.0100")
    assert result.beside["new: gross Sharpe"] == ("unknown", "unknown")
    assert len(result.records) == 4


def test_no_difference_at_all_is_known_and_nothing() -> None:
    result = choices.report([], [comparison(part, 0.0, 0.0) for part in (SAMPLE, UNSEEN)], runs=1)
    assert result.records[2]["rank IC"] == "+0.0000 ± 0.0000"
    metrics = {metric.name: metric.ours for metric in result.metrics}
    assert metrics["differences of single series"] == [2]
    assert metrics["beyond two errors"] == [0]


def test_without_unseen_bars_nothing_is_supported() -> None:
    result = choices.report([], [comparison(SAMPLE, 0.05, 0.01)], runs=1)
    assert result.beside["new: rank IC"] == ("+0.0500 ± 0.0100", "unknown")
    assert {m.name: m.ours for m in result.metrics}["better by two errors on both"] == [0]


# --- the bars -----------------------------------------------------------------------------------


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of few recorded bars, the later hours beginning inside the sample's."""
    candles = tmp_path / "candles"
    candles.mkdir()
    hours = simulate(100, strength=0.0, seed=1, start="2019-10-15 09:00").bars.frame
    unix = hours.index.as_unit("s").asi8  # type: ignore[attr-defined]
    dollars = hours["volume"] * hours["close"]
    swapped = np.arange(100) < 50
    hours.assign(
        unix=unix,
        volume=np.where(swapped, dollars, hours["volume"]),
        **{"Volume USD": np.where(swapped, hours["volume"], dollars)},
    ).to_csv(candles / "BTC_USD_1h_2018-05_2021-04.csv", index=False)
    minutes = simulate(50, strength=0.0, seed=2, timeframe="5m").bars.frame
    for coin in ("ETH", "LTC"):
        minutes.to_csv(candles / f"freqtrade_{coin}_BTC-5m.csv", index_label="date")
    days = simulate(50, strength=0.0, seed=4, timeframe="1d").bars.frame
    days = days.set_index(pd.DatetimeIndex(days.index).strftime("%Y%m%d %H:%M"))
    days.to_csv(candles / "lean_coinbase_BTCUSD_1d_2014-12_2018-08.csv", header=False)
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return candles


def test_later_hours_are_evaluated_after_the_samples_last(recorded: Path) -> None:
    sample = choice_bars.sample_series()
    last = next(s for s in sample if s.bars.timeframe == "1h").bars.frame.index[-1]
    later, *others = choice_bars.recorded_series(sample)
    rows = later.bars.frame
    first = round(later.first_test * len(rows))
    assert rows.index[first - 1] == last
    np.testing.assert_allclose(
        rows["volume"], simulate(100, strength=0.0, seed=1).bars.frame["volume"]
    )
    assert [s.name for s in others] == [
        "unseen ETH/BTC 5m", "unseen LTC/BTC 5m", "unseen BTC/USD 1d",
    ]  # fmt: skip
    assert {s.part for s in sample} == {SAMPLE}


def test_a_missing_file_is_one_clear_error(recorded: Path) -> None:
    (recorded / "freqtrade_LTC_BTC-5m.csv").unlink()
    with pytest.raises(InputError, match=r"there is no file .*LTC_BTC-5m.csv.*unset it"):
        choice_bars.recorded_series(choice_bars.sample_series())


def test_no_folder_is_no_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    assert choice_bars.recorded_series(choice_bars.sample_series()) == []
