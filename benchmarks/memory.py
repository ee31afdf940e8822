"""The memory of a night of many symbols, beside that of a night of few.

Each night is one process with one job, so that its peak is what one unit in flight needs, and what
stays behind of the symbols that are done. What the process has before it reads anything, with all
libraries imported, is taken off.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
import numpy as np
import pandas as pd

from benchmarks.frame import Benchmark, Metric, Report, Target, interleave
from benchmarks.night import IMPORTS, Night, run_night
from benchmarks.nightly import make_store, run_process
from benchmarks.stages import StageClock
from brain.console import console

__all__ = ["BENCHMARK", "measure", "night"]

_MOST_TIMES = 1.3
_OPTIONS = ("--families", "lightgbm", "--folds", "1", "--jobs", "1")


def measure(runs: int, many: int, few: int, bars: int) -> Report:
    """Run both nights in turn.

    Raises:
        BrainError: one of them failed.
    """
    out = console()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        make_store(folder / "template.db")
        symbols = [f"S{number:03}/USD" for number in range(many)]
        for seed, symbol in enumerate(symbols):
            _write_bars(folder / "bars", symbol, bars, seed)
        ours, theirs = interleave(
            lambda: _peak(folder, symbols),
            lambda: _peak(folder, symbols[:few]),
            runs,
            lambda line: out.print(f"  {line}", markup=False),
        )
    return Report(
        metrics=[
            Metric("peak memory above an idle process", "MB", ours, theirs),
            Metric(
                f"memory of {many} symbols in that of {few}",
                "",
                [most / least for most, least in zip(ours, theirs, strict=True)],
                target=Target(_MOST_TIMES, "at most", of="ours"),
            ),
        ],
        runs=runs,
        ours=f"{many} symbols of {bars:,} bars",
        theirs=f"{few} of them",
        notes=["LightGBM, one job. An idle process has imported everything and read nothing."],
    )


def night(order: Night, clock: StageClock) -> None:
    """Run the entry point on the order's symbols.

    Raises:
        SystemExit: it failed, wholly or in part.
    """
    import mlproject

    symbols = ",".join(order.symbols)
    with clock.stage("night"):
        code = mlproject.main(
            ["nightly", "--symbols", symbols, "--trials", str(order.trials), *_OPTIONS]
        )
    if code:
        sys.exit(code)


def _peak(folder: Path, symbols: list[str]) -> float:
    """The megabytes of a night above those of its imports."""
    variables = {"BRAIN_BARS": str(folder / "bars"), "BRAIN_EXPLAIN_ROWS": "500"}
    megabytes = run_process("memory", folder, tuple(symbols), 1, variables).megabytes
    return megabytes["night"] - megabytes[IMPORTS]


def _write_bars(folder: Path, symbol: str, count: int, seed: int) -> None:
    """A random walk, as hourly bars."""
    folder.mkdir(exist_ok=True)
    draws = np.random.default_rng(seed).normal(scale=0.01, size=(count, 3))
    close = 100 * np.exp(np.cumsum(draws[:, 0]))
    start = np.concatenate([[100.0], close[:-1]])
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2020-01-01", periods=count, freq="h", tz="UTC"),
            "open": start,
            "high": np.maximum(start, close) * np.exp(np.abs(draws[:, 1])),
            "low": np.minimum(start, close) * np.exp(-np.abs(draws[:, 2])),
            "close": close,
            "volume": np.exp(draws[:, 1]),
        }
    )
    frame.to_parquet(folder / f"{symbol.replace('/', '-')}_1h.parquet", index=False)


BENCHMARK = Benchmark(
    measure,
    runs=1,
    options=(
        click.Option(
            ["--many"],
            type=click.IntRange(min=1),
            default=40,
            show_default=True,
            help="symbols of our night",
        ),
        click.Option(
            ["--few"],
            type=click.IntRange(min=1),
            default=4,
            show_default=True,
            help="symbols of the other",
        ),
        click.Option(
            ["--bars"],
            type=click.IntRange(min=1000),
            default=20_000,
            show_default=True,
            help="of a symbol",
        ),
    ),
    versions=("mlflow", "lightgbm", "shap", "evidently", "pandas", "numpy"),
)


if __name__ == "__main__":
    run_night(night)
