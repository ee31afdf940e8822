"""The benchmark of serving: what it counts, and what it holds us to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.http_load import Load, load
from benchmarks.http_promotions import _Asked, promotion_metrics
from benchmarks.serving_champions import Champion
from benchmarks.serving_http import _differing, _ours, _rates, _Readings, _requests, _Run
from benchmarks.serving_scores import Readings, score_metrics
from brain.model_keys import ModelKey
from brain.naming import REGIMES, Family
from brain.records import Version
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


# --- HTTP ---------------------------------------------------------------------------------------


def served(name: Family, folder: Path) -> Champion:
    one = make_champion(name, folder)
    rows = one.rows[:400]
    predictions = one.predictions[:400]
    return Champion(name, False, one.folder, one.names, one.look_back, rows, predictions)


def test_what_asks_counts_answers_faults_and_what_was_answered(tmp_path: Path) -> None:
    one = served(Family.LIGHTGBM, tmp_path / "one")
    requests = _requests(one)
    faulty = requests[0].replace(b"dataframe_split", b"dataframe_slipt")
    with _ours(one.folder) as server:
        once = load(server.port, 4, 0, [*requests, faulty])
        assert (once.answers, once.faults) == (len(requests) + 1, 1)
        assert {number for number, _, _ in once.bodies} == set(range(len(requests) + 1))
        predictions = {n: json.loads(body) for n, _, body in once.bodies if n < len(requests)}
        step = len(one.windows) // 200
        assert predictions == {
            n: {"predictions": [float(one.predictions[n * step])]} for n in range(len(requests))
        }
        assert 0.0 < once.times[0] <= once.times[1] <= once.times[2] < 10.0
        before = server.processor()
        some = load(server.port, 2, 0.2, requests)
        assert server.processor() > before
        assert (some.faults, some.seconds >= 0.2) == (0, True)
        assert some.rate == some.answers / some.seconds


def test_answers_of_no_version_of_the_cell_or_not_its_own_are_counted() -> None:
    """Requests go to the cells in turn: the first to the low one, the second to the normal one."""
    versions = [version_of(number) for number in (1, 2, 3)]
    right: dict[str, list[float | None]] = {
        "X/1": [0.5, None],
        "X/2": [0.25, 1.0],
        "X/3": [0.75, 2.0],
    }
    named = {REGIMES[0]: versions[:2], REGIMES[1]: versions[1:]}
    asked = _Asked([b"", b""], right)

    def wrong(*bodies: tuple[int, str, str]) -> int:
        return asked.wrong([Load(1, 1.0, 0, 0.1, (0.1, 0.1, 0.1), bodies)], named)

    known = (0, "X/1", '{"predictions":[0.5]}'), (1, "X/3", '{"predictions":[2.0]}')
    assert wrong(*known, (1, "X/2", '{"predictions":[1.0]}')) == 0
    assert wrong(*known, (1, "X/2", '{"predictions":[null]}')) == 1  # another prediction
    assert wrong(*known, (1, "X/1", '{"predictions":[null]}')) == 1  # never of that cell
    assert wrong(*known, (0, "", '{"error_code":"X","message":""}')) == 1


@pytest.mark.soak
def test_promotions_in_a_registry_are_followed_while_clients_ask() -> None:
    metrics = {m.name.partition(": ")[2]: m for m in promotion_metrics(12, lambda _line: None)}
    assert all(metric.holds is not False for metric in metrics.values())
    assert metrics["versions that answered"].ours[0] > 4
    assert metrics["answers meanwhile"].ours[0] > 1000


def version_of(number: int) -> Version:
    key = ModelKey("X/USD", "1h", 6)
    return Version("X", key, number, Family.LIGHTGBM, "", "", "", "", "")


def run_of(rate: float, processor: float, *bodies: tuple[int, str, str], faults: int = 0) -> _Run:
    found = Load(int(rate), 1.0, faults, 0.1, (0.1, 0.2, 0.3), bodies)
    return _Run(found, processor)


def test_rates_have_targets_and_other_answers_are_counted() -> None:
    rows = np.zeros((3, 2))
    one = Champion(Family.LIGHTGBM, False, Path(), ("a", "b"), 1, rows, np.zeros(3))
    ours = {1: [run_of(9000, 60.0, (0, "v", '{"predictions":[0.5]}'))],
            32: [run_of(9000, 60.0, (1, "v", '{"predictions":[0.25]}'), faults=2)]}  # fmt: skip
    theirs = {1: [run_of(100, 9000.0, (0, "", '{"predictions": [0.5]}'))],
              32: [run_of(100, 9000.0, (1, "", '{"predictions": [0.25]}'))]}  # fmt: skip
    readings = _Readings(one, ours, theirs, {}, 0)
    metrics = [(m.name.partition(": ")[2], m.ratio, m.holds) for m in _rates(readings)]
    assert metrics[:2] == [
        ("requests at 1 connection", 90.0, True),
        ("processor a request at 1 connection", 150.0, None),
    ]
    assert metrics[3] == ("requests at 32 connections", 90.0, False)
    assert [m.ours for m in _rates(readings) if "2xx" in m.name] == [[0.0], [2.0]]
    assert _differing(one, ours, theirs) == 0
    theirs[32][0] = run_of(100, 9000.0, (1, "", '{"predictions": [0.26]}'))
    assert _differing(one, ours, theirs) == 1
    ours[1].append(run_of(9000, 60.0, (0, "v", '{"predictions":[null]}')))
    assert _differing(one, ours, theirs) == 2


def test_an_lstms_last_prediction_is_compared_in_either_form() -> None:
    rows = np.zeros((3, 2))
    one = Champion(Family.LSTM, False, Path(), ("a", "b"), 2, rows, np.zeros(2))
    ours = {1: [run_of(1, 1.0, (0, "v", '{"predictions":[null,0.5]}'))]}
    text = '{"predictions": [{"prediction": NaN}, {"prediction": 0.5000001}]}'
    assert _differing(one, ours, {1: [run_of(1, 1.0, (0, "", text))]}) == 0
    text = text.replace("0.5000001", "0.50001")
    assert _differing(one, ours, {1: [run_of(1, 1.0, (0, "", text))]}) == 1
