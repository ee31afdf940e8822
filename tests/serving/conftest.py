"""One small desk for all tests that only read its models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from brain.naming import REGIMES
from registry.library import BrainLibrary
from tests.servers import MlflowServer
from tests.serving.desk import Models, quick_models
from tests.serving.registry_desk import RegistryDesk, datasets
from tests.serving.scene import TRAINED, Scene

__all__ = ["TRAINED"]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Champions of ETH/USD: the three families in turn, by regime."""
    return quick_models(tmp_path_factory.mktemp("models"), TRAINED)


@pytest.fixture(scope="module")
def registered(
    _mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    _mlflow_server.reset()
    folder = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        desk = RegistryDesk(BrainLibrary(_mlflow_server.uri), folder)
        (dataset,) = datasets(TRAINED)
        first, second = desk.versions(dataset), desk.versions(dataset, rows=900)
        yield Scene(_mlflow_server.uri, desk, dataset, first, second)


@pytest.fixture
def scene(registered: Scene) -> Scene:
    for version, regimes in zip(registered.first, (REGIMES[::3], REGIMES[1:2], REGIMES[2:3]),
                                strict=True):  # fmt: skip
        registered.desk.crown(version, *regimes)
    return registered
