"""From the start of a process to its first score: ours beside MLflow's own client.

As the environment is, and with the bytecode of all modules at hand: where an installation leaves
none, as uv's does, and none may be written, most of either start is compiling.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.frame import Metric, Target, interleave
from brain.naming import Family
from brain.records import Version
from registry.library import BrainLibrary
from tests.servers import MlflowServer, sqlite_template
from tests.serving.registry_desk import RegistryDesk, datasets

__all__ = ["start_metrics"]

ROOT = Path(__file__).parents[1]
_SOONER = {Family.LIGHTGBM: 8, Family.LSTM: 12}
_DOWN_SOONER = 5
_TRAINED = 900
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}
_ALONE = {
    Family.LIGHTGBM: "import numpy, ctypes; print(1, flush=True)",
    Family.LSTM: "import numpy, onnxruntime; print(1, flush=True)",
}
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
    """Seconds of both, by family; of ours while the registry is down; of the imports alone."""
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
                (names[family],) = desk.versions(dataset, [family])
                desk.crown(names[family])
            stock: dict[Family, Sequence[float]] = {}
            for family, version in names.items():
                found = _of_family(family, version, server.uri, folder, runs, progress)
                stock[family] = found[0].theirs
                metrics += found
                _seconds(_OURS, server.uri, version.symbol, str(folder / f"cache-{family}"))
        for family, version in names.items():
            cache = str(folder / f"cache-{family}")
            progress(f"start, {family}, without the registry")
            ours = [_seconds(_OURS, server.uri, version.symbol, cache) for _ in range(runs)]
            name = f"{family}: start without the registry / stock's with it"
            metrics.append(Metric(name, "s", ours, stock[family], target=Target(_DOWN_SOONER)))
    return metrics


def _of_family(
    family: Family,
    version: Version,
    uri: str,
    folder: Path,
    runs: int,
    progress: Callable[[str], object],
) -> list[Metric]:
    """Starts of both with a version of the registry, the plain ones first."""
    name, say = f"{family}: start of a process to its first score", partial(_say, progress, family)
    ours = partial(_seconds, _OURS, uri, version.symbol, "")
    theirs = partial(_seconds, _THEIRS, uri, version.model, "24" if family is Family.LSTM else "1")
    bytecode = _with_bytecode(folder / "bytecode")
    compiled = partial(ours, **bytecode), partial(theirs, **bytecode)
    plain = interleave(ours, theirs, runs, say)
    for side in compiled:
        side()  # leaves the bytecode
    alone = [_seconds(_ALONE[family]) for _ in range(runs)]
    return [
        Metric(name, "s", *plain, target=Target(_SOONER[family])),
        Metric(f"{name}, bytecode at hand", "s", *interleave(*compiled, runs, say)),
        Metric(f"{family}: imports of its libraries alone", "s", alone),
        Metric(
            f"{family}: the same, bytecode at hand",
            "s",
            [_seconds(_ALONE[family], **bytecode) for _ in range(runs)],
        ),
    ]


def _say(progress: Callable[[str], object], title: str, line: str) -> None:
    progress(f"start, {title}, {line}")


def _with_bytecode(folder: Path) -> dict[str, str]:
    """Variables by which a process reads the bytecode of a folder, and writes what is missing."""
    return {"PYTHONPYCACHEPREFIX": str(folder), "PYTHONDONTWRITEBYTECODE": ""}


def _seconds(program: str, *arguments: str, **variables: str) -> float:
    """Until the process prints its score."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **_QUIET, "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    taken = time.perf_counter() - begin
    if process.wait() or not line.strip():
        raise RuntimeError("a process ended without a score")
    return taken
