"""Promotions in a registry while clients ask ``brain serve``: each answer is one, and a right one.

A real MLflow server; ``brain serve`` as anyone starts it, which follows that registry at its poll
of a second; a process that asks it over many connections. Here versions are named champions, each
once, of cells that answer by the version that they were given last.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd

from benchmarks.frame import Metric, Target
from benchmarks.http_load import Load, load
from brain.naming import REGIMES, Family, Regime
from brain.records import Version
from registry.library import BrainLibrary
from tests.servers import MlflowServer, sqlite_template
from tests.serving.desk import fit
from tests.serving.registry_desk import RegistryDesk, datasets, record_of

__all__ = ["promotion_metrics"]

_SYMBOL = "BTC/USD"
_TRAINED = 900
#: Rows that the two models are fitted on, whose versions take turns.
_ROWS = (700, 900)
_VERSIONS = 50
_REQUESTS = 200
_CONNECTIONS = 32
_SECONDS = 3.0
_LOOK_SECONDS, _LATE_SECONDS, _END_SECONDS = 0.02, 0.5, 60.0

Progress = Callable[[str], object]
Prediction = float | None


def promotion_metrics(promotions: int, progress: Progress) -> list[Metric]:
    """Answers that are none, or not those of their version; and how many versions answered."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        with MlflowServer(folder, sqlite_template(folder)).run() as server:
            progress("HTTP, promotions: their versions are registered")
            desk = RegistryDesk(BrainLibrary(server.uri), folder / "models")
            first, *versions = _versions(desk, min(promotions, _VERSIONS) + 1)
            desk.crown(first)
            asked = _Asked.of(desk, (first, *versions))
            with _brain_serve(server.uri, folder, first.key.name) as port:
                progress("HTTP, the same without promotions")
                quiet = load(port, _CONNECTIONS, _SECONDS, asked.requests)
                progress(f"HTTP, {promotions} promotions")
                promoter = _Promoter(desk.library, first.key.name, port)
                with ThreadPoolExecutor(1) as pool:
                    named = pool.submit(promoter.promote, islice(cycle(versions), promotions))
                    loads = []
                    while not named.done():
                        loads.append(load(port, _CONNECTIONS, _SECONDS, asked.requests))
                    named.result()
            by_regime = {regime: [first, *some] for regime, some in promoter.named.items()}
            return _metrics(quiet, loads, promoter, asked.wrong(loads, by_regime), promotions)


def _metrics(
    quiet: Load, loads: Sequence[Load], promoter: _Promoter, wrong: int, promotions: int
) -> list[Metric]:
    title, delays = f"HTTP, {promotions} promotions", promoter.delays or [math.nan]
    zero = Target(0, "at most", of="ours")
    versions = {version for each in loads for _, version, _ in each.bodies}
    rate = sum(each.answers for each in loads) / sum(each.seconds for each in loads)
    faults = float(sum(each.faults for each in loads))
    return [
        Metric(f"{title}: answers meanwhile", "", [float(sum(each.answers for each in loads))]),
        Metric(f"{title}: not 2xx", "", [faults], target=zero),
        Metric(f"{title}: answers that are not the version's", "", [float(wrong)], target=zero),
        Metric(f"{title}: cells without their last one", "", [float(len(promoter.waiting))],
               target=zero),
        Metric(f"{title}: that were in use before the next", "", [float(len(promoter.delays))]),
        Metric(f"{title}: versions that answered", "", [float(len(versions))]),
        Metric(f"{title}: named to in use, p50", "s", [float(np.quantile(delays, 0.5))]),
        Metric(f"{title}: named to in use, p99", "s", [float(np.quantile(delays, 0.99))]),
        Metric(f"{title}: requests meanwhile", "/s", [rate], better="higher"),
        Metric("HTTP, the same without promotions", "/s", [quiet.rate], better="higher"),
    ]  # fmt: skip


def _versions(desk: RegistryDesk, number: int) -> list[Version]:
    """So many versions, of two models in turn."""
    desk.folder.mkdir()
    (dataset,) = datasets(_TRAINED, [_SYMBOL])
    fitted = [fit(Family.LIGHTGBM, dataset, rows) for rows in _ROWS]
    written = [desk.register(each, dataset) for each in fitted[:number]]
    others = [
        desk.register(fitted[place % 2], dataset, desk.folders[written[place % 2].id])
        for place in range(2, number)
    ]
    return [*written, *others]


