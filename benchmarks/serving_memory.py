"""The resident memory of a process that serves many champions, each with a model of its own.

The same files are loaded many times over: a library shares nothing between two loads of a model.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.frame import Metric, Target

if TYPE_CHECKING:
    from serving.predictors import Predictor

__all__ = ["COUNTS", "load_champion", "memory_metrics"]

#: Champions in a process.
COUNTS = (1, 50, 400)

_MOST_MEGABYTES = 300
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ROOT = Path(__file__).parents[1]


def memory_metrics(family: str, folder: Path) -> list[Metric]:
    """Megabytes with 1, 50 and 400 champions of a model's folder, after a score of each; once.

    Raises:
        subprocess.CalledProcessError: a process failed.
    """
    metrics = []
    for count in COUNTS:
        ours, theirs = ([_megabytes(side, folder, count)] for side in ("ours", "theirs"))
        name = f"{family}: memory of {count} champion{'s' if count > 1 else ''}"
        most = Target(_MOST_MEGABYTES, "at most", of="ours") if count == max(COUNTS) else None
        metrics.append(Metric(name, "MB", ours, theirs, target=most))
    return metrics


def _megabytes(side: str, folder: Path, count: int) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving_memory", side, folder, str(count)],
        env={
            **os.environ,
            **dict.fromkeys(_THREADS, "1"),
            "PYTHONPATH": str(ROOT),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def _serve(side: str, folder: str, count: str) -> float:
    """The megabytes of this process once it serves the champions."""
    load = load_champion if side == "ours" else _load_theirs
    models = [load(Path(folder)) for _ in range(int(count))]
    megabytes = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    del models
    return megabytes / 1e6


def load_champion(folder: Path) -> Predictor:
    """Our predictor of a model's folder."""
    from brain.artifacts import EXECUTOR
    from engine.kernels.executor_data import ExecutorData
    from serving.predictors import load

    data = ExecutorData.from_bytes((folder / EXECUTOR).read_bytes())
    return load(lambda name: (folder / name).read_bytes(), data)


def _load_theirs(folder: Path) -> object:
    import mlflow
    import numpy as np
    import pandas as pd

    model = mlflow.pyfunc.load_model(str(folder))
    names = model.metadata.get_input_schema().input_names()
    model.predict(pd.DataFrame(np.zeros((1, len(names))), columns=names))
    return model


if __name__ == "__main__":
    print(_serve(*sys.argv[1:]))
