"""Requests a second: our server beside MLflow's scoring server, with the same models and bodies."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.frame import Metric, Target, interleave
from benchmarks.http_load import Load, load
from benchmarks.serving_champions import Champion, fit_champion
from brain.naming import Family
from brain.series import read_folder, sample_folder
from engine.data.dataset import make_dataset

__all__ = ["http_metrics"]

_CONNECTIONS = (1, 32)
#: At least so many times as many requests a second, at 1 and at 32 connections.
_LEAST = {Family.LIGHTGBM: (80, 100), Family.LSTM: (25, 25)}
_TOLERANCE = {Family.LIGHTGBM: 0.0, Family.LSTM: 1e-6}
_SECONDS, _SHORT_SECONDS = 3.0, 0.5
_REQUESTS, _BARS = 200, 2000
_START_SECONDS = 180.0
_SYMBOL, _HORIZON = "BTC/USD", 6

Progress = Callable[[str], object]


@dataclass(frozen=True)
class _Run:
    """A load, and the microseconds of processor that a request cost the server."""

    load: Load
    processor: float


@dataclass(frozen=True)
class _Readings:
    """One champion's runs, by the number of connections."""

    champion: Champion
    ours: dict[int, list[_Run]]
    theirs: dict[int, list[_Run]]
    mlserver: dict[int, list[_Run]]
    differ: int


def http_metrics(
    champions: Sequence[Champion],
    folder: Path,
    runs: int,
    progress: Progress,
    mlserver: Path | None = None,
) -> tuple[list[Metric], list[str]]:
    """Metrics, and sentences that belong under them.

    Args:
        champions: that are served; those of the sample's LightGBM and LSTM are.
        folder: for what is made.
        runs: of each side.
        progress: called with a line before each.
        mlserver: Python of an environment that has MLServer with its MLflow runtime; None for none.
    """
    served = [c for c in champions if c.family in _LEAST and not c.large]
    readings = [_measure(one, folder, runs, progress, mlserver) for one in served]
    metrics = [metric for one in readings for metric in _rates(one)]
    metrics += _bars(folder, runs, progress)
    differ = [float(sum(one.differ for one in readings))]
    zero = Target(0, "at most", of="ours")
    metrics.append(Metric("HTTP: answers that are not MLflow's", "", differ, target=zero))
    shares = [
        run.load.processor
        for one in readings
        for side in (one.ours, one.theirs)
        for some in side.values()
        for run in some
    ]
    notes = [
        "HTTP: the same requests to /invocations of ours and of `mlflow models serve` on "
        "loopback, one process each, LightGBM a row, the LSTM its window. What asks is a process "
        f"of its own, which took at most {max(shares):.0%} of a processor.",
        *_mlserver_notes(readings),
    ]
    return metrics, notes


# --- rates --------------------------------------------------------------------------------------


def _measure(
    champion: Champion, folder: Path, runs: int, progress: Progress, mlserver: Path | None
) -> _Readings:
    requests = _requests(champion)
    ours: dict[int, list[_Run]] = {}
    theirs: dict[int, list[_Run]] = {}
    others: dict[int, list[_Run]] = {}
    with ExitStack() as stack:
        our_server = stack.enter_context(_ours(champion.folder))
        their_server = stack.enter_context(_mlflow(champion.folder, folder))
        for number in _CONNECTIONS:
            for server in (our_server, their_server):
                load(server.port, number, _SHORT_SECONDS, requests)  # the first ones take longer
            ours[number], theirs[number] = interleave(
                partial(_run, our_server, number, requests),
                partial(_run, their_server, number, requests),
                runs,
                partial(_say, progress, f"{champion} at {_connections(number)}"),
            )
        if mlserver is not None:
            third = stack.enter_context(_mlserver(mlserver, champion.folder, folder))
            for number in _CONNECTIONS:
                progress(f"HTTP, {champion} at {_connections(number)}: MLServer")
                others[number] = [_run(third, number, requests) for _ in range(runs)]
    return _Readings(champion, ours, theirs, others, _differing(champion, ours, theirs))


def _say(progress: Progress, what: str, line: str) -> None:
    progress(f"HTTP, {what}: {line}")


def _run(server: _Address, connections: int, requests: Sequence[bytes]) -> _Run:
    before = server.processor()
    found = load(server.port, connections, _SECONDS, requests)
    return _Run(found, (server.processor() - before) / found.answers * 1e6)


def _rates(one: _Readings) -> Iterator[Metric]:
    for number, least in zip(_CONNECTIONS, _LEAST[one.champion.family], strict=True):
        title, ours, theirs = f"HTTP, {one.champion}", one.ours[number], one.theirs[number]
        at, zero = f"at {_connections(number)}", Target(0, "at most", of="ours")
        yield Metric(
            f"{title}: requests {at}",
            "/s",
            [run.load.rate for run in ours],
            [run.load.rate for run in theirs],
            better="higher",
            target=Target(least),
        )
        yield Metric(
            f"{title}: processor a request {at}",
            "µs",
            [run.processor for run in ours],
            [run.processor for run in theirs],
        )
        faults = [float(run.load.faults) for run in ours]
        yield Metric(f"{title}: not 2xx {at}", "", faults, target=zero)


def _differing(
    champion: Champion, ours: dict[int, list[_Run]], theirs: dict[int, list[_Run]]
) -> int:
    """How many requests have other predictions than MLflow's, or several."""
    mine, others = _last_predictions(ours), _last_predictions(theirs)
    tolerance = _TOLERANCE[champion.family]
    differ = 0
    for number, predictions in mine.items():
        known = others.get(number, predictions)
        near = all(abs(x - y) <= tolerance for x in predictions for y in known)
        differ += len(predictions) != 1 or not near
    return differ


