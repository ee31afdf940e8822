"""Promotions while bars are decided: nothing fails, nothing is wrong, and how soon it is in use.

A real MLflow server, a process that names champions in it as a night does, and in this process
Hamilton, on whose symbols two threads decide. Every prediction is compared with that of pyfunc, by
the version that the decision names.

Where people trade, the server and that process are on other machines. Here they get what Hamilton
leaves of the processors (see :mod:`benchmarks.idle`), and the server's files are in memory, so that
its commits don't hold up the disk of Hamilton's journal: it is its own work that slows it down.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd

from benchmarks.frame import Metric, Target
from benchmarks.idle import idle
from brain.naming import REGIMES, Family, champion_alias, parse_regime
from brain.records import Version
from brain.series import Bars, read_folder, sample_folder
from engine.data.dataset import Dataset, make_dataset
from engine.data.frames import feature_frame
from registry.library import BrainLibrary
from serving import Hamilton, Limits, Refresh, RemoteRegistry
from serving.bars import Bar
from tests.servers import MlflowServer, sqlite_template
from tests.serving.desk import fit
from tests.serving.registry_desk import RegistryDesk, record_of

__all__ = ["refresh_metrics"]

_SYMBOLS = tuple(f"COIN{number}/USD" for number in range(4))
_HORIZON = 6
_TRAINED = 4_000
_ROWS = (3_000, 3_600)
_LAPS = 6
_MEMORY = Path("/dev/shm")
_POLL_SECONDS = 1.0
_QUIET_SECONDS = 20.0
_PAUSE_SECONDS = 0.002
_WATCH_SECONDS = 0.02
_TOLERANCE = {Family.LIGHTGBM: 0.0, Family.XGBOOST: 0.0, Family.LSTM: 1e-6}
_TIMES, _LATE_SECONDS = 2.5, 0.5


def refresh_metrics(promotions: int, progress: Callable[[str], object]) -> list[Metric]:
    """Failures, wrong predictions, latencies of decisions, and delays until a champion decides."""
    memory = _MEMORY if _MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as scratch,
        tempfile.TemporaryDirectory(prefix="benchmark-", dir=memory) as elsewhere,
    ):
        folder, other = Path(scratch), Path(elsewhere)
        with MlflowServer(other, sqlite_template(other)).run(idle) as server:
            progress("versions of three families for four symbols")
            desk, versions, bars = _desk(server.uri, folder)
            with _Decisions(server.uri, desk, bars) as decisions:
                progress(f"decisions for {_QUIET_SECONDS:g} s without promotions")
                quiet = decisions.latencies_of(lambda: time.sleep(_QUIET_SECONDS))
                progress(f"{promotions} promotions")
                delays: list[float] = []
                busy = decisions.latencies_of(
                    lambda: delays.extend(
                        _promote(server.uri, versions, promotions, decisions.hamilton)
                    )
                )
                families = {v.id: v.family for each in versions.values() for v in each}
                wrong = decisions.wrong(families)
    return _metrics(quiet, busy, delays, decisions.failures, wrong)


def _metrics(
    quiet: Sequence[float],
    busy: Sequence[float],
    delays: Sequence[float],
    failures: Sequence[str],
    wrong: int,
) -> list[Metric]:
    none = Target(0, "at most", of="ours")
    slower = float(np.quantile(busy, 0.99) / np.quantile(quiet, 0.99))
    late = float(np.quantile(delays, 0.99))
    in_time = Target(_POLL_SECONDS + _LATE_SECONDS, "at most", of="ours")
    return [
        Metric("promotions that were taken over", "", [len(delays)]),
        Metric("decisions meanwhile", "", [len(busy)]),
        Metric("decisions that failed", "", [len(failures)], target=none),
        Metric("predictions that are not pyfunc's", "", [wrong], target=none),
        Metric("quiet decision, p99", "µs", [float(np.quantile(quiet, 0.99)) * 1e6]),
        Metric("decision during promotions, p99", "µs", [float(np.quantile(busy, 0.99)) * 1e6]),
        Metric("p99 during promotions / quiet", "", [slower],
               target=Target(_TIMES, "at most", of="ours")),
        Metric("alias set to in use, p50", "s", [float(np.quantile(delays, 0.5))]),
        Metric("alias set to in use, p99", "s", [late], target=in_time),
    ]  # fmt: skip


def _desk(uri: str, folder: Path) -> tuple[RegistryDesk, dict[str, list[Version]], Bars]:
    """Six versions of each symbol, trained until the same bar; the LSTM decides in extremes."""
    (lap,) = read_folder(sample_folder(), ["BTC/USD"]).bars.values()
    bars = _laps(lap)
    dataset = make_dataset(replace(bars, frame=bars.frame[:_TRAINED]), horizon=_HORIZON)
    desk = RegistryDesk(BrainLibrary(uri), folder / "models")
    desk.folder.mkdir()
    versions: dict[str, list[Version]] = {}
    for number, symbol in enumerate(_SYMBOLS):
        of_symbol: Dataset = replace(dataset, symbol=symbol)
        versions[symbol] = [
            desk.register(fit(name, of_symbol, rows + number), of_symbol)
            for name, rows in itertools.product(Family, _ROWS)
        ]
        lstm = next(v for v in versions[symbol] if v.family is Family.LSTM)
        desk.crown(lstm)
    return desk, versions, bars


def _laps(bars: Bars) -> Bars:
    """The same bars again and again until where they end: enough for every promotion."""
    frame = pd.concat([bars.frame] * _LAPS)
    frame.index = pd.date_range(
        end=bars.frame.index[-1], periods=len(frame), freq=bars.step, name=frame.index.name
    )
    return replace(bars, frame=frame)


def _promote(
    uri: str, versions: dict[str, list[Version]], promotions: int, hamilton: Hamilton
) -> list[float]:
    """Seconds from before each alias is set until its version decides."""
    plan = json.dumps(
        {name: [[v.number, str(v.family)] for v in each] for name, each in versions.items()}
    )
    promoter = subprocess.Popen(
        idle(sys.executable, "-m", "benchmarks.serving_refresh", uri, str(promotions)),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert promoter.stdin is not None
    assert promoter.stdout is not None
    promoter.stdin.write(plan + "\n")
    promoter.stdin.flush()
    waiting: dict[tuple[str, str], tuple[int, str]] = {}
    delays: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        """Tell the promoter of every promotion that is in use."""
        assert promoter.stdin is not None
        while not ended.wait(_WATCH_SECONDS):
            for (symbol, regime), (begun, version) in list(waiting.items()):
                if hamilton.champion(symbol, regime).version.id.endswith(f"/{version}"):
                    delays.append((time.time_ns() - begun) / 1e9)
                    del waiting[symbol, regime]
                    promoter.stdin.write(json.dumps([symbol, regime]) + "\n")
                    promoter.stdin.flush()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for line in promoter.stdout:
            symbol, regime, version, begun = json.loads(line)
            waiting[symbol, regime] = begun, version
        deadline = time.monotonic() + 60.0
        while waiting and time.monotonic() < deadline:
            time.sleep(_WATCH_SECONDS)
    finally:
        ended.set()
        watcher.join()
        promoter.wait()
    return delays


@dataclass
class _Decisions:
    """Two threads that decide on two symbols each."""

    uri: str
    desk: RegistryDesk
    bars: Bars
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> _Decisions:
        self.hamilton = Hamilton(
            RemoteRegistry(self.uri),
            _SYMBOLS,
            limits=Limits.off(),
            journal=self.desk.folder.parent / "journal",
            cache=self.desk.folder.parent / "cache",
            refresh=Refresh(seconds=_POLL_SECONDS),
        )
        columns = self.bars.frame[["open", "high", "low", "close", "volume"]].to_numpy().tolist()
        closes = self.bars.close_time.as_unit("ns").asi8.tolist()
        self._bars = [
            (place, Bar(close, *row))
            for place, (row, close) in enumerate(zip(columns, closes, strict=True))
            if place >= _TRAINED and row[3] == row[3]
        ]
        self._made: list[tuple[str, int, str, float]] = []
        return self

    def __exit__(self, *_: object) -> None:
        self.hamilton.close()

    def latencies_of(self, work: Callable[[], object]) -> list[float]:
        """Seconds of each decision while something else is done."""
        ended, latencies = threading.Event(), list[float]()
        threads = [
            threading.Thread(target=self._decide, args=(symbols, ended, latencies))
            for symbols in (_SYMBOLS[::2], _SYMBOLS[1::2])
        ]
        for thread in threads:
            thread.start()
        try:
            work()
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        return latencies

    def _decide(
        self, symbols: Sequence[str], ended: threading.Event, latencies: list[float]
    ) -> None:
        for symbol, place, bar in self._next(symbols):
            if ended.is_set():
                return
            begin = time.perf_counter()
            try:
                decision = self.hamilton.bar(symbol, *bar[1:], bar.close_time)
            except Exception as error:  # noqa: BLE001 -- counted, whatever it is
                self.failures.append(repr(error))
                continue
            latencies.append(time.perf_counter() - begin)
            if decision.version is not None:
                self._made.append((decision.version, place, symbol, decision.prediction))
            time.sleep(_PAUSE_SECONDS)

    def _next(self, symbols: Sequence[str]) -> Iterator[tuple[str, int, Bar]]:
        """The next bars of symbols in turn; that there are no more is a failure."""
        for place, bar in self._bars:
            for symbol in symbols:
                if bar.close_time > self.hamilton.last_close(symbol):
                    yield symbol, place, bar
        self.failures.append("there are too few bars for these promotions")

    def wrong(self, families: Mapping[str, Family]) -> int:
        """How many predictions are not those of the version that was named, by pyfunc."""
        rows = pd.DataFrame(feature_frame(self.bars))
        expected = {
            version: np.asarray(mlflow.pyfunc.load_model(str(path)).predict(rows)).reshape(-1)
            for version, path in self.desk.folders.items()
        }
        wrong = 0
        for version, place, symbol, prediction in self._made:
            right = float(expected[version][place])
            far = not abs(prediction - right) <= _TOLERANCE[families[version]]
            both_unknown = prediction != prediction and right != right
            named = version.startswith(symbol.replace("/", "-"))
            wrong += not named or (far and not both_unknown)
        return wrong


# --- the process that promotes ------------------------------------------------------------------


def _watched_aliases() -> dict[str, int]:
    """When the latest write of each alias began, by its name, which this process' clients fill."""
    begun: dict[str, int] = {}
    write = mlflow.MlflowClient.set_registered_model_alias

    def watched(client: mlflow.MlflowClient, name: str, alias: str, version: str) -> None:
        begun.setdefault(alias, time.time_ns())
        write(client, name, alias, version)

    mlflow.MlflowClient.set_registered_model_alias = watched  # type: ignore[assignment]
    return begun


