"""Drift: a change is flagged, its absence is not, and an empty window is an error."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.drift import (
    ColumnDrift,
    Windows,
    choose_windows,
    stability,
    trailing_thresholds,
)
from analysis.drift_report import DriftTask, compare
from analysis.sampling import Array
from brain.errors import NotEnoughBarsError
from engine.kernels.features import FEATURES, LOOK_BACK
from tests.analysis.models import CAUSE, dataset
from tests.engine.simulate import simulate

ROWS = 3000
TIMES = pd.date_range("2020-01-01 01:00", periods=ROWS, freq="h", tz="UTC")
LAST = TIMES[-1].isoformat()


def slow(rows: int, columns: int, persistence: float = 0.98, seed: int = 0) -> Array:
    """Stationary columns that wander: nothing of them drifts."""
    shocks = np.random.default_rng(seed).normal(size=(rows + 500, columns))
    values = np.empty_like(shocks)
    values[0] = shocks[0]
    for row in range(1, len(values)):
        values[row] = persistence * values[row - 1] + shocks[row]
    return values[500:]


def windows_of(features: Array, **changes: object) -> Windows:
    arguments = {"trained_until": LAST, "recent_bars": 240} | changes
    return choose_windows(features, TIMES[: len(features)], **arguments)  # type: ignore[arg-type]


def test_the_recent_window_is_the_last_bars_and_training_what_lies_before() -> None:
    windows = windows_of(slow(ROWS, 1))
    assert windows == Windows(start=LOOK_BACK - 1, training_end=2760, recent_start=2760, end=3000)
    assert windows_of(slow(ROWS, 1), recent_bars=10_000).size == (ROWS - LOOK_BACK + 1) // 10


def test_training_ends_where_the_model_was_trained_until() -> None:
    windows = windows_of(slow(ROWS, 1), trained_until=TIMES[1499].isoformat())
    assert (windows.training_end, windows.recent_start) == (1500, 2760)
    assert windows.reference().max() == 1499


def test_earlier_windows_have_the_same_shape_and_never_touch_the_recent_one() -> None:
    now = windows_of(slow(ROWS, 1), trained_until=TIMES[2499].isoformat())
    earlier = now.earlier()
    assert len(earlier) >= 20
    for before in earlier:
        assert before.size == now.size
        assert before.recent_start - before.training_end == now.recent_start - now.training_end
        assert before.end <= now.recent_start
        assert before.training_end - before.start >= 2 * now.size


def test_a_longer_history_gives_no_more_than_two_hundred_earlier_windows() -> None:
    earlier = Windows(start=192, training_end=99_000, recent_start=99_000, end=99_100).earlier()
    assert len(earlier) == 200
    assert earlier[-1].end == 99_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"until": "2031-01-01T00:00:00+00:00"}, "empty: the bars end at 2020-05-05.*up to date"),
        ({"unknown": 240}, "0 known bars among its last 240, and 30 are needed"),
        ({"unknown": 220}, "20 known bars among its last 240"),
        ({"rows": 400}, "known bars among its last 20"),
        ({"rows": 150}, "0 known bars among its last 0"),
        ({"until": "2020-01-10T00:00:00+00:00"}, "training window has 24 bars and the recent one"),
        ({"until": "2019-01-01T00:00:00+00:00"}, "training window has 0 bars"),
    ],
)
def test_an_empty_window_is_told_with_the_cure(changes: dict[str, object], message: str) -> None:
    features = slow(int(str(changes.get("rows", ROWS))), 2)
    if "unknown" in changes:
        features[-int(str(changes["unknown"])) :] = np.nan
    until = str(changes.get("until", TIMES[len(features) - 1].isoformat()))
    with pytest.raises(NotEnoughBarsError, match=message):
        windows_of(features, trained_until=until)


def test_the_index_is_the_textbooks_over_tenths_of_the_training() -> None:
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(size=2200), rng.normal(0.5, 1.0, size=800)])[:, None]
    windows = Windows(start=200, training_end=2200, recent_start=2200, end=3000)
    ordered = np.sort(features[200:2200, 0])
    edges = ordered[np.arange(1, 10) * 200]
    q = np.bincount(np.searchsorted(edges, features[200:2200, 0]), minlength=10) / 2000
    p = np.bincount(np.searchsorted(edges, features[2200:, 0]), minlength=10) / 800
    textbook = ((p - q) * np.log(p / q)).sum()
    assert stability(features, windows)[0] == pytest.approx(textbook, rel=0.02)


def test_becoming_unknown_is_a_change_and_never_known_is_unknown() -> None:
    features = slow(ROWS, 4)
    features[-240:, 1] = features[:, 2] = features[:-240, 3] = np.nan
    calm, vanished, never, appeared = stability(features, windows_of(features))
    assert vanished > 3 * calm
    assert appeared > 3 * calm
    assert np.isnan(never)


def test_columns_of_few_values_are_compared_too() -> None:
    features = np.zeros((ROWS, 2))
    features[::24] = 1.0
    features[-240:, 1] = 1.0
    same, changed = stability(features, windows_of(features))
    assert same < 0.05
    assert changed > 1


def test_the_index_of_what_never_changes_is_nothing() -> None:
    features = np.ones((ROWS, 2))
    features[::7, 1] = np.nan
    constant, with_holes = stability(features, windows_of(features))
    assert constant == 0
    assert with_holes < 0.01


@pytest.mark.parametrize("rows", [10_000, pytest.param(20_000, marks=pytest.mark.soak)])
def test_wandering_columns_that_do_not_drift_are_rarely_flagged(rows: int) -> None:
    features = slow(rows, 200)
    windows = choose_windows(
        features,
        pd.date_range("2020-01-01", periods=rows, freq="h", tz="UTC"),
        trained_until="2021-01-01T00:00:00+00:00",
        recent_bars=240,
    )
    thresholds, history = trailing_thresholds(features, windows)
    flagged = stability(features, windows) > thresholds
    assert (history == len(windows.earlier())).all()
    assert 0.01 < flagged.mean() < 0.12  # 5 % is meant; 200 columns


def test_a_shift_is_flagged() -> None:
    features = slow(ROWS, 50)
    features[-240:] += 3 * features.std()
    windows = windows_of(features)
    thresholds, _ = trailing_thresholds(features, windows)
    assert (stability(features, windows) > thresholds).mean() > 0.9


def test_without_a_past_there_is_no_threshold_and_no_verdict() -> None:
    features = slow(ROWS, 2)
    windows = windows_of(features, trained_until=TIMES[900].isoformat())
    thresholds, history = trailing_thresholds(features, windows)
    assert (history < 20).all()
    assert np.isnan(thresholds).all()
    assert ColumnDrift("x", 0.1, float("nan"), 3).drifted is None
    assert ColumnDrift("x", float("nan"), 0.1, 30).drifted is None
    assert ColumnDrift("x", 0.2, 0.1, 30).drifted is True


def test_the_report_and_the_figures_are_written_and_flaws_are_named(tmp_path: Path) -> None:
    data = dataset()
    features = data.features.copy()
    unknown, constant = FEATURES.index("weekend"), FEATURES.index("hour_sin")
    features[:, unknown], features[:, constant] = np.nan, 1.0
    features[-100:, FEATURES.index(CAUSE)] += 1e6
    task = DriftTask(
        symbol=data.symbol,
        data=replace(data, features=features),
        trained_until=data.trained_until,
        recent_bars=100,
        columns=2,
        folder=tmp_path / "drift",
    )
    drift = compare(task).analysis
    assert drift.unknown == ("weekend",)
    assert drift.columns[0].feature == CAUSE
    assert CAUSE in drift.drifted
    assert (drift.recent.rows, drift.recent.end) == (100, data.trained_until)
    html = (task.folder / "evidently.html").read_text()
    assert CAUSE in html
    assert len(html) < 10_000_000
    report = json.loads((task.folder / "evidently.json").read_text())
    columns = {m["config"]["column"] for m in report["metrics"] if "column" in m["config"]}
    assert columns == set(drift.reported)
    assert len(columns) == 2
    document = json.loads((task.folder / "drift.json").read_text())
    assert document["drifted"] == list(drift.drifted)
    by_name = {column["feature"]: column for column in document["columns"]}
    assert by_name["weekend"]["psi"] is None
    assert by_name["hour_sin"]["drifted"] is False
    assert len(by_name) == len(FEATURES)


def test_bars_are_compared_by_their_features(tmp_path: Path) -> None:
    bars = simulate(1500, strength=0.0, seed=5).bars
    last = bars.close_time[-1].isoformat()
    # A worker that died of the task has left something.
    (tmp_path / "drift").mkdir()
    (tmp_path / "drift" / "half.html").touch()
    drift = compare(DriftTask("SIM/USD", bars, last, 100, 1, tmp_path / "drift")).analysis
    assert drift.training.start == bars.close_time[LOOK_BACK - 1].isoformat()
    assert drift.recent.rows == 100
    assert len(drift.columns) == len(FEATURES)
    assert not (tmp_path / "drift" / "half.html").exists()