def _last_predictions(runs: dict[int, list[_Run]]) -> dict[int, set[float]]:
    """The predictions of the last row, by the request's number."""
    found: dict[int, set[float]] = {}
    for run in (each for some in runs.values() for each in some):
        for number, _, body in run.load.bodies:
            (*_, last) = json.loads(body)["predictions"]
            value = last["prediction"] if isinstance(last, dict) else last
            found.setdefault(number, set()).add(math.nan if value is None else value)
    return found


def _requests(champion: Champion) -> list[bytes]:
    """Requests of rows, each in the form that pandas writes; a missing value is null."""
    windows = champion.windows[:: len(champion.windows) // _REQUESTS]
    bodies = []
    for window in windows:
        rows = window.reshape(-1, len(champion.names)).tolist()
        data = [[None if math.isnan(value) else value for value in row] for row in rows]
        bodies.append({"dataframe_split": {"columns": list(champion.names), "data": data}})
    return [_request("/invocations", body) for body in bodies]


def _request(path: str, body: object) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _connections(number: int) -> str:
    return f"{number} connection{'s' if number > 1 else ''}"


def _mlserver_notes(readings: Sequence[_Readings]) -> Iterator[str]:
    if not any(one.mlserver for one in readings):
        yield "MLServer was not measured; --mlserver names the Python of an environment with it."
        return
    rates = [
        f"{one.champion} {median(run.load.rate for run in some):.0f} at {_connections(number)}"
        for one in readings
        for number, some in one.mlserver.items()
    ]
    yield f"MLServer, requests a second, medians: {', '.join(rates)}."


# --- decisions ----------------------------------------------------------------------------------


def _bars(folder: Path, runs: int, progress: Progress) -> list[Metric]:
    """Bars after a training, each of which is decided on once."""
    (bars,) = read_folder(sample_folder(), [_SYMBOL]).bars.values()
    past = replace(bars, frame=bars.frame[:-_BARS])
    place = folder / "http-bars"
    fit_champion(Family.LIGHTGBM, make_dataset(past, horizon=_HORIZON), place, large=False)
    names = ("open", "high", "low", "close", "volume")
    rows = bars.frame[list(names)].iloc[-_BARS:].to_numpy().tolist()
    closes = bars.close_time.as_unit("ns").asi8[-_BARS:].tolist()
    requests = [
        _request(
            f"/bars/{_SYMBOL.replace('/', '-')}",
            dict(zip(names, map(_known, row), strict=True)) | {"close_time": close},
        )
        for row, close in zip(rows, closes, strict=True)
    ]
    loads = []
    for run in range(runs):
        progress(f"HTTP, bars: run {run + 1} of {runs}")
        with _ours(place) as server:
            loads.append(load(server.port, 1, 0, requests))
    faults = [float(each.faults) for each in loads]
    return [
        Metric(
            "HTTP, bars: decisions at 1 connection",
            "/s",
            [each.rate for each in loads],
            better="higher",
        ),
        Metric("HTTP, bars: bar to decision, p50", "µs", [each.times[0] * 1e6 for each in loads]),
        Metric("HTTP, bars: bar to decision, p99", "µs", [each.times[1] * 1e6 for each in loads]),
        Metric("HTTP, bars: not 2xx", "", faults, target=Target(0, "at most", of="ours")),
    ]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


# --- servers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Address:
    """A server's port, and its process."""

    port: int
    process: int

    def processor(self) -> float:
        """Seconds of processor that it has taken, with its children's."""
        import psutil

        parent = psutil.Process(self.process)
        times = [one.cpu_times() for one in (parent, *parent.children(recursive=True))]
        return float(sum(one.user + one.system for one in times))


@contextmanager
def _ours(folder: Path) -> Iterator[_Address]:
    command = [sys.executable, "-m", "benchmarks.http_ours", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield _Address(int(process.stdout.readline()), process.pid)
        finally:
            process.terminate()


@contextmanager
def _mlflow(model: Path, folder: Path) -> Iterator[_Address]:
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model)]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    address = f"http://127.0.0.1:{port}/health"
    with _started(command, address, folder / "mlflow.log") as process:
        yield _Address(port, process)


@contextmanager
def _mlserver(python: Path, model: Path, folder: Path) -> Iterator[_Address]:
    place = folder / f"mlserver-{model.name}"
    place.mkdir()
    port, others = _free_port(), [_free_port(), _free_port()]
    settings: dict[str, object] = {
        "http_port": port,
        "grpc_port": others[0],
        "metrics_port": others[1],
    }
    settings |= {"host": "127.0.0.1", "parallel_workers": 0, "debug": False}
    (place / "settings.json").write_text(json.dumps(settings))
    (place / "model-settings.json").write_text(
        json.dumps(
            {
                "name": "champion",
                "implementation": "mlserver_mlflow.MLflowRuntime",
                "parameters": {"uri": str(model)},
            }
        )
    )
    command = [str(python), "-m", "mlserver.cli.main", "start", str(place)]
    address = f"http://127.0.0.1:{port}/v2/health/ready"
    with _started(command, address, folder / "mlserver.log") as process:
        yield _Address(port, process)


@contextmanager
def _started(command: Sequence[str], address: str, log: Path) -> Iterator[int]:
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        ) as process,
    ):
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not _answers(address):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command} did not start:\n{log.read_text()[-4000:]}")
                time.sleep(0.1)
            yield process.pid
        finally:
            os.killpg(process.pid, 15)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
