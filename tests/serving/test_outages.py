"""Every outage: decisions go on, the old champion stays, and what was named is taken over after."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from brain.naming import Family, Regime, champion_alias
from brain.records import Version
from serving import Decision, Hamilton, Limits, Refresh, RemoteRegistry
from serving.bars import Bar
from tests.disks import fill, small_disk
from tests.proxies import FaultProxy
from tests.serving.desk import fit
from tests.serving.registry_desk import datasets
from tests.serving.scene import NEW, SYMBOL, Scene, served

STORE = r"mlflow-artifacts|/bucket"
_QUICK = Refresh(seconds=0.1, sweep_seconds=1.0)
_BAR_SECONDS = 0.03


@pytest.fixture
def disk() -> Iterator[Path]:
    with small_disk() as folder:
        yield folder


@dataclass
class Deciding:
    """Bars that are decided one after the other while something is waited for.

    Attributes:
        hamilton: that decides.
        decisions: that were made; none has failed.
    """

    hamilton: Hamilton
    decisions: list[Decision] = field(default_factory=list)
    bars: Iterator[Bar] = field(default_factory=lambda: iter(NEW))
    last: Bar = NEW[0]

    def step(self) -> None:
        self.last = next(self.bars, self.last)  # at the end the same bar again
        self.decisions.append(self.hamilton.bar(SYMBOL, *self.last[1:], self.last.close_time))
        time.sleep(_BAR_SECONDS)

    def for_seconds(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()

    def until(self, holds: Callable[[], object], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"it never held: {self.hamilton.health()}"
            self.step()


@pytest.fixture(scope="module")
def proxy(registered: Scene) -> Iterator[FaultProxy]:
    with FaultProxy(registered.uri).run() as proxy:
        yield proxy


@pytest.fixture
def deciding(scene: Scene, proxy: FaultProxy) -> Iterator[Deciding]:
    """On the registry behind the proxy, without a cache: each change is fetched anew."""
    proxy.set("pass")
    registry = RemoteRegistry(proxy.uri, timeout=0.4)
    with Hamilton(registry, [SYMBOL], limits=Limits.off(), refresh=_QUICK) as hamilton:
        deciding = Deciding(hamilton)
        deciding.until(lambda: hamilton.health().sound and hamilton.health().asked is not None)
        yield deciding
    proxy.set("pass")
    registry.close()


def named(scene: Scene, place: int) -> Version:
    """The other version of a family, named champion in calm markets."""
    scene.desk.crown(scene.second[place], Regime.LOW)
    return scene.second[place]


REGISTRY_FAULTS: dict[str, tuple[str, float | None]] = {
    "port closed": ("refuse", None),
    "hang": ("hang", None),
    "error 500": ("status", 500),
    "unauthorized": ("status", 401),
    "not found": ("status", 404),
    "slow": ("slow", 500),
    "headers drip": ("drip", 0.1),
    "truncated": ("truncate", 100),
    "nonsense": ("flip", 1),
}


@pytest.mark.parametrize("fault", REGISTRY_FAULTS)
def test_a_registry_at_fault_leaves_the_champion_where_it_is(
    scene: Scene, proxy: FaultProxy, deciding: Deciding, fault: str
) -> None:
    hamilton = deciding.hamilton
    mode, value = REGISTRY_FAULTS[fault]
    proxy.set(mode, value)
    version = named(scene, 0)
    deciding.until(lambda: hamilton.health().error)
    deciding.for_seconds(0.5)
    assert served(hamilton) == scene.first[0].id
    health = hamilton.health()
    assert health.ready
    assert not health.sound
    assert health.models[0].age is not None
    assert health.models[0].age > 0.4
    proxy.set("pass")
    deciding.until(lambda: served(hamilton) == version.id)
    deciding.until(lambda: hamilton.health().sound)


@pytest.mark.parametrize("mode", ["drop", "reset"])
def test_connections_that_are_dropped_stop_nothing(
    scene: Scene, proxy: FaultProxy, deciding: Deciding, mode: str
) -> None:
    proxy.set(mode)
    version = named(scene, 0)
    deciding.until(lambda: served(deciding.hamilton) == version.id)


STORE_FAULTS: dict[str, tuple[str, float | None, str, str]] = {
    "hang": ("hang", None, STORE, "no answer"),
    "error 500": ("status", 500, STORE, "500"),
    "file gone": ("status", 404, r"executor\.npz", "404"),
    "slow": ("slow", 100, STORE, "not whole within"),
    "model truncated": ("truncate", 3000, r"model\.(lgb|ubj)|window", ""),
    "model flipped": ("flip", 3000, r"model\.(lgb|ubj)|window", "not what was registered"),
    "data flipped": ("flip", 300, r"executor\.npz", "not what was registered"),
    "manifest flipped": ("flip", 70, "manifest", ""),
}


@pytest.mark.parametrize("family", [0, 1, 2])
@pytest.mark.parametrize("fault", STORE_FAULTS)
@pytest.mark.sampled("family")
def test_a_store_at_fault_is_asked_again(
    scene: Scene, proxy: FaultProxy, deciding: Deciding, fault: str, family: int
) -> None:
    mode, value, path, message = STORE_FAULTS[fault]
    proxy.set(mode, value, path=path)
    asked_again(scene, proxy, deciding, family, message)


def asked_again(
    scene: Scene, proxy: FaultProxy, deciding: Deciding, family: int, message: str
) -> None:
    """A spoilt file is downloaded again, and not refused for ever."""
    hamilton = deciding.hamilton
    version = named(scene, family)
    deciding.until(lambda: hamilton.health().models[0].failures)
    (why,) = hamilton.health().models[0].failures.values()
    assert version.id in why
    assert message in why
    assert f"{scene.first[0].id} stays" in why
    assert served(hamilton) == scene.first[0].id
    # The registry answers, and what is served is not what it names.
    deciding.until(lambda: hamilton.health().error == "")
    proxy.set("pass")
    deciding.until(lambda: served(hamilton) == version.id)
    deciding.until(lambda: hamilton.health().sound)


def test_a_version_of_another_symbol_never_decides(scene: Scene, deciding: Deciding) -> None:
    (other,) = datasets(900, ["LTC/USD"])
    foreign = scene.desk.register(fit(Family.LIGHTGBM, other), other)
    version = misfiled(scene, foreign)
    deciding.until(lambda: deciding.hamilton.health().models[0].failures)
    (why,) = deciding.hamilton.health().models[0].failures.values()
    assert f"{version} is of LTC/USD" in why
    assert served(deciding.hamilton) == scene.first[0].id
    scene.desk.crown(scene.second[0], Regime.LOW)
    deciding.until(lambda: served(deciding.hamilton) == scene.second[0].id)


def misfiled(scene: Scene, foreign: Version) -> str:
    """The files of another symbol's version, registered and named under the desk's."""
    dataset = scene.dataset
    fitted = fit(Family.LIGHTGBM, dataset, 700)
    folder = scene.desk.folders[foreign.id]
    version = scene.desk.register(fitted, dataset, files=folder)
    scene.desk.crown(version, Regime.LOW)
    return version.id


def test_a_deleted_version_decides_until_another_is_named(scene: Scene, deciding: Deciding) -> None:
    hamilton = deciding.hamilton
    doomed = scene.desk.register(fit(Family.LIGHTGBM, scene.dataset, 650), scene.dataset)
    scene.desk.crown(doomed, Regime.LOW)
    deciding.until(lambda: served(hamilton) == doomed.id)
    scene.desk.library.client.delete_model_version(doomed.model, str(doomed.number))
    deciding.until(lambda: hamilton.health().models[0].failures)
    (why,) = hamilton.health().models[0].failures.values()
    assert "no champion for regime low any more" in why
    deciding.for_seconds(0.3)
    assert served(hamilton) == doomed.id
    scene.desk.crown(scene.first[0], Regime.LOW)
    deciding.until(lambda: served(hamilton) == scene.first[0].id)
    deciding.until(lambda: hamilton.health().sound)


def test_an_alias_at_somebody_elses_version_changes_nothing(
    scene: Scene, deciding: Deciding
) -> None:
    client, name = scene.desk.library.client, scene.first[0].model
    run = client.get_run(scene.first[0].run_id).info
    stray = client.create_model_version(name, source=run.artifact_uri, run_id=run.run_id)
    client.set_registered_model_alias(name, champion_alias(Regime.LOW), stray.version)
    deciding.until(lambda: deciding.hamilton.health().models[0].failures)
    assert served(deciding.hamilton) == scene.first[0].id
    scene.desk.library.client.set_registered_model_alias(
        name, champion_alias(Regime.LOW), str(scene.first[0].number)
    )
    deciding.until(lambda: deciding.hamilton.health().sound)


def test_a_model_that_is_gone_from_the_registry_is_served_on(
    scene: Scene, deciding: Deciding
) -> None:
    """By name: a deleted model is one that was renamed away, too."""
    hamilton = deciding.hamilton
    client, name = scene.desk.library.client, scene.first[0].model
    client.rename_registered_model(name, "elsewhere")
    try:
        deciding.until(lambda: "no model" in hamilton.health().models[0].error)
        deciding.for_seconds(0.2)
        assert served(hamilton) == scene.first[0].id
    finally:
        client.rename_registered_model("elsewhere", name)
    deciding.until(lambda: hamilton.health().sound)


def test_a_full_disk_leaves_the_champion_where_it_is(
    scene: Scene,
    disk: Path,
) -> None:
    registry = RemoteRegistry(scene.uri)
    with Hamilton(registry, [SYMBOL], limits=Limits.off(), refresh=_QUICK, cache=disk) as hamilton:
        deciding = Deciding(hamilton)
        deciding.until(lambda: hamilton.health().sound)
        fill(disk)
        version = named(scene, 0)
        deciding.until(lambda: hamilton.health().models[0].failures)
        (why,) = hamilton.health().models[0].failures.values()
        assert "make room on its disk" in why
        assert served(hamilton) == scene.first[0].id
        (disk / "ballast").unlink()
        deciding.until(lambda: served(hamilton) == version.id)
    registry.close()
    # And the cache is whole.
    nowhere = RemoteRegistry("http://127.0.0.1:9")
    with Hamilton(nowhere, [SYMBOL], limits=Limits.off(), cache=disk) as hamilton:
        assert served(hamilton) == version.id


def test_a_spoilt_cache_is_fetched_again_at_the_start(scene: Scene, tmp_path: Path) -> None:
    registry = RemoteRegistry(scene.uri)
    with Hamilton(registry, [SYMBOL], limits=Limits.off(), cache=tmp_path):
        pass
    for path in (tmp_path / "versions").rglob("model.*"):
        path.write_bytes(path.read_bytes()[:-1])
    with Hamilton(registry, [SYMBOL], limits=Limits.off(), cache=tmp_path) as hamilton:
        assert served(hamilton) == scene.first[0].id
        assert hamilton.health().ready
    registry.close()


@pytest.mark.parametrize("mode", ["refuse", "hang", "status", "truncate"])
def test_a_start_while_the_registry_is_at_fault(
    scene: Scene, proxy: FaultProxy, tmp_path: Path, mode: str
) -> None:
    """It begins with the cache, within its patience, and takes over what was named meanwhile."""
    proxy.set("pass")
    registry = RemoteRegistry(proxy.uri, timeout=5.0 if mode == "hang" else 0.4)
    options = {"limits": Limits.off(), "refresh": _QUICK, "cache": tmp_path}
    with Hamilton(registry, [SYMBOL], **options):  # type: ignore[arg-type]
        pass
    version = named(scene, 0)
    proxy.set(mode)
    begin = time.monotonic()
    with Hamilton(registry, [SYMBOL], **options) as hamilton:  # type: ignore[arg-type]
        assert time.monotonic() - begin < 4.0
        assert served(hamilton) == scene.first[0].id
        deciding = Deciding(hamilton)
        deciding.for_seconds(0.3)
        proxy.set("pass")
        deciding.until(lambda: served(hamilton) == version.id)
    registry.close()
