"""Models of several seeds beside models of one: signs that a day of new bars changes, and costs.

The walk-forward on all bars but the last 24 against that on all bars, each family at its default
hyperparameters, six bars ahead: the share of out-of-sample predictions of the same bars that change
their sign. The LSTM, whose fits take seven times as long, walks in fewer folds. ``runs`` seeds are
fitted once; run i takes the mean of the seeds i, i + 1 … around the circle. Bytes, fits and scores
are of the native model of all bars, on the packaged sample.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int64, c_void_p
from functools import partial
from pathlib import Path

import numpy as np
from mlflow.models import Model
from scipy.stats import spearmanr

from benchmarks.choice_bars import FOLDER, later_hours
from benchmarks.frame import Benchmark, Metric, Report
from brain.artifacts import LIGHTGBM, LSTM_WINDOW, XGBOOST
from brain.console import console
from brain.naming import Family
from brain.series.files import read_folder, sample_folder
from engine import families
from engine.data.dataset import Dataset, make_dataset
from engine.evaluation.walk_forward import TrainingPlan, out_of_sample
from engine.families.base import FittedModel
from engine.families.seeds import member_seeds
from engine.kernels.columns import Floats

__all__ = ["BENCHMARK", "changes", "costs", "datasets", "measure"]

COUNTS = (2, 3, 5)
HORIZON = 6
CUT = 24
SYMBOL = "BTC/USD"

_FILES = {Family.LIGHTGBM: LIGHTGBM, Family.XGBOOST: XGBOOST, Family.LSTM: LSTM_WINDOW}
_FOLDS = {Family.LIGHTGBM: 5, Family.XGBOOST: 5, Family.LSTM: 2}
_SCORES = 2000
_FITS = 3


def datasets() -> tuple[dict[str, Dataset], list[str]]:
    """The datasets by the name of their bars, and why one is absent."""
    bars = {"sample": read_folder(sample_folder(), (SYMBOL,)).bars[SYMBOL]}
    notes = []
    if FOLDER in os.environ:
        bars["2018-21"] = later_hours()
    else:
        notes.append(f"Other bars were skipped: {FOLDER} names no folder with them.")
    return {name: make_dataset(one, horizon=HORIZON) for name, one in bars.items()}, notes


def changes(early: Floats, late: Floats, target: Floats, count: int) -> tuple[Floats, Floats]:
    """Of each run, the share of signs that change in percent, and the later walk's rank IC.

    Args:
        early, late: (runs, N) predictions of both walks on the same bars; NaN outside the tests.
        target: (N,), NaN unknown.
        count: of seeds whose mean is taken.
    """
    valid = np.isfinite(early).all(axis=0) & np.isfinite(late).all(axis=0)
    runs = len(early)
    groups = (np.arange(runs)[:, None] + np.arange(count)) % runs
    before, after = (walk[:, valid][groups].mean(axis=1) for walk in (early, late))
    known = np.isfinite(target[valid])
    ranks = [spearmanr(one[known], target[valid][known]).statistic for one in after]
    return 100 * np.mean(np.sign(before) != np.sign(after), axis=1), np.asarray(ranks)


def costs(name: Family, data: Dataset, seeds: int) -> tuple[float, float, float]:
    """Processor seconds of a fit, microseconds of one row's score and bytes of the native file."""
    started = time.process_time()
    fitted = families.family(name).fit(
        data.features, data.target, hyperparameters={}, seed=TrainingPlan.seed, seeds=seeds
    )
    seconds = time.process_time() - started
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch) / "model"
        fitted.save(folder, features=data.names, model=Model())
        file = folder / _FILES[name]
        score = _scorer(fitted, file, data.features[-fitted.look_back :])
        return seconds, _microseconds(score), float(file.stat().st_size)


def _scorer(fitted: FittedModel, file: Path, window: Floats) -> Callable[[], object]:
    """The library's quickest score of one row from Python, without checks."""
    if fitted.family is Family.LSTM:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return partial(session.run, None, {"rows": window})
    booster = fitted.booster  # type: ignore[attr-defined]
    if fitted.family is Family.XGBOOST:
        return partial(booster.inplace_predict, window, validate_features=False)
    return _lightgbm_scorer(booster, window)


