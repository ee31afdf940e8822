"""The executor in an environment of its own: the base install, at the lock's versions."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from brain.naming import REGIMES, Regime
from registry.library import BrainLibrary
from serving import Hamilton, Limits
from tests.registry.models import start
from tests.servers import MlflowServer
from tests.serving.conftest import TRAINED
from tests.serving.desk import FAMILIES, Models, bars_of, give, sample
from tests.serving.remote.champions import register

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-base/bin/python"
SYMBOL = "ETH/USD"


@pytest.fixture(scope="module")
def library(
    _mlflow_server: MlflowServer, models: Models, tmp_path_factory: pytest.TempPathFactory
) -> BrainLibrary:
    _mlflow_server.reset()
    library = BrainLibrary(_mlflow_server.uri)
    with start(library) as run:
        register(library, run, models, tmp_path_factory.mktemp("registered"))
    return library


def in_base(*arguments: str, given: str = "") -> list[str]:
    """What a program of the base environment prints."""
    assert PYTHON.exists(), f"there is no {PYTHON}; `make base` makes it, as `make test` does"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    done = subprocess.run(
        [PYTHON, *arguments], cwd=PYTHON.parent, env=environment | {"PYTHONPATH": str(ROOT)},
        input=given, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_base_is_what_the_executor_needs_at_the_locks_versions() -> None:
    listing = in_base(
        "-c",
        "from importlib.metadata import distributions\n"
        "for d in distributions(): print(d.name.lower(), d.version)",
    )
    versions = dict(line.split() for line in listing)
    locked = dict(
        line.split(";")[0].strip().split("==")
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if "==" in line and not line.startswith((" ", "#"))
    )
    assert {"numpy", "lightgbm", "xgboost", "onnxruntime"} <= set(versions)
    assert not {"mlflow", "mlflow-skinny", "pandas", "torch", "boto3", "requests"} & set(versions)
    assert {name: locked[name] for name in versions if name in locked} == {
        name: version for name, version in versions.items() if name in locked
    }


@pytest.mark.parametrize("turn", range(2))
def test_decisions_in_the_base_environment_are_those_of_the_full_one(
    library: BrainLibrary, turn: int
) -> None:
    """After the training bars are of the two calm regimes; in turn these have other families."""
    champions = {champion.version: champion for champion in library.champions(SYMBOL)}
    for place, regime in enumerate(REGIMES):
        record = champions[1 + (place + 2 * turn) % len(FAMILIES)].record
        library.set_champion(champions[1].key, regime, record, None)
    bars = [bar for bar in bars_of(sample(SYMBOL), TRAINED) if bar.close == bar.close][:150]
    lines = in_base(
        str(Path(__file__).with_name("executor.py")), library.dsn, SYMBOL, given=json.dumps(bars)
    )
    with Hamilton(library, [SYMBOL], limits=Limits.off()) as hamilton:
        decisions = give(hamilton, SYMBOL, bars)
        assert lines[: len(bars)] == list(map(repr, decisions))
        for regime, line in zip(Regime, lines[len(bars) :], strict=True):
            champion = hamilton.champion(SYMBOL, regime)
            scores = [champion.predict(row).hex() for row in champion.version.data.golden_rows]
            assert line.split() == [regime, champion.version.family, *scores]
    decided = {decision.family for decision in decisions if decision.position}
    assert decided == {FAMILIES[(place + 2 * turn) % len(FAMILIES)] for place in range(2)}
