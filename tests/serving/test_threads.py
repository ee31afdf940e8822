"""Four threads, on one symbol and on several: every decision is of the version that it names."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from brain.errors import InputError
from brain.model_keys import ModelKey
from brain.naming import REGIMES, Family
from brain.series.bars import Bars
from engine.data.dataset import make_dataset
from engine.data.frames import feature_frame
from serving import Decision, Hamilton, Limits
from tests.serving.conftest import TRAINED
from tests.serving.desk import HORIZON, Models, bars_of, fit, give, head, sample

THREADS = 4
NEW = bars_of(sample(), TRAINED)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Four symbols with two versions each."""
    models = Models(tmp_path_factory.mktemp("many"))
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    for number in range(THREADS):
        other = replace(dataset, symbol=f"COIN{number}/USD")
        for place, name in enumerate((Family.LIGHTGBM, Family.XGBOOST)):
            fitted = fit(name, other, 900 + 40 * number)
            models.add(fitted, other, regimes=REGIMES[place::2])
    return models


def together(*work: Callable[[], list[Decision]]) -> list[list[Decision]]:
    """The results of functions that begin at once, each in a thread of its own."""
    barrier = threading.Barrier(len(work))

    def start(function: Callable[[], list[Decision]]) -> list[Decision]:
        barrier.wait()
        return function()

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(start, work))


def of_pyfunc(models: Models, bars: Bars) -> dict[tuple[str, int], float]:
    """The prediction of each tree version at each bar, by the version's own files."""
    import mlflow
    import pandas as pd

    rows = feature_frame(bars)
    times = bars.close_time.as_unit("ns").asi8.tolist()
    table: dict[tuple[str, int], float] = {}
    for version, folder in models.folders.items():
        model = mlflow.pyfunc.load_model(str(folder))
        values = np.asarray(model.predict(pd.DataFrame(rows))).reshape(-1)
        table |= {(version, t): float(v) for t, v in zip(times, values, strict=True)}
    return table


def symbols_at_once(models: Models, rounds: int) -> int:
    names = [key.name for key in models.cells]
    expected = of_pyfunc(models, sample())
    wrong = total = 0
    for _ in range(rounds):
        hamilton = Hamilton(models, names, limits=Limits.off())
        results = together(*[partial(give, hamilton, name, NEW) for name in names])
        for name, decisions in zip(names, results, strict=True):
            for decision in decisions:
                total += 1
                if decision.version is None:
                    wrong += decision.regime is not None
                    continue
                right = expected[decision.version, decision.time]
                mine = decision.version.startswith(f"{name}/")
                wrong += not (mine and decision.prediction == right)
    assert wrong == 0
    return total


def test_several_symbols_are_decided_by_their_own_versions(many: Models) -> None:
    assert symbols_at_once(many, 1) > 800


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_million_decisions_of_four_threads_are_right(many: Models) -> None:
    total = 0
    while total < 1_000_000:
        total += symbols_at_once(many, 25)


def test_one_symbol_is_decided_once_a_bar_whoever_gives_it(many: Models, tmp_path: Path) -> None:
    """All threads give all bars; whoever is late gets the same decision, or hears it is late."""
    (key, *_) = many.cells
    assert isinstance(key, ModelKey)
    hamilton = Hamilton(many, [key], limits=Limits.off(), journal=tmp_path)

    refusals: set[str] = set()

    def give_all() -> list[Decision]:
        decisions = []
        for bar in NEW:
            try:
                decisions.append(hamilton.bar(key, *bar[1:], bar.close_time))
            except InputError as error:
                refusals.add(str(error).rpartition("; ")[2])
        return decisions

    results = together(*[give_all] * THREADS)
    assert refusals <= {"give bars in the order of time"}
    single = give(Hamilton(many, [key], limits=Limits.off()), key.name, NEW)
    expected = {decision.time: repr(replace(decision, cached=False)) for decision in single}
    firsts = [d for decisions in results for d in decisions if not d.cached]
    assert len(firsts) == len({d.time for d in firsts}) == len(NEW)
    for decisions in results:
        assert all(repr(replace(d, cached=False)) == expected[d.time] for d in decisions)


def test_a_reload_beside_decisions_leaves_none_without_a_version(many: Models) -> None:
    names = [key.name for key in many.cells]
    hamilton = Hamilton(many, names, limits=Limits.off())
    expected = of_pyfunc(many, sample())

    def reload() -> list[Decision]:
        for _ in range(10):
            hamilton.reload(names[0])
        return []

    decisions, _ = together(lambda: give(hamilton, names[0], NEW), reload)
    for decision in decisions:
        if decision.regime is not None:
            assert decision.prediction == expected[decision.version or "", decision.time]
