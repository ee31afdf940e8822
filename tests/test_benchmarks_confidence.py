"""The benchmark of confidences: its worlds, its bands, and a short run of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import confidence
from benchmarks.confidence import calibration_error, report, worlds
from benchmarks.confidence_cells import World, former, judge, perfect
from benchmarks.confidence_sample import Block, blocks, calibrated_outcomes, history_of_tables
from brain.confidence import Prior, normal_posterior
from brain.naming import REGIMES
from engine.evaluation.nights import NightTable


def test_a_calibration_error_is_the_bins_distance() -> None:
    probability = np.array([0.05, 0.05, 0.95, 0.95])
    assert calibration_error(probability, np.array([0.0, 0.0, 1.0, 1.0])) == pytest.approx(0.05)
    assert calibration_error(probability, np.array([1.0, 1.0, 1.0, 1.0])) == pytest.approx(0.5)
    assert calibration_error(np.ones(4), np.ones(4)) == 0.0


def test_a_calibrated_forecaster_has_the_error_that_is_known() -> None:
    """That of ten bins whose sums of errors are normal: about .1 at 100 forecasts."""
    rng = np.random.default_rng(0)
    middle = np.linspace(0.05, 0.95, 10)
    variances = middle * (1.0 - middle) - 0.1**2 / 12.0
    for count in (100, 640, 5000):
        expected = np.sqrt(2.0 / np.pi * count / 10.0 * variances).sum() / count
        errors = []
        for _ in range(200):
            p = rng.random(count)
            errors.append(calibration_error(p, (rng.random(count) < p).astype(float)))
        assert np.mean(errors) == pytest.approx(expected, rel=0.08)


def test_simulated_cells_have_the_ratios_that_they_should() -> None:
    judged = judge(World("test", mean=1.0, spread=0.5, nights=720), 40)
    assert judged.truth.mean() == pytest.approx(1.0, abs=0.06)
    assert judged.truth.std() == pytest.approx(0.5, abs=0.04)
    z = (judged.column("measured") - judged.truth) / judged.column("error")
    assert abs(z.mean()) < 0.2
    assert z.std() == pytest.approx(1.0, abs=0.1)
    gained = judged.gained[np.isfinite(judged.gained)]
    assert gained.mean() == pytest.approx(0.58, abs=0.06)


def test_perfect_forecasters_are_calibrated() -> None:
    judged, rng = judge(World("test"), 40), np.random.default_rng(1)
    pairs = [perfect(judged, rng) for _ in range(25)]
    for question in range(2):
        p, y = (np.concatenate([pair[question][side] for pair in pairs]) for side in range(2))
        assert calibration_error(p, y) < 0.03


def table(profit: np.ndarray) -> NightTable:
    n = len(profit)
    return NightTable(
        np.arange(100, 100 + n), profit, np.ones(n), np.ones((n, 4)), np.zeros(n), np.full(n, 24)
    )


def test_a_sample_is_forecast_from_the_nights_before_a_block() -> None:
    profit = np.random.default_rng(2).standard_normal((190, len(REGIMES)))
    profit[:, 3] = 0.0
    found = list(blocks(history_of_tables({("A", "x"): table(profit)})))
    assert len(found) == 2
    for place, block in enumerate(found):
        start = 60 * (place + 1)
        assert [p.nights for p in block.posteriors] == [start] * 3
        total = profit[start : start + 60, :3].sum(axis=0)
        np.testing.assert_array_equal(block.gained, total > 0)
        assert block.alike.shape == (3, 3)
    later = profit.copy()
    later[60:] *= -1.0
    other = next(blocks(history_of_tables({("A", "x"): table(later)})))
    assert other.posteriors == found[0].posteriors
    np.testing.assert_array_equal(other.gained, 1.0 - found[0].gained)


def test_outcomes_are_right_on_average_and_as_alike_as_their_cells() -> None:
    alike = np.array([[1.0, 0.9], [0.9, 1.0]])
    p = normal_posterior(1.0, 1.0, Prior(), 0.5)
    block, rng = Block((p, p), np.ones(2), alike), np.random.default_rng(3)
    draws = np.array([calibrated_outcomes(block, np.array([0.7, 0.4]), rng) for _ in range(4000)])
    assert draws.mean(axis=0) == pytest.approx([0.7, 0.4], abs=0.03)
    assert (draws[:, 0] < draws[:, 1]).mean() < 0.02


def test_a_short_run_tells_all_worlds_and_bounds_those_where_the_prior_is_true() -> None:
    short = report(1, [], 25, band=4)
    names = [world.name for world in worlds()]
    assert [record["world"] for record in short.records] == names
    bounded = {metric.name.rpartition(":")[0] for metric in short.metrics if metric.target}
    assert bounded == {world.name for world in worlds() if world.true}
    assert len(bounded) == 3
    # 25 markets are too few cells for it, and it says so.
    assert {metric.name.rpartition(": ")[2] for metric in short.missed} >= {"cells"}
    blocks_off = [m for m in short.metrics if m.name.endswith("next block off by")]
    assert all(m.ours[0] < m.theirs[0] for m in blocks_off)


def test_the_figures_that_are_kept_hold() -> None:
    path = Path(confidence.__file__).parent / "results" / "confidence.json"
    kept = json.loads(path.read_text())
    assert kept["holds"]
    figures = {metric["metric"]: metric["ours"] for metric in kept["metrics"]}
    for world in (world for world in worlds() if world.true):
        assert figures[f"{world.name}: cells"] >= 5000
        assert figures[f"{world.name}: P(> 0) off by"] <= 0.05
        assert figures[f"{world.name}: next block off by"] <= 0.05
        assert figures[f"{world.name}: coverage off by"] <= 0.03


def test_the_former_rule_is_each_cells_own() -> None:
    p = normal_posterior(1.0, 1.0, Prior(-1.0, 0.1, 50), 0.5)
    assert former((p,))[0] == pytest.approx(0.7602, abs=1e-4)
