"""Jobs that are killed: what stays of them, what clears it up, and what continues them."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from brain.model_keys import ModelKey
from brain.naming import REGIMES, Family, Tag, symbol_name
from brain.recipes import Recipe
from brain.series.files import read_folder, sample_folder
from engine.data.dataset import make_dataset
from registry.library import BrainLibrary
from tests.brain.test_processes import GONE_SECONDS, READY_SECONDS, ROOT, ProcessTree, wait_until
from tests.engine.simulate import simulate
from tests.jobs import BRIEF, run_job, shorten

SYMBOL = "ETH/USD"
#: LightGBM is done in a moment, and XGBoost, by its stored recipe, in minutes: then it is killed.
SLOW = {
    "bars": str(sample_folder()),
    "symbols": SYMBOL,
    "families": "lightgbm,xgboost",
    "trials": "1",
    "folds": "1",
    "jobs": "2",
}
Start = Callable[..., ProcessTree]


@pytest.fixture
def library(sqlite_dsn: str, monkeypatch: pytest.MonkeyPatch) -> BrainLibrary:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_dsn)
    library = BrainLibrary(sqlite_dsn)
    library.experiment("nightly")  # its artifacts go below the test's folder
    return library


@pytest.fixture
def start(library: BrainLibrary, tmp_path: Path) -> Iterator[Start]:
    """Start ``python …``, whose second family takes minutes."""
    dataset = make_dataset(read_folder(sample_folder(), [SYMBOL]).bars[SYMBOL], horizon=6)
    slow = Recipe(
        Family.XGBOOST, dataset.feature_set, 6, {"rounds": 100_000}, 7,
        timeframe="1d", target=dataset.target_name, tuned_until="2017-01-01T00:00:00+00:00",
    )  # fmt: skip
    library.set_recipe(dataset.key, Family.XGBOOST, slow.to_json())
    trees: list[ProcessTree] = []
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def run(*arguments: str) -> ProcessTree:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        env = {
            **BRIEF,
            "MLFLOW_TRACKING_URI": library.dsn,
            "TMPDIR": str(scratch),
            "PATH": path,
        }
        tree = ProcessTree([sys.executable, *arguments], tmp_path, env)
        trees.append(tree)
        return tree

    yield run
    for tree in trees:
        tree.end()


def wait_for_lightgbm(tree: ProcessTree) -> None:
    """Wait until a family is trained while the other is in the midst."""
    lines: list[str] = []
    while not lines or "trained in" not in lines[-1]:
        lines.append(tree.line())
        assert lines[-1] or tree.head.poll() is None, lines
    assert f"1/2 {SYMBOL} lightgbm trained in" in lines[-1]
    assert len(workers(tree)) == 2


def workers(tree: ProcessTree) -> list[int]:
    # A process that ends meanwhile has no command line.
    return [
        process.pid
        for process in tree.members(["cmdline"])
        if "popen_loky" in " ".join(process.info["cmdline"] or ())
    ]


def job(command: str, options: dict[str, str]) -> list[str]:
    return ["-m", "mlproject", command, *(f"--{k}={v}" for k, v in options.items())]


def statuses(library: BrainLibrary) -> set[tuple[str, str]]:
    """Role and status of every run."""
    runs = library.client.search_runs([library.experiment("nightly")])
    return {(run.data.tags.get(Tag.ROLE, ""), run.info.status) for run in runs}


def test_a_night_that_is_asked_to_end_ends_its_runs_and_workers_itself(
    start: Start, library: BrainLibrary
) -> None:
    tree = start(*job("nightly", SLOW))
    wait_for_lightgbm(tree)
    tree.head.terminate()

    assert tree.head.wait(READY_SECONDS) == 130
    assert wait_until(tree.gone, GONE_SECONDS), tree.descendants()
    assert statuses(library) == {("night", "KILLED"), ("symbol", "KILLED"), ("family", "FINISHED")}


def test_a_family_survives_one_killed_worker_and_fails_with_the_second_and_the_job_goes_on(
    start: Start, library: BrainLibrary, tmp_path: Path
) -> None:
    """The short form, too, of the killed workers of whole nights, below."""
    tree = start(*job("train", SLOW))
    assert wait_until(lambda: len(workers(tree)) == 2, READY_SECONDS)
    first = workers(tree)
    for worker in first:
        os.kill(worker, signal.SIGKILL)
    wait_for_lightgbm(tree)  # by another one
    second = workers(tree)
    assert not set(first) & set(second)
    for worker in second:
        os.kill(worker, signal.SIGKILL)

    assert tree.head.stdout is not None
    output = tree.head.stdout.read()
    assert tree.head.wait(READY_SECONDS) == 1
    assert f"{SYMBOL} xgboost" in output
    assert "its worker process died" in output
    assert statuses(library) == {
        ("training", "FAILED"),
        ("symbol", "FAILED"),
        ("family", "FINISHED"),
    }
    assert library.version(SYMBOL, 1).family == "lightgbm"
    library.fetch(library.version(SYMBOL, 1), tmp_path / "fetched")
    assert wait_until(tree.gone, GONE_SECONDS), tree.descendants()


# --- nights of several symbols, killed at random moments ----------------------------------------

SYMBOLS = ("AAA/USD", "BBB/USD", "CCC/USD", "DDD/USD", "EEE/USD")
OPTIONS = {"families": "lightgbm", "trials": "1", "folds": "2", "jobs": "2"}


SHORT = 1  # seeds of each victim whose nights the suite has, of few symbols


@dataclass(frozen=True)
class Kill:
    """A process of a night that is killed at a moment that the seed draws."""

    victim: str
    seed: int

    @property
    def symbols(self) -> tuple[str, ...]:
        if self.seed >= SHORT:
            return SYMBOLS
        # The workers' tasks are those of one symbol alike; a job's end cuts off one of several.
        return SYMBOLS[: 1 if self.victim == "worker" else 2]

    @property
    def lines(self) -> int:
        """Lines of progress of the night: a model, its explanation and its data a symbol."""
        return 3 * len(self.symbols)

    def __str__(self) -> str:
        return f"{self.victim} {self.seed}"


START_SECONDS = 8.0  # until the first line
VICTIMS = ("job", "mlflow run", "worker")
ORDERS = [
    pytest.param(kill, id=str(kill), marks=[] if seed < SHORT else [pytest.mark.soak])
    for victim in VICTIMS
    for seed in range(20)
    for kill in [Kill(victim, seed)]
]


@pytest.fixture
def bars(order: Kill, tmp_path: Path) -> Path:
    """Bars of the night's symbols."""
    folder = tmp_path / "bars"
    folder.mkdir()
    for seed, symbol in enumerate(order.symbols):
        series = simulate(900, strength=0.3, seed=seed, symbol=symbol, timeframe="1d").bars
        path = folder / f"{symbol_name(symbol)}_1d.parquet"
        series.frame.reset_index().to_parquet(path, index=False)
    return folder


