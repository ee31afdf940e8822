"""The resident memory of a process that serves many champions, each with a model of its own.

The same files are loaded many times over: a library shares nothing between two loads of a model.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.frame import Metric, Target

__all__ = ["COUNTS", "memory_metrics"]

#: Champions in a process.
COUNTS = (1, 50, 400)

_MOST_MEGABYTES = 300
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ROOT = Path(__file__).parents[1]


def memory_metrics(family: str, folder: Path, golden: Path) -> list[Metric]:
    """Megabytes with 1, 50 and 400 champions, after a score of each; once.

    Args:
        family: of the model.
        folder: of the model.
        golden: a file of arrays, ``names``, ``golden_rows`` and ``golden_predictions``.

    Raises:
        subprocess.CalledProcessError: a process failed.
    """
    return [
        Metric(
            f"{family}: memory of {count} champion{'s' if count > 1 else ''}",
            "MB",
            *([_megabytes(side, family, folder, golden, count)] for side in ("ours", "theirs")),
            target=Target(_MOST_MEGABYTES, "at most", of="ours") if count == max(COUNTS) else None,
        )
        for count in COUNTS
    ]


def _megabytes(side: str, family: str, folder: Path, golden: Path, count: int) -> float:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.serving_memory",
            side,
            family,
            folder,
            golden,
            str(count),
        ],
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


def _serve(side: str, family: str, folder: str, golden: str, count: str) -> float:
    """The megabytes of this process once it serves the champions."""
    models: list[Any] = []
    for _ in range(int(count)):
        models.append(_ours(family, folder, golden) if side == "ours" else _theirs(folder, golden))
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _ours(family: str, folder: str, golden: str) -> object:
    from types import SimpleNamespace

    import numpy as np

    from serving.predictors import load

    with np.load(golden) as arrays:
        data = SimpleNamespace(family=family, **arrays)
    data.names, data.look_back = tuple(data.names.tolist()), int(data.look_back)
    return load(lambda name: Path(folder, name).read_bytes(), data)


def _theirs(folder: str, golden: str) -> object:
    import mlflow
    import numpy as np
    import pandas as pd

    model = mlflow.pyfunc.load_model(folder)
    with np.load(golden) as arrays:
        rows = arrays["golden_rows"][0].reshape(-1, len(arrays["names"]))
        model.predict(pd.DataFrame(rows, columns=arrays["names"]))
    return model


if __name__ == "__main__":
    print(_serve(*sys.argv[1:]))
