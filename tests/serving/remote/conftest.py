"""One registry for all tests that only read it: a real MLflow server with real champions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from brain.model_keys import ModelKey
from brain.naming import Regime, cell_tag, champion_alias, promotion_tag
from brain.records import Version
from registry.library import BrainLibrary
from serving.remote.registry import RemoteRegistry
from tests.registry.models import add, record, start
from tests.registry.test_model_keys import crown_plainly, register_plainly
from tests.servers import MlflowServer
from tests.serving.desk import Models
from tests.serving.remote.champions import register

#: Real champions of all families; tiny ones in all states that a cell can be in; plain names.
REAL = ModelKey("ETH/USD", "1d", 6)
TINY = ModelKey("LTC/USD", "1h", 6)
PLAIN = ModelKey("BTC/USD", "1h", 6)


@dataclass(frozen=True)
class Scene:
    """A registry with champions, read in both ways.

    Attributes:
        uri: of the server.
        library: reads and writes by MLflow's client.
        versions: of ``TINY``, in their order.
    """

    uri: str
    library: BrainLibrary
    versions: list[Version]

    def remote(self) -> RemoteRegistry:
        return RemoteRegistry(self.uri)


@pytest.fixture(scope="module")
def scene(
    _mlflow_server: MlflowServer, models: Models, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """A registry that nothing writes any more."""
    folder = tmp_path_factory.mktemp("scene")
    _mlflow_server.reset()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        library = BrainLibrary(_mlflow_server.uri)
        with start(library) as run:
            register(library, run, models, folder)
            number = register_plainly(library, run, folder / "plain", PLAIN)
            versions = [add(library, run, folder / str(n), TINY) for n in range(4)]
        crown_plainly(library, number, *Regime)
        _arrange(library, versions)
        yield Scene(_mlflow_server.uri, library, versions)


def _arrange(library: BrainLibrary, versions: list[Version]) -> None:
    """Cells that were rolled back, cut off, moved by hand and spoilt; and others' models."""
    client, (first, second, third, fourth) = library.client, versions
    for version in (first, second):  # and back again
        library.set_champion(TINY, Regime.LOW, record(version), third.number)
    library.set_champion(TINY, Regime.LOW, record(first, reason="rolled back"), None)
    library.set_champion(TINY, Regime.NORMAL, record(first), None)
    text = record(second, reason="cut off after its alias").to_json()
    client.set_registered_model_tag(TINY.name, promotion_tag(Regime.NORMAL), text)
    client.set_registered_model_alias(TINY.name, champion_alias(Regime.NORMAL), "2")
    library.set_champion(TINY, Regime.HIGH, record(first, regimes={"state": 1}), None)
    client.log_metric(fourth.run_id, "high/net_sharpe", 1.25)
    client.log_metric(fourth.run_id, "high/net_sharpe_error", float("nan"))
    client.log_metric(fourth.run_id, "high/bars", 300.0)
    client.set_registered_model_alias(TINY.name, champion_alias(Regime.HIGH), "4")
    library.set_champion(TINY, Regime.EXTREME, record(first), None)
    client.set_registered_model_tag(TINY.name, cell_tag(Regime.EXTREME), '{"version":')
    client.create_registered_model("somebody's", tags={"team": "x" * 300})
    client.set_registered_model_tag("somebody's", cell_tag(Regime.LOW), json.dumps({}))
    client.create_registered_model("it's theirs", tags={"symbol": "BTC/USD"})
    foreign = ModelKey("SOL/USD", "4h", 3)
    client.create_registered_model(foreign.name, tags=foreign.tags)
    source = client.get_run(first.run_id).info.artifact_uri
    client.create_model_version(foreign.name, source=source, run_id=first.run_id)
    client.set_registered_model_alias(foreign.name, champion_alias(Regime.LOW), "1")
