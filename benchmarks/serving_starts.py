"""From the start of a process to its first score: ours beside MLflow's own client.

Theirs reads the same model as MLflow's flavour of its family logs it, which is what a desk without
us has; and, beside it, our own version, whose files need less than a flavour's.

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
from typing import Any

import mlflow
import numpy as np
from mlflow.models import infer_signature

from benchmarks.frame import Metric, Target, interleave
from brain.naming import Family
from brain.records import Version
from engine.families import FittedModel
from engine.families.boosted import FittedLightGbm
from engine.families.lstm import FittedLstm
from registry.library import BrainLibrary
from tests.servers import MlflowServer, sqlite_template
from tests.serving.desk import fit
from tests.serving.registry_desk import RegistryDesk, datasets

__all__ = ["start_metrics"]

ROOT = Path(__file__).parents[1]
_SOONER = {Family.LIGHTGBM: 8, Family.LSTM: 12}
_DOWN_SOONER = 5
_TRAINED, _WINDOW = 900, 24
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "OMP_NUM_THREADS": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
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
schema = model.metadata.get_input_schema()
if schema.is_tensor_spec():
    given = numpy.ones((int(rows), schema.inputs[0].shape[1]))
else:
    names = schema.input_names()
    given = pandas.DataFrame(numpy.ones((int(rows), len(names))), columns=names)
print(model.predict(given), flush=True)
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
                fitted = fit(family, dataset)
                names[family] = desk.register(fitted, dataset)
                desk.crown(names[family])
                _log_flavour(fitted, server.uri)
            stock: dict[Family, Sequence[float]] = {}
            for family, version in names.items():
                found = _of_family(family, version, server.uri, folder, runs, progress)
                stock[family] = found[1].theirs
                metrics += found
                _seconds(_OURS, server.uri, version.symbol, str(folder / f"cache-{family}"))
        for family, version in names.items():
            cache = str(folder / f"cache-{family}")
            progress(f"start, {family}, without the registry")
            ours = [_seconds(_OURS, server.uri, version.symbol, cache) for _ in range(runs)]
            name = f"{family}: start without the registry / stock's of our version with it"
            metrics.append(Metric(name, "s", ours, stock[family], target=Target(_DOWN_SOONER)))
    return metrics


def _log_flavour(fitted: FittedModel, uri: str) -> None:
    """Register a model as a desk without us does: by MLflow's flavour of its family."""
    mlflow.set_tracking_uri(uri)
    example = np.ones((_WINDOW, fitted.width))
    logged: dict[str, Any] = {
        "name": "flavour",
        "registered_model_name": _flavour_name(fitted.family),
        "signature": infer_signature(example, np.ones(_WINDOW)),
        "pip_requirements": [],  # else it looks for them by a prediction in another process
    }
    with mlflow.start_run():
        if isinstance(fitted, FittedLstm):
            mlflow.pytorch.log_model(fitted.network, input_example=example, **logged)
        else:
            assert isinstance(fitted, FittedLightGbm)
            mlflow.lightgbm.log_model(fitted.booster, **logged)
    client = mlflow.MlflowClient(uri)
    client.set_registered_model_alias(_flavour_name(fitted.family), "champion-low", "1")


def _flavour_name(family: Family) -> str:
    return f"{family}-flavour"


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
    rows = str(_WINDOW if family is Family.LSTM else 1)
    ours = partial(_seconds, _OURS, uri, version.symbol, "")
    flavour = partial(_seconds, _THEIRS, uri, _flavour_name(family), rows)
    pyfunc = partial(_seconds, _THEIRS, uri, version.model, rows)
    bytecode = _with_bytecode(folder / "bytecode")
    metrics = []
    for what, surroundings in (("", {}), (", bytecode at hand", bytecode)):
        for whose, theirs in ((" / stock's", flavour), (" / stock's of our version", pyfunc)):
            sides = partial(ours, **surroundings), partial(theirs, **surroundings)
            if surroundings:
                for side in sides:
                    side()  # leaves the bytecode
            target = None if surroundings or theirs is pyfunc else Target(_SOONER[family])
            seconds = interleave(*sides, runs, say)
            metrics.append(Metric(f"{name}{whose}{what}", "s", *seconds, target=target))
        alone = [_seconds(_ALONE[family], **surroundings) for _ in range(runs)]
        metrics.append(Metric(f"{family}: imports of its libraries alone{what}", "s", alone))
    return metrics


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
