"""What it costs to follow a registry of 400 symbols, beside looking 1,600 aliases up."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from benchmarks.frame import Metric, Target, interleave
from brain.model_keys import ModelKey
from brain.naming import REGIMES, Tag, cell_tag, champion_alias
from registry.library import BrainLibrary
from serving import Hamilton, Limits, Refresh, RemoteRegistry
from serving.remote.changes import Changes
from tests.servers import MlflowServer, sqlite_template
from tests.serving.desk import bars_of, sample
from tests.serving.registry_desk import RegistryDesk, datasets

__all__ = ["poll_metrics"]

_SYMBOLS = 400
#: Of real entries: mostly the records of four cells, with the state of their regimes.
_ENTRY_BYTES = 13_000
_TRAINED = 900
_POLLS = 20
_DECIDE_SECONDS = 20.0
_PAUSE_SECONDS = 0.002


def poll_metrics(runs: int, progress: Callable[[str], object]) -> list[Metric]:
    """Seconds of a poll without a change and of a sweep; and what sweeps cost decisions."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        template = sqlite_template(folder)
        progress(f"a registry of {_SYMBOLS} symbols")
        store = folder / "filled.db"
        shutil.copy(template, store)
        names = _fill(f"sqlite:///{store}")
        with MlflowServer(folder, store).run() as server:
            return [*_costs(server.uri, names, runs, progress), *_latencies(server.uri, folder)]


def _costs(
    uri: str, names: list[str], runs: int, progress: Callable[[str], object]
) -> list[Metric]:
    registry, client = RemoteRegistry(uri), MlflowClient(uri)
    changes = Changes(registry)
    list(changes.sweep())
    changes.look()
    time.sleep(6.0)  # until the last change is long enough ago
    changes.look()

    def look_ups() -> float | None:
        begin = time.perf_counter()
        for name, regime in itertools.product(names, REGIMES):
            client.get_model_version_by_alias(name, champion_alias(regime))
        return time.perf_counter() - begin

    polls, sweeps = list[float](), list[float]()

    def ours() -> None:
        begin = time.perf_counter()
        for _ in range(_POLLS):
            assert changes.look() == []
        middle = time.perf_counter()
        assert not any(changes.sweep())
        polls.append((middle - begin) / _POLLS)
        sweeps.append(time.perf_counter() - middle)

    others = [seconds for seconds in interleave(ours, look_ups, runs, progress)[1] if seconds]
    aliases = f"{len(names) * len(REGIMES)} alias look-ups"
    return [
        Metric(f"poll without a change / {aliases}", "s", polls, others,
               target=Target(150)),
        Metric(f"sweep / {aliases}", "s", sweeps, others, target=Target(6)),
    ]  # fmt: skip


def _latencies(uri: str, folder: Path) -> list[Metric]:
    """The latency of decisions while one sweep follows the other, and while there is none."""
    desk = RegistryDesk(BrainLibrary(uri), folder / "models")
    desk.folder.mkdir()
    (dataset,) = datasets(_TRAINED)
    for version, regime in zip(desk.versions(dataset), REGIMES, strict=False):
        desk.crown(version, regime)
    quiet = _decisions(uri, sweep_seconds=1e6)
    swept = _decisions(uri, sweep_seconds=0.01)
    tail = [float(np.quantile(each, 0.999)) * 1e6 for each in (quiet, swept)]
    return [
        Metric("decision without sweeps, p99.9", "µs", tail[:1]),
        Metric("decision during sweeps, p99.9", "µs", tail[1:]),
        Metric("p99.9 during sweeps / without", "", [tail[1] / tail[0]],
               target=Target(3, "at most", of="ours")),
    ]  # fmt: skip


def _decisions(uri: str, sweep_seconds: float) -> list[float]:
    """Seconds of decisions, made anew from the end of the training on until time is over."""
    latencies: list[float] = []
    bars = [bar for bar in bars_of(sample(), _TRAINED) if bar.close == bar.close]
    end = time.monotonic() + _DECIDE_SECONDS
    refresh = Refresh(sweep_seconds=sweep_seconds)
    with Hamilton(
        RemoteRegistry(uri), ["ETH/USD"], limits=Limits.off(), refresh=refresh
    ) as sweeping:
        del sweeping  # its sweeps go on
        while time.monotonic() < end:
            hamilton = Hamilton(RemoteRegistry(uri), ["ETH/USD"], limits=Limits.off(), refresh=None)
            for bar in bars:
                begin = time.perf_counter()
                hamilton.bar("ETH/USD", *bar[1:], bar.close_time)
                latencies.append(time.perf_counter() - begin)
                time.sleep(_PAUSE_SECONDS)
    return latencies


def _fill(uri: str) -> list[str]:
    """Models with a version, four aliases and tags of real size, written to the database."""
    client = MlflowClient(uri, uri)
    record = "x" * (_ENTRY_BYTES // len(REGIMES))
    names = []
    for number in range(_SYMBOLS):
        key = ModelKey(f"FILL{number:03}/USD", "1h", 6)
        tags = key.tags | {cell_tag(regime): record for regime in REGIMES}
        client.create_registered_model(key.name, tags=tags, description="a symbol")
        client.create_model_version(
            key.name, source=os.devnull, tags=key.tags | {Tag.FAMILY: "lightgbm"}
        )
        for regime in REGIMES:
            client.set_registered_model_alias(key.name, champion_alias(regime), "1")
        names.append(key.name)
    return names