# --- what is asked, and what is right -----------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    """Requests of rows to the cells in turn, and what two models predict on them.

    Attributes:
        requests: as bytes.
        predictions: of each request, by a version's id.
    """

    requests: Sequence[bytes]
    predictions: Mapping[str, Sequence[Prediction]]

    @classmethod
    def of(cls, desk: RegistryDesk, versions: Sequence[Version]) -> _Asked:
        (dataset,) = datasets(_TRAINED, [_SYMBOL])
        rows = dataset.features[-_REQUESTS:]
        frame = pd.DataFrame(rows, None, dataset.names)
        requests = [
            _request(REGIMES[number % len(REGIMES)], dataset.names, row)
            for number, row in enumerate(rows.tolist())
        ]
        of_models = [_predictions(desk.folders[version.id], frame) for version in versions[:2]]
        return cls(requests, {version.id: of_models[n % 2] for n, version in enumerate(versions)})

    def wrong(self, loads: Sequence[Load], named: Mapping[Regime, Sequence[Version]]) -> int:
        """How many answers are of a version that the cell never had, or not its prediction."""
        known = {(regime, v.id) for regime, versions in named.items() for v in versions}
        wrong = 0
        answers = {
            (number, version, body) for each in loads for number, version, body in each.bodies
        }
        for number, version, body in answers:
            right = (REGIMES[number % len(REGIMES)], version) in known and {
                "predictions": [self.predictions[version][number]]
            }
            wrong += json.loads(body) != right
        return wrong


def _predictions(folder: Path, frame: pd.DataFrame) -> list[Prediction]:
    predicted = np.asarray(mlflow.pyfunc.load_model(str(folder)).predict(frame)).tolist()
    return [None if math.isnan(value) else value for value in predicted]


def _request(regime: Regime, names: Sequence[str], row: Sequence[float]) -> bytes:
    values = [None if math.isnan(value) else value for value in row]
    content = json.dumps({"dataframe_split": {"columns": list(names), "data": [values]}}).encode()
    head = (
        f"POST /invocations?regime={regime} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


# --- promotions ---------------------------------------------------------------------------------


@dataclass
class _Promoter:
    """Names champions of cells, of each again once its former one is in use, or is late.

    One that is late is superseded: it may never be in use, as between two looks at a registry.

    Attributes:
        library: in which they are named.
        model: of the cells.
        port: of what serves them.
        named: the versions that each cell was given.
        delays: seconds from before a version is named until its cell answers by it.
        waiting: the cells that don't answer yet by what they were given last, and when that was;
            the longest waiting one first.
    """

    library: BrainLibrary
    model: str
    port: int
    named: dict[Regime, list[Version]] = field(
        default_factory=lambda: {regime: [] for regime in REGIMES}
    )
    delays: list[float] = field(default_factory=list)
    waiting: dict[Regime, tuple[str, float]] = field(default_factory=dict)

    def promote(self, versions: Iterable[Version]) -> None:
        """Name each version champion of a cell, and wait for the last ones."""
        free = deque(REGIMES)
        for version in versions:
            late = time.monotonic() + _LATE_SECONDS
            while not free and time.monotonic() < late:
                free.extend(self._in_use())
            regime = free.popleft() if free else next(iter(self.waiting))
            self.waiting.pop(regime, None)
            self.named[regime].append(version)
            self.waiting[regime] = version.id, time.perf_counter()
            self.library.set_champion(version.key, regime, record_of(version), None)
        end = time.monotonic() + _END_SECONDS
        while self.waiting and time.monotonic() < end:
            self._in_use()

    def _in_use(self) -> list[Regime]:
        """The cells whose version is in use by now."""
        time.sleep(_LOOK_SECONDS)
        done = []
        for regime, (version, begun) in list(self.waiting.items()):
            address = f"http://127.0.0.1:{self.port}/champions/{self.model}/{regime}"
            with urllib.request.urlopen(address, timeout=_END_SECONDS) as answer:
                if answer.headers["x-model-version"] == version:
                    self.delays.append(time.perf_counter() - begun)
                    del self.waiting[regime]
                    done.append(regime)
        return done


@contextmanager
def _brain_serve(registry: str, folder: Path, model: str) -> Iterator[int]:
    """The command, on a registry, with a cache of champions; its port."""
    command = [sys.executable, "-m", "mlproject", "serve", "--symbols", model, "--port", "0"]
    command += ["--cache", str(folder / "cache")]
    with subprocess.Popen(
        command, env={**os.environ, "MLFLOW_TRACKING_URI": registry}, stdout=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("Serving "):
                raise RuntimeError(f"{command} did not start: {line}")
            yield int(line.partition("127.0.0.1:")[2].partition(";")[0])
        finally:
            process.terminate()
