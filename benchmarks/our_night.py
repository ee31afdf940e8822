"""Our night in one process, as ``python -m mlproject nightly`` does it, with a clock hung on.

Run by :mod:`benchmarks.nightly`, in a process and a store of its own.
"""

from __future__ import annotations

import sys

from benchmarks.night import (
    BARS,
    CHAMPIONS,
    DRIFT,
    EVIDENCE,
    EXPLAIN,
    FITS,
    LOG,
    SEARCH,
    WALK_FORWARD,
    Night,
    run_night,
)
from benchmarks.stages import StageClock

__all__ = ["night"]


def night(order: Night, clock: StageClock) -> None:
    """Run the entry point.

    Raises:
        SystemExit: it failed, wholly or in part.
    """
    import mlproject

    hang(clock)
    code = mlproject.main(
        [
            "nightly",
            *("--symbols", ",".join(order.symbols)),
            *("--trials", str(order.trials)),
            *("--jobs", "1"),
        ]
    )
    if code:
        sys.exit(code)


def hang(clock: StageClock) -> None:
    """Hang the clock on the functions that are the night's stages."""
    import analysis.night
    import analysis.nightly
    import analysis.tasks
    import analysis.workers
    import brain.series.source
    import engine.night.model_folder
    import engine.night.symbols
    import engine.night.training

    clock.hang(BARS, brain.series.source, "read_files")
    clock.hang(BARS, engine.night.symbols, "make_dataset")
    clock.hang(SEARCH, engine.night.training, "search")
    clock.hang(WALK_FORWARD, engine.night.training, "out_of_sample")
    clock.hang(EVIDENCE, engine.night.training, "evaluate", "net_returns")
    clock.hang(FITS, engine.night.training, "train")  # without its parts
    clock.hang(LOG, engine.night.model_folder, "write_model")
    clock.hang(LOG, engine.night.symbols, "log_training")
    clock.hang(EXPLAIN, analysis.tasks, "explanation_task")
    clock.hang(EXPLAIN, analysis.workers, "explain")
    clock.hang(DRIFT, analysis.workers, "compare")
    clock.hang(LOG, analysis.nightly, "log_analysis")
    clock.hang(CHAMPIONS, analysis.night, "choose_champions", "name_champions")


if __name__ == "__main__":
    run_night(night)
