"""The benchmark of serving: what it counts, and what it holds us to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving_champions import Champion
from benchmarks.serving_scores import Readings, score_metrics
from brain.naming import Family
from tests.serving.predictors.champions import make_champion


@pytest.mark.parametrize(("name", "off"), [(Family.LIGHTGBM, 1e-15), (Family.LSTM, 2e-6)])
def test_scores_that_differ_from_pyfuncs_are_counted(
    name: Family, off: float, tmp_path: Path
) -> None:
    one = make_champion(name, tmp_path / name)
    predictions = one.predictions.copy()
    predictions[[100, 200]] += off
    predictions[300] = np.nan
    made = Champion(name, False, one.folder, one.names, one.look_back, one.rows, predictions)
    readings = Readings.of(made, 1, lambda _line: None)
    assert readings.differ == 3
    ((median, tail),) = readings.ours
    ((their_median, their_tail),) = readings.theirs
    assert 0 < median <= tail
    assert 0 < readings.frames[0] < their_median <= their_tail


def test_the_samples_champions_have_targets_and_the_largest_have_none() -> None:
    rows = np.zeros((3, 2))
    small = Champion(Family.XGBOOST, False, Path(), ("a", "b"), 1, rows, np.zeros(3))
    readings = Readings(small, [(50.0, 100.0)], [(5000.0, 5000.0)], [4000.0], 0)
    large = replace(readings, champion=replace(small, large=True), differ=2)
    metrics = {metric.name: metric for metric in score_metrics([readings, large])}
    assert [(name, metric.ratio, metric.holds) for name, metric in metrics.items()][:-1] == [
        ("xgboost, 250 trees: p50", 100.0, True),
        ("xgboost, 250 trees: p99", 50.0, True),
        ("xgboost, 400 trees: p50", 100.0, None),
        ("xgboost, 400 trees: p99", 50.0, None),
    ]
    (differ,) = list(metrics.values())[-1].ours
    assert (differ, list(metrics.values())[-1].holds) == (2.0, False)
