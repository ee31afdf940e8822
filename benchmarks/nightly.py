"""The night on the packaged sample, beside the same night as tutorials do it.

Both nights are one process each, with one thread for every library, on a store of their own that
has its tables already; they run in turn. ``ours`` is the entry point ``nightly`` with one job.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.frame import Benchmark, Metric, Report, Target, interleave
from benchmarks.night import FITTING, NOT_FITTING, SHARED, Night
from brain.console import console
from brain.errors import BrainError
from brain.naming import parse_symbol

__all__ = ["BENCHMARK", "Readings", "artifacts", "make_store", "measure", "report", "run_process"]

ROOT = Path(__file__).parents[1]
TIMES_FASTER = 3.0

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_LAST_LINES = 5

# Sorts of files by their names; the first that fits counts. Both nights must leave these.
_SAME = {
    "model": r"/MLmodel$",
    "explanation: table of importances": r"explanation/importance\.(parquet|json)$",
    "explanation: plot of importances": r"explanation/importance\.png$",
    "explanation: beeswarm plot": r"explanation/beeswarm\.png$",
    "drift: Evidently's report, HTML": r"drift/evidently\.html$",
    "drift: Evidently's report, JSON": r"drift/evidently\.json$",
    "out-of-sample series": r"/out_of_sample\.parquet$",
    "trials": r"/trials\.parquet$",
    "trials' out-of-sample series": r"/trial_predictions\.parquet$",
}
_FILES = {
    **_SAME,
    "manifest of the model's files": r"/manifest\.json$",
    "recipe and regimes of the model": r"/(recipe|regimes)\.json$",
    "drift: calibrated statistic": r"drift/drift\.json$",
    "rankings by every method": r"rankings?\.parquet$",
    "summary of the night": r"/summary\.json$",
    "feature importances of autologging": r"/feature_importance_\w+\.(png|json)$",
    "environment of the model": r"/(conda|python_env)\.yaml$",
}


@dataclass(frozen=True)
class Readings:
    """One night's seconds, memory and files.

    Attributes:
        seconds, megabytes: by stage.
        files: how many of each sort.
    """

    seconds: dict[str, float]
    megabytes: dict[str, float]
    files: dict[str, int]

    def total(self, stages: Iterable[str] | None = None) -> float:
        """Seconds of these stages, or of all."""
        return sum(self.seconds.get(s, 0.0) for s in (self.seconds if stages is None else stages))


def measure(runs: int, symbols: str, trials: int) -> Report:
    """Run both nights in turn.

    Raises:
        BrainError: one of them failed.
    """
    names = _symbols(symbols)
    out = console()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        make_store(folder / "template.db")
        ours, theirs = interleave(
            lambda: run_process("our_night", folder, names, trials),
            lambda: run_process("tutorial_night", folder, names, trials),
            runs,
            lambda line: out.print(f"  {line}", markup=False),
        )
    return report(ours, theirs)


def report(ours: Sequence[Readings], theirs: Sequence[Readings]) -> Report:
    """Both sides' readings as metrics: by stage, in all, memory, and the files side by side."""

    def seconds(name: str, stages: Iterable[str] | None, target: Target | None = None) -> Metric:
        only = list(stages) if stages is not None else None
        mine, others = ([one.total(only) for one in side] for side in (ours, theirs))
        return Metric(name, "s", mine, others, target=target)

    def memory(name: str, stage: str | None) -> Metric:
        mine, others = ([_peak(one, stage) for one in side] for side in (ours, theirs))
        return Metric(name, "MB", mine, others)

    stages = (*SHARED, *FITTING, *NOT_FITTING)
    return Report(
        metrics=[
            *(seconds(stage, [stage]) for stage in stages),
            seconds("all fitting stages", FITTING),
            seconds("all other stages", NOT_FITTING, Target(TIMES_FASTER)),
            seconds("whole night", None),
            *(memory(f"peak memory, {stage}", stage) for stage in stages if _measured(stage, ours)),
            memory("peak memory, whole night", None),
            Metric(
                "kinds of shared artifacts that are missing",
                "",
                [float(_missing(one)) for one in ours],
                [float(_missing(one)) for one in theirs],
                target=Target(0, "at most", of="ours"),
            ),
        ],
        runs=len(ours),
        ours="our night",
        theirs="the tutorials' way",
        notes=[
            f"Other stages: {', '.join(NOT_FITTING)}. Not among them: {', '.join(SHARED)}, where "
            "both do the same.",
            "One process and one thread each. Memory is of the process and its children.",
            "The tutorials' way explains trees on all rows, ours on 2,000, both the LSTM on 256 "
            "windows. It has no rankings by permutation and correlation, and no error bars.",
        ],
        beside=_files(ours[0].files, theirs[0].files),
    )


