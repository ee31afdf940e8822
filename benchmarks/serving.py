"""An executor: decisions, scores and memory; then promotions, polls, starts and HTTP, live."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from benchmarks.frame import Benchmark, Metric, Report
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
    "families over four symbols, while two threads decide; a delay begins before the first write. "
    "Predictions are compared with pyfunc's of the version that the decision names.",
    "A poll and a sweep are of a registry of 400 symbols with entries of 13 KB; theirs are 1,600 "
    "look-ups of an alias by MLflow's client.",
    "A start is from a new process to its first score, fetched, checked by digest and proven on "
    "golden rows; theirs is mlflow.pyfunc by the same alias.",
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

    metrics: list[Metric] = []
    notes: list[str] = []
    records: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder, dataset = Path(scratch), sample_dataset()
        champions = [
            make_champion(name, dataset, folder / f"{name}-{large}", large=large)
            for large in (False, True)
            for name in Family
        ]
        if part != "second":
            in_memory, differ, records = _first(champions, folder, runs, progress)
            metrics += in_memory
            notes += [
                "From a close to a decision that is in the journal; theirs has the model in "
                "memory, computes features and regime of the last bars, and asks pyfunc. "
                f"{differ} of its predictions differ from ours.",
                *_FIRST_NOTES,
            ]
        if part != "first":
            over_http, http_notes = http_metrics(champions, folder, runs, progress, mlserver)
            metrics += refresh_metrics(promotions, progress)
            metrics += [*poll_metrics(runs, progress), *start_metrics(runs, progress), *over_http]
            notes += [*_SECOND_NOTES, *http_notes]
    return Report(
        metrics=metrics, runs=runs, ours="Hamilton", theirs="tutorials, or MLflow's own",
        notes=notes, records=records,
    )  # fmt: skip


def _first(
    champions: Sequence[Champion], folder: Path, runs: int, progress: Callable[[str], object]
) -> tuple[list[Metric], int, list[dict[str, object]]]:
    """Metrics in memory, how many of theirs' predictions differ, and records of scores."""
    decisions, differ = decision_metrics(folder, runs, progress)
    scores = [Readings.of(champion, runs, progress) for champion in champions]
    memory = [
        metric
        for champion in champions
        if not champion.large
        for metric in memory_metrics(champion.family, champion.folder)
    ]
    return [*decisions, *score_metrics(scores), *memory], differ, score_records(scores)


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
