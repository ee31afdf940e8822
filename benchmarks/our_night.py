"""Our night in one process, as ``python -m mlproject nightly`` does it, with a clock hung on.

Run by :mod:`benchmarks.nightly`, in a process and a store of its own.
"""

from __future__ import annotations

import sys

from benchmarks.night import (
    BARS,
    CHAMPIONS,
    DRIFT,
    EXPLAIN,
    FITS,
    JUDGEMENT,
    LOG,
    SEARCH,
    WALK_FORWARD,
    Night,
    run_night,
)
from benchmarks.stages import StageClock

__all__ = ["night"]


def night(given: Night, clock: StageClock) -> None:
    """Run the entry point.

    Raises:
        SystemExit: it failed, wholly or in part.
    """
    import mlproject

    hang(clock)
    code = mlproject.main(
        [
            "nightly",
            *("--symbols", ",".join(given.symbols)),
            *("--trials", str(given.trials)),
            *("--jobs", "1"),
        ]
    )
    if code:
        sys.exit(code)


def hang(clock: StageClock) -> None:
    """Hang the clock on the functions that are the night's stages."""
    import analysis.nightly
    import analysis.workers
    import engine.champions
    import engine.night
    import engine.packaging
    import engine.training
    import market.files

    clock.hang(BARS, market.files, "read_folder")
    clock.hang(BARS, engine.night, "make_dataset")
    clock.hang(SEARCH, engine.training, "search")
    clock.hang(WALK_FORWARD, engine.training, "out_of_sample")
    clock.hang(JUDGEMENT, engine.training, "judge", "net_returns")
    clock.hang(FITS, engine.night, "train")  # what is left of it once its parts have theirs
    clock.hang(LOG, engine.packaging, "write_model")
    clock.hang(LOG, engine.night, "log_trained")
    clock.hang(EXPLAIN, analysis.nightly, "explain_task")
    clock.hang(EXPLAIN, analysis.workers, "explain")
    clock.hang(DRIFT, analysis.workers, "compare")
    clock.hang(LOG, analysis.nightly, "store")
    clock.hang(CHAMPIONS, engine.champions, "choose_champions", "name_champions")


if __name__ == "__main__":
    run_night(night)