def _promoter(uri: str, promotions: int) -> None:
    """Name champions of cells that are not waiting for one, and say so."""
    library, source = BrainLibrary(uri), random.Random(1)
    plan = json.loads(sys.stdin.readline())
    cells = [(symbol, str(regime)) for symbol in plan for regime in REGIMES]
    champions = {
        (symbol, regime): next(number for number, name in plan[symbol] if name == Family.LSTM)
        for symbol, regime in cells
    }
    free, lock = set(cells), threading.Condition()
    aliases = _watched_aliases()

    def listen() -> None:
        for line in sys.stdin:
            with lock:
                free.add(tuple(json.loads(line)))
                lock.notify()

    threading.Thread(target=listen, daemon=True).start()
    for _ in range(promotions):
        with lock:
            lock.wait_for(lambda: free)
            symbol, regime = source.choice(sorted(free))
            free.discard((symbol, regime))
        # Extremes stay with the LSTM, so that what is observed goes on.
        number = source.choice([
            number
            for number, name in plan[symbol]
            if (regime != "extreme" or name == Family.LSTM) and number != champions[symbol, regime]
        ])  # fmt: skip
        champions[symbol, regime] = number
        version = library.version(symbol, number)
        aliases.clear()
        library.set_champion(symbol, parse_regime(regime), record_of(version), None)
        begun = aliases[champion_alias(parse_regime(regime))]
        print(json.dumps([symbol, regime, number, begun]), flush=True)
    time.sleep(10.0)  # what is waiting still is told until then


if __name__ == "__main__":
    _promoter(sys.argv[1], int(sys.argv[2]))
