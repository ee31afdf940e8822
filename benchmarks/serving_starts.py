"""From the start of a process to its first score: ours beside MLflow's own client."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.frame import Metric, Target, interleave
from brain.naming import Family
from registry.library import BrainLibrary
from tests.servers import MlflowServer, sqlite_template
from tests.serving.registry_desk import RegistryDesk, datasets

__all__ = ["start_metrics"]

ROOT = Path(__file__).parents[1]
_SOONER = {Family.LIGHTGBM: 8, Family.LSTM: 12}
_DOWN_SOONER = 5
_TRAINED = 900
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}
_OURS = """
import sys
from serving import Hamilton, RemoteRegistry
import numpy as np
uri, symbol, cache = sys.argv[1:]
hamilton = Hamilton(RemoteRegistry(uri), [symbol], cache=cache or None)
champion = hamilton.champion(symbol, "low")
rows = np.ones((champion.look_back, len(champion.names)))
print(champion.predict(rows if len(rows) > 1 else rows[0]), flush=True)
hamilton.close()
"""
_THEIRS = """
import sys
import mlflow, numpy, pandas
uri, name, rows = sys.argv[1:]
mlflow.set_tracking_uri(uri)
model = mlflow.pyfunc.load_model(f"models:/{name}@champion-low")
names = model.metadata.get_input_schema().input_names()
frame = pandas.DataFrame(numpy.ones((int(rows), len(names))), columns=names)
print(model.predict(frame), flush=True)
"""


def start_metrics(runs: int, progress: Callable[[str], object]) -> list[Metric]:
    """Seconds of both, by family; and of ours while the registry is down."""
    metrics = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        server = MlflowServer(folder, sqlite_template(folder))
        with server.run():
            desk = RegistryDesk(BrainLibrary(server.uri), folder / "models")
            desk.folder.mkdir()
            names = {}
            for family in _SOONER:
                (dataset,) = datasets(_TRAINED, [f"{family.upper()}/USD"])
                (version,) = desk.versions(dataset, [family])
                desk.crown(version)
                names[family] = version
            stock: dict[Family, list[float]] = {}
            for family, sooner in _SOONER.items():
                version = names[family]
                rows = "24" if family is Family.LSTM else "1"
                ours, stock[family] = interleave(
                    partial(_seconds, _OURS, server.uri, version.symbol, ""),
                    partial(_seconds, _THEIRS, server.uri, version.model, rows),
                    runs,
                    partial(_say, progress, f"start, {family}"),
                )
                name = f"{family}: start of a process to its first score"
                metrics.append(Metric(name, "s", ours, stock[family], target=Target(sooner)))
                _seconds(_OURS, server.uri, version.symbol, str(folder / f"cache-{family}"))
        for family in _SOONER:
            cache = str(folder / f"cache-{family}")
            progress(f"start, {family}, without the registry")
            ours = [_seconds(_OURS, server.uri, names[family].symbol, cache) for _ in range(runs)]
            name = f"{family}: start without the registry / stock's with it"
            metrics.append(Metric(name, "s", ours, stock[family], target=Target(_DOWN_SOONER)))
    return metrics


def _say(progress: Callable[[str], object], title: str, line: str) -> None:
    progress(f"{title}, {line}")


def _seconds(program: str, *arguments: str) -> float:
    """Until the process prints its score."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **_QUIET, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    taken = time.perf_counter() - begin
    if process.wait() or not line.strip():
        raise RuntimeError("a process ended without a score")
    return taken
