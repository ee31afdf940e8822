"""From a row's values by name to a score: our predictors, beside ``mlflow.pyfunc``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from benchmarks.frame import Metric, Target, interleave
from benchmarks.serving_champions import Champion
from benchmarks.serving_memory import load_champion
from brain.naming import Family
from serving.predictors import Predictor

__all__ = ["Readings", "score_metrics", "score_records"]

_CALLS = 4000
_THEIR_CALLS = 300
_TOLERANCE = {Family.LIGHTGBM: 0.0, Family.XGBOOST: 0.0, Family.LSTM: 1e-6}
# At least so many times faster, at the median and at the 99th percentile.
_MEDIAN = {Family.LIGHTGBM: 250, Family.XGBOOST: 80, Family.LSTM: 50}
_TAIL = {Family.LIGHTGBM: 100, Family.XGBOOST: 40, Family.LSTM: 40}

Row = Mapping[str, float]

# Processor time of the thread: on a busy machine some calls wait for milliseconds, the more often
# the longer they are, which makes medians look better than they are and percentiles worse.
_clock = time.thread_time_ns


@dataclass(frozen=True)
class Readings:
    """One champion's microseconds, a value per run, and how many of its scores differ.

    Attributes:
        ours, theirs: (median, 99th percentile) per run, from the mapping to the score.
        frames: their median without the making of the frame, per run.
        differ: scores that are not pyfunc's.
    """

    champion: Champion
    ours: Sequence[tuple[float, float]]
    theirs: Sequence[tuple[float, float]]
    frames: Sequence[float]
    differ: int

    @classmethod
    def of(cls, champion: Champion, runs: int, progress: Callable[[str], object]) -> Readings:
        """Measure a champion: ours and theirs in turn, in this process."""
        predictor = load_champion(champion.folder)
        rows = [dict(zip(champion.names, row.tolist(), strict=True)) for row in champion.rows]
        model, frames = mlflow.pyfunc.load_model(str(champion.folder)), list[float]()

        def their_calls() -> tuple[float, float]:
            both, alone = _their_calls(model, rows, champion.look_back)
            frames.append(alone)
            return both

        ours, theirs = interleave(
            lambda: _our_calls(predictor, rows),
            their_calls,
            runs,
            lambda line: progress(f"{champion}, {line}"),
        )
        scores = np.array([predictor.predict(window) for window in champion.windows])
        far = ~(np.abs(scores - champion.predictions) <= _TOLERANCE[champion.family])
        unknown = np.isnan(scores) & np.isnan(champion.predictions)
        return cls(champion, ours, theirs, frames, int((far & ~unknown).sum()))


def score_metrics(readings: Sequence[Readings]) -> list[Metric]:
    """Medians and 99th percentiles; of the largest champions without a target."""
    metrics = []
    for one in readings:
        for place, name, targets in ((0, "p50", _MEDIAN), (1, "p99", _TAIL)):
            target = None if one.champion.large else Target(targets[one.champion.family])
            ours, theirs = ([run[place] for run in side] for side in (one.ours, one.theirs))
            metrics.append(Metric(f"{one.champion}: {name}", "µs", ours, theirs, target=target))
    differ = [float(sum(one.differ for one in readings))]
    zero = Target(0, "at most", of="ours")
    return [*metrics, Metric("scores that are not pyfunc's", "", differ, target=zero)]


def score_records(readings: Sequence[Readings]) -> list[dict[str, object]]:
    """For the JSON file: pyfunc alone, without the making of its frame."""
    return [{"champion": str(one.champion), "pyfunc_alone_us": one.frames} for one in readings]


def _our_calls(predictor: Predictor, rows: Sequence[Row]) -> tuple[float, float]:
    """One call a row; a model that looks back has its rows in an array, the newest one last."""
    window = np.zeros((predictor.look_back, len(predictor.names)))

    def score(row: Row) -> float:
        if predictor.look_back == 1:
            return predictor.predict_mapping(row)
        window[:-1] = window[1:]
        window[-1] = predictor.row(row)
        return predictor.predict(window)

    times = np.empty(_CALLS)
    for call, row in enumerate(islice(cycle(rows), _CALLS)):
        start = _clock()
        score(row)
        times[call] = _clock() - start
    return _percentiles(times)


def _their_calls(
    model: Any, rows: Sequence[Row], look_back: int
) -> tuple[tuple[float, float], float]:
    """A frame of the last rows, and its prediction; and the median of the latter alone."""
    times = np.empty((_THEIR_CALLS, 2))
    for call in range(_THEIR_CALLS):
        last = rows[call : call + look_back]
        start = _clock()
        frame = pd.DataFrame(last)
        middle = _clock()
        model.predict(frame)
        end = _clock()
        times[call] = end - start, end - middle
    return _percentiles(times[:, 0]), _percentiles(times[:, 1])[0]


def _percentiles(nanoseconds: np.ndarray) -> tuple[float, float]:
    median, tail = np.quantile(nanoseconds, [0.5, 0.99]) / 1e3
    return float(median), float(tail)