def _lightgbm_scorer(booster: object, row: Floats) -> Callable[[], object]:
    """LightGBM's C interface for single rows, which its Python package lacks."""
    from lightgbm import basic

    library = basic._LIB  # type: ignore[attr-defined]

    config, length, score = c_void_p(), c_int64(), c_double()
    double, normal = c_int(1), c_int(0)
    library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle,  # type: ignore[attr-defined]
        normal, c_int(0), c_int(-1), double, c_int(row.shape[1]), c_char_p(b"num_threads=1"),
        byref(config),
    )  # fmt: skip
    data = row.ctypes.data_as(POINTER(c_double))
    # The arguments hold what they point to.
    return partial(
        library.LGBM_BoosterPredictForMatSingleRowFast, config, data, byref(length), byref(score)
    )


def _microseconds(score: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_SCORES):
        started = time.perf_counter()
        score()
        seconds.append(time.perf_counter() - started)
    return 1e6 * float(np.median(seconds))


def _walks(name: Family, data: Dataset, runs: int) -> Iterator[Floats]:
    """The predictions (runs, N) of the walk without the last bars, and of that on all bars."""
    plan = TrainingPlan(folds=_FOLDS[name])
    family, shared = families.family(name), len(data) - CUT
    for rows in (shared, len(data)):
        yield np.stack(
            [
                out_of_sample(
                    family,
                    data.features[:rows],
                    data.target[:rows],
                    plan.walk(rows, data.reach),
                    hyperparameters={},
                    seed=seed,
                )[:shared]
                for seed in member_seeds(plan.seed, runs)
            ]
        )


def measure(runs: int) -> Report:
    """Measure every family on every dataset."""
    sources, notes = datasets()
    metrics = [
        metric
        for source, data in sources.items()
        for name in Family
        for metric in _steadiness(source, name, data, runs)
    ]
    metrics += [metric for name in Family for metric in _costs(name, sources["sample"])]
    return Report(
        metrics=metrics,
        runs=runs,
        ours="the mean of several seeds",
        theirs="one seed",
        notes=[
            f"{SYMBOL} 1h, default hyperparameters, horizon {HORIZON}, five folds (LSTM: two): the "
            f"walk-forward without the last {CUT} bars against that on all, on the same bars.",
            "Runs share seeds, so their spread is not an error.",
            f"Fits are processor seconds, medians of {_FITS}; scores are of the library alone.",
            *notes,
        ],
    )


def _steadiness(source: str, name: Family, data: Dataset, runs: int) -> Iterator[Metric]:
    console().print(f"  {source}: {name}", markup=False)
    early, late = _walks(name, data, runs)
    target = data.target[: len(data) - CUT]
    signs, ranks = changes(early, late, target, 1)
    for count in COUNTS:
        label = f"{source} {name}, {count} seeds"
        mean_signs, mean_ranks = changes(early, late, target, count)
        yield Metric(f"{label}: signs that change", "%", mean_signs.tolist(), signs.tolist())
        yield Metric(f"{label}: rank IC", "", mean_ranks.tolist(), ranks.tolist(), "higher")


def _costs(name: Family, data: Dataset) -> Iterator[Metric]:
    console().print(f"  costs: {name}", markup=False)
    one, *others = (
        list(zip(*(costs(name, data, count) for _ in range(_FITS)), strict=True))
        for count in (1, *COUNTS)
    )
    kinds = ("fit", "s"), ("score of a row", "µs"), ("native file", "bytes")
    for count, several in zip(COUNTS, others, strict=True):
        for (kind, unit), mine, single in zip(kinds, several, one, strict=True):
            yield Metric(f"{name}, {count} seeds: {kind}", unit, mine, single)


BENCHMARK = Benchmark(
    measure=measure,
    runs=5,
    versions=("lightgbm", "xgboost", "torch", "pytorch-lightning", "onnxruntime", "numpy"),
)
