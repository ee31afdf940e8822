"""Outages of an S3-compatible store from which an executor has its versions."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from brain.naming import REGIMES
from registry.library import BrainLibrary
from serving import Hamilton, Limits, Refresh, RemoteRegistry
from tests.proxies import FaultProxy
from tests.s3_servers import RcloneS3Server
from tests.servers import MlflowServer
from tests.serving.registry_desk import RegistryDesk, datasets
from tests.serving.scene import SYMBOL, TRAINED, Scene
from tests.serving.test_outages import STORE, STORE_FAULTS, Deciding, asked_again


@pytest.fixture(scope="module")
def store(
    s3_unsafe_server: RcloneS3Server,
    _mlflow_server: MlflowServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Scene, FaultProxy]]:
    """A desk whose files are in a store, and a proxy before the store."""
    bucket, folder = s3_unsafe_server.fresh(), tmp_path_factory.mktemp("desk")
    _mlflow_server.reset()
    with pytest.MonkeyPatch.context() as patch, FaultProxy(bucket.url).run() as proxy:
        patch.chdir(folder)
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        for name, value in bucket.environment.items():
            patch.setenv(name, value)
        patch.setenv("MLFLOW_S3_ENDPOINT_URL", bucket.url)
        library = BrainLibrary(_mlflow_server.uri)
        library.experiment("stored", f"s3://{bucket.bucket}/nights")
        desk = RegistryDesk(library, folder, experiment="stored")
        (dataset,) = datasets(TRAINED)
        first, second = desk.versions(dataset), desk.versions(dataset, rows=900)
        patch.setenv("MLFLOW_S3_ENDPOINT_URL", proxy.uri)
        patch.setenv("AWS_ENDPOINT_URL", proxy.uri)
        patch.setenv("AWS_ENDPOINT_URL_S3", proxy.uri)
        yield Scene(_mlflow_server.uri, desk, dataset, first, second), proxy


@pytest.mark.parametrize("family", [0, 1, 2])
@pytest.mark.parametrize("fault", STORE_FAULTS)
@pytest.mark.sampled("family")
def test_an_s3_store_at_fault_is_asked_again(
    store: tuple[Scene, FaultProxy], fault: str, family: int
) -> None:
    scene, proxy = store
    proxy.set("pass")
    for version, regimes in zip(
        scene.first, (REGIMES[::3], REGIMES[1:2], REGIMES[2:3]), strict=True
    ):
        scene.desk.crown(version, *regimes)
    registry = RemoteRegistry(scene.uri, timeout=0.4)
    refresh = Refresh(seconds=0.1, sweep_seconds=1.0)
    with Hamilton(registry, [SYMBOL], limits=Limits.off(), refresh=refresh) as hamilton:
        deciding = Deciding(hamilton)
        deciding.until(lambda: hamilton.health().sound and hamilton.health().asked is not None)
        mode, value, path, message = STORE_FAULTS[fault]
        proxy.set(mode, value, path="" if path == STORE else path)
        asked_again(scene, proxy, deciding, family, message)
    registry.close()