@pytest.fixture
def night(
    order: Kill,
    library: BrainLibrary,
    bars: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ProcessTree]:
    """A night of several symbols that has just begun, as the job itself or by ``mlflow run``."""
    # `mlflow run` works in the project's folder, where the series would be looked for.
    for name, value in {**BRIEF, "BRAIN_SERIES": str(tmp_path / "series")}.items():
        monkeypatch.setenv(name, value)
    options = {**OPTIONS, "bars": str(bars)}
    if order.victim == "mlflow run":
        parameters = [word for k, v in options.items() for word in ("-P", f"{k}={v}")]
        project = (str(ROOT), "-e", "nightly", "--env-manager", "local")
        command = ["-m", "mlflow", "run", *project, "--experiment-name", "nightly", *parameters]
    else:
        command = job("nightly", options)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    (tmp_path / "scratch").mkdir()
    environment = {
        "MLFLOW_TRACKING_URI": library.dsn,
        "PATH": path,
        "TMPDIR": str(tmp_path / "scratch"),
    }
    tree = ProcessTree([sys.executable, *command], tmp_path, environment)
    yield tree
    tree.end()


def kill(tree: ProcessTree, order: Kill) -> set[int]:
    """Kill at the night's start, or once so many lines of progress are there and a little later.

    Returns:
        The ids of the processes that there were.
    """
    draw = random.Random(str(order))
    worker = order.victim == "worker"
    lines = draw.randint(1, order.lines) if worker or draw.random() < 0.6 else 0
    seconds = draw.uniform(0, 0.5 if lines else START_SECONDS)
    while lines:
        line = tree.line()
        assert line or tree.head.poll() is None
        lines -= bool(re.match(r"\d+/\d+ ", line))
    time.sleep(seconds)
    processes = {process.pid for process in tree.members()}
    if not worker:
        tree.head.kill()
    elif at_work := workers(tree):  # at the very end there may be none
        os.kill(draw.choice(at_work), signal.SIGKILL)
    return processes