def artifacts(store: Path) -> dict[str, int]:
    """How many files of each sort a store of artifacts holds."""
    counts: Counter[str] = Counter()
    for path in store.rglob("*"):
        if path.is_file():
            name = f"/{path.relative_to(store).as_posix()}"
            counts[next((k for k, like in _FILES.items() if re.search(like, name)), "other")] += 1
    return dict(counts)


def _missing(one: Readings) -> int:
    return sum(sort not in one.files for sort in _SAME)


def _files(ours: dict[str, int], theirs: dict[str, int]) -> dict[str, tuple[str, str]]:
    sorts = [sort for sort in (*_FILES, "other") if sort in ours or sort in theirs]
    return {sort: (str(ours.get(sort, "–")), str(theirs.get(sort, "–"))) for sort in sorts}


def _symbols(text: str) -> tuple[str, ...]:
    if text == "all":
        from brain.series.files import read_folder, sample_folder

        return tuple(read_folder(sample_folder(), None).bars)
    return tuple(parse_symbol(symbol.strip()) for symbol in text.split(","))


def _peak(one: Readings, stage: str | None) -> float:
    return max(one.megabytes.values()) if stage is None else one.megabytes.get(stage, float("nan"))


def _measured(stage: str, side: Sequence[Readings]) -> bool:
    """Whether a stage lasted long enough for a sample of its memory."""
    return all(stage in one.megabytes for one in side)


def make_store(file: Path) -> None:
    """A tracking store with its tables: neither night pays for their making."""
    subprocess.run(
        [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{file}"],
        check=True,
        capture_output=True,
    )


def run_process(
    module: str,
    folder: Path,
    symbols: tuple[str, ...],
    trials: int,
    variables: Mapping[str, str] | None = None,
) -> Readings:
    """Run a module's night in a process and a store of its own.

    Args:
        module: of the benchmarks.
        folder: with the template of the store.
        symbols, trials: of the night.
        variables: of its environment, beside those of every night.

    Raises:
        BrainError: it failed.
    """
    with tempfile.TemporaryDirectory(dir=folder) as name:
        home = Path(name)
        shutil.copy(folder / "template.db", home / "mlflow.db")
        order = Night(symbols, trials, str(home / "readings.json"))
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{module}"],
            cwd=home,
            env=_environment(home) | order.environment() | dict(variables or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = " | ".join((done.stderr or done.stdout).strip().splitlines()[-_LAST_LINES:])
            raise BrainError(f"{module} ended with {done.returncode}: {last}")
        readings = json.loads((home / "readings.json").read_text())
        files = artifacts(home / "mlruns")
        return Readings(readings["seconds"], readings["megabytes"], files)


def _environment(home: Path) -> dict[str, str]:
    """No settings of the user's, one thread, a store of its own."""
    others = {k: v for k, v in os.environ.items() if not k.startswith(("BRAIN_", "MLFLOW_"))}
    return {
        **others,
        **dict.fromkeys(_THREADS, "1"),
        "PYTHONPATH": str(ROOT),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "MPLBACKEND": "agg",
    }


BENCHMARK = Benchmark(
    measure,
    runs=3,
    options=(
        click.Option(
            ["--symbols"],
            default="all",
            show_default=True,
            help="of the packaged sample, with commas",
        ),
        click.Option(
            ["--trials"],
            type=click.IntRange(min=1),
            default=8,
            show_default=True,
            help="hyperparameter trials of a family",
        ),
    ),
    versions=(
        "mlflow",
        "lightgbm",
        "xgboost",
        "torch",
        "pytorch-lightning",
        "onnxruntime",
        "optuna",
        "shap",
        "evidently",
        "scikit-learn",
        "pandas",
        "numpy",
    ),
)
