"""An executor: decisions, scores and memory; then promotions, polls, starts and HTTP, live."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from benchmarks.frame import Benchmark, Report
from benchmarks.http_promotions import promotion_metrics
from benchmarks.serving_champions import Champion, make_champion, sample_dataset
from benchmarks.serving_decisions import decision_metrics
from benchmarks.serving_http import http_metrics
from benchmarks.serving_memory import memory_metrics
from benchmarks.serving_polls import poll_metrics
from benchmarks.serving_refresh import refresh_metrics
from benchmarks.serving_scores import Readings, score_metrics, score_records
from benchmarks.serving_starts import start_metrics
from brain.console import console
from brain.naming import Family

__all__ = ["BENCHMARK", "measure"]


Progress = Callable[[str], object]

_OURS, _THEIRS = "Hamilton", "tutorials, or MLflow's own"
_HTTP_PROMOTIONS = 200
_PARTS = ("first", "second", "both")
_FIRST_NOTES = (
    "From a mapping of 48 values to a score, one thread. Theirs is a frame of the row, or of the "
    "LSTM's window, and its prediction. Times are the processor's: other load is no part of them.",
    "Champions of one seed on the sample's hours of BTC/USD; the second of each family is the "
    "largest of its search space.",
    "Memory is resident, of a process of its own with nothing else in it; read once.",
)
_SECOND_NOTES = (
    "Promotions are named by another process in a real MLflow server on SQLite, of versions of all "
    "families over four symbols, while two threads decide; a delay begins before the alias is set. "
    "Server and process get what Hamilton leaves of the processors, and the server's files are in "
    "memory: where people trade they are other machines'. "
    "Predictions are compared with pyfunc's of the version that the decision names.",
    "A poll and a sweep are of a registry of 400 symbols with entries of 13 KB; theirs are 1,600 "
    "look-ups of an alias by MLflow's client.",
    "A start is from a new process to its first score, fetched, checked by digest and proven on "
    "golden rows. Theirs is mlflow.pyfunc by an alias: of the same model as MLflow's flavour logs "
    "it (mlflow.lightgbm, mlflow.pytorch), and of our version, whose LSTM needs no PyTorch. "
    "Whether packages have bytecode is the environment's, but where it is said to be at hand: a "
    "start before has left it, of either.",
    "HTTP, promotions: `brain serve` follows a real MLflow server, and 32 connections ask it. A "
    "champion is named again once its former one is in use, or after half a second.",
)


def measure(
    runs: int, part: str = "both", promotions: int = 1000, mlserver: Path | None = None
) -> Report:
    """Fit the champions, and measure each, ours and theirs in turn.

    Args:
        runs: of each side.
        part: in memory (first), or live: promotions, polls, starts, HTTP (second); or both.
        promotions: that are made.
        mlserver: Python of an environment that has MLServer with its MLflow runtime; None for none.
    """
    out = console()

    def progress(line: str) -> None:
        out.print(f"  {line}", markup=False)

    parts: dict[str, Report] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder, dataset = Path(scratch), sample_dataset()
        champions = [
            make_champion(name, dataset, folder / f"{name}-{large}", large=large)
            for large in ((False, True) if part != "second" else (False,))
            for name in Family
        ]
        if part != "second":
            parts["first"] = _first(champions, folder, runs, progress)
        if part != "first":
            parts["second"] = _second(champions, folder, runs, progress, promotions, mlserver)
    return Report.of_parts(parts)


def _first(champions: Sequence[Champion], folder: Path, runs: int, progress: Progress) -> Report:
    """Decisions, scores and memory."""
    decisions, differ = decision_metrics(folder, runs, progress)
    scores = [Readings.of(champion, runs, progress) for champion in champions]
    memory = [
        metric
        for champion in champions
        if not champion.large
        for metric in memory_metrics(champion.family, champion.folder)
    ]
    return Report(
        metrics=[*decisions, *score_metrics(scores), *memory],
        runs=runs,
        ours=_OURS,
        theirs=_THEIRS,
        notes=[
            "From a close to a decision that is in the journal; theirs has the model in "
            "memory, computes features and regime of the last bars, and asks pyfunc. "
            f"{differ} of its predictions differ from ours.",
            *_FIRST_NOTES,
        ],
        records=score_records(scores),
    )


def _second(
    champions: Sequence[Champion],
    folder: Path,
    runs: int,
    progress: Progress,
    promotions: int,
    mlserver: Path | None,
) -> Report:
    """Promotions, polls, starts and HTTP."""
    over_http, http_notes = http_metrics(champions, folder, runs, progress, mlserver)
    return Report(
        metrics=[
            *refresh_metrics(promotions, progress),
            *poll_metrics(runs, progress),
            *start_metrics(runs, progress),
            *over_http,
            *promotion_metrics(min(promotions, _HTTP_PROMOTIONS), progress),
        ],
        runs=runs,
        ours=_OURS,
        theirs=_THEIRS,
        notes=[*_SECOND_NOTES, *http_notes],
    )


BENCHMARK = Benchmark(
    measure,
    runs=5,
    options=[
        click.Option(
            ["--part"],
            type=click.Choice(_PARTS),
            default="both",
            show_default=True,
            help="in memory (first); promotions, polls, starts and HTTP (second)",
        ),
        click.Option(
            ["--promotions"],
            type=click.IntRange(min=1),
            default=1000,
            show_default=True,
            help="that are made while bars are decided",
        ),
        click.Option(
            ["--mlserver"],
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Python of an environment with MLServer and mlserver-mlflow, to measure it too",
        ),
    ],
    versions=(
        "mlflow",
        "lightgbm",
        "xgboost",
        "onnxruntime",
        "pandas",
        "numpy",
        "uvicorn",
        "httptools",
        "msgspec",
    ),
)