def unregistered(library: BrainLibrary) -> set[str]:
    """The logged models that no version is of."""
    logged = library.client.search_logged_models([library.experiment("nightly")])
    sources = {version.source for version in library.client.search_model_versions()}
    return {m.model_id for m in logged if f"models:/{m.model_id}" not in sources}


def debris(folder: Path, processes: set[int]) -> list[Path]:
    """What dead processes left in the temporary folder and in memory.

    `mlflow run` makes an empty folder there for its parameters, and leaves it in any case.
    """
    others = [path for path in folder.iterdir() if not path.name.startswith("brain-")]
    files = [path for path in others if path.is_file() or any(path.iterdir())]
    memory = [path for pid in processes for path in Path("/dev/shm").glob(f"*[-_]{pid}[-_]*")]
    folders = [path for pid in processes for path in folder.glob(f"brain-*~{pid}~*")]
    return [*folders, *files, *memory]


def is_cut_off(library: BrainLibrary) -> bool:
    """Whether a night runs that is not complete."""
    runs = library.client.search_runs([library.experiment("nightly")])
    return any(
        run.data.tags.get(Tag.ROLE) == "night"
        and run.info.status == "RUNNING"
        and Tag.COMPLETE not in run.data.tags
        for run in runs
    )


def complete_symbols(library: BrainLibrary) -> Counter[str]:
    """How often each symbol's part of a night is complete."""
    runs = library.client.search_runs([library.experiment("nightly")])
    return Counter(
        run.data.tags[Tag.SYMBOL]
        for run in runs
        if run.data.tags.get(Tag.ROLE) == "symbol" and Tag.COMPLETE in run.data.tags
    )


def champions_by_symbol(library: BrainLibrary) -> dict[str, list[tuple[str, int]]]:
    champions: dict[str, list[tuple[str, int]]] = {}
    for champion in library.champions():
        champions.setdefault(champion.symbol, []).append((champion.regime, champion.version))
    return champions


@pytest.mark.parametrize("order", ORDERS)
def test_a_killed_night_keeps_what_is_complete_and_the_next_start_does_the_rest(
    order: Kill,
    night: ProcessTree,
    library: BrainLibrary,
    bars: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes = kill(night, order)
    assert night.head.stdout is not None
    rest = night.head.stdout.read()
    code = night.head.wait(READY_SECONDS)
    assert wait_until(night.gone, GONE_SECONDS), night.descendants()
    complete, champions = complete_symbols(library), champions_by_symbol(library)
    assert all(len(champions[symbol]) == len(REGIMES) for symbol in complete)
    # What is registered is whole.
    for version in library.client.search_model_versions():
        library.fetch(library.version_of(f"{version.name}/1"), tmp_path / version.name)
    if order.victim == "worker":
        assert code == 0, rest
        assert complete == dict.fromkeys(order.symbols, 1)
    else:
        continue_night(order.symbols, library, bars, tmp_path / "scratch", monkeypatch)

    assert {symbol: len(cells) for symbol, cells in champions_by_symbol(library).items()} == (
        dict.fromkeys(order.symbols, len(REGIMES))
    )
    assert not any(champion.pinned for champion in library.champions())
    assert "RUNNING" not in {status for _, status in statuses(library)}
    assert not unregistered(library)
    assert not debris(tmp_path / "scratch", processes)


def continue_night(
    symbols: Sequence[str],
    library: BrainLibrary,
    bars: Path,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Start the night again, in this process, which has imported everything."""
    complete, champions = complete_symbols(library), champions_by_symbol(library)
    cut_off = is_cut_off(library)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    shorten(monkeypatch)
    # How many jobs there are makes no other night.
    options = {**OPTIONS, "bars": str(bars), "jobs": "1"}
    again = run_job("nightly", *(f"--{k}={v}" for k, v in options.items()))
    assert again.code == 0, again.out + again.err
    assert ("Continues the night" in again.out) is cut_off
    if cut_off:
        names = ", ".join(sorted(complete)) or "no symbol"
        assert f"complete there, {names}." in " ".join(again.out.split())
        # Nothing is done twice.
        assert complete_symbols(library) == dict.fromkeys(symbols, 1)
        for symbol in complete:
            assert champions_by_symbol(library)[symbol] == champions[symbol]
            name = ModelKey(symbol, "1d", 6).name
            assert len(library.client.search_model_versions(f"name='{name}'")) == 1
    assert all(symbol in again.out.partition("Champions")[2] for symbol in symbols)
