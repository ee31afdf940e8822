"""An executor's way from a bar to a decision and from values to a score, and its memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from benchmarks.frame import Benchmark, Report
from benchmarks.serving_champions import make_champion, sample_dataset
from benchmarks.serving_decisions import decision_metrics
from benchmarks.serving_http import http_metrics
from benchmarks.serving_memory import memory_metrics
from benchmarks.serving_scores import Readings, score_metrics, score_records
from brain.console import console
from brain.naming import Family

__all__ = ["BENCHMARK", "measure"]


def measure(runs: int, mlserver: Path | None = None) -> Report:
    """Fit the champions, and measure each, ours and theirs in turn.

    Args:
        runs: of each side.
        mlserver: Python of an environment that has MLServer with its MLflow runtime; None for none.
    """
    out = console()

    def progress(line: str) -> None:
        out.print(f"  {line}", markup=False)

    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder, dataset = Path(scratch), sample_dataset()
        champions = [
            make_champion(name, dataset, folder / f"{name}-{large}", large=large)
            for large in (False, True)
            for name in Family
        ]
        decisions, differ = decision_metrics(folder, runs, progress)
        scores = [Readings.of(champion, runs, progress) for champion in champions]
        memory = [
            metric
            for champion in champions
            if not champion.large
            for metric in memory_metrics(champion.family, champion.folder)
        ]
        over_http, http_notes = http_metrics(champions, folder, runs, progress, mlserver)
    return Report(
        metrics=[*decisions, *score_metrics(scores), *memory, *over_http],
        runs=runs,
        ours="Hamilton",
        theirs="tutorials",
        notes=[
            "From a close to a decision that is in the journal; theirs has the model in memory, "
            "computes features and regime of the last bars, and asks pyfunc. "
            f"{differ} of its predictions differ from ours.",
            "From a mapping of 48 values to a score, one thread. Theirs is a frame of the row, or "
            "of the LSTM's window, and its prediction. Times are the processor's: other load is no "
            "part of them.",
            "Champions of one seed on the sample's hours of BTC/USD; the second of each family is "
            "the largest of its search space.",
            "Memory is resident, of a process of its own with nothing else in it; read once.",
            *http_notes,
        ],
        records=score_records(scores),
    )


BENCHMARK = Benchmark(
    measure,
    runs=5,
    options=[
        click.Option(
            ["--mlserver"],
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Python of an environment with MLServer and mlserver-mlflow, to measure it too",
        )
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
