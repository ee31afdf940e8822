"""Champions that change while Hamilton decides, by a real MLflow server."""

from __future__ import annotations

import gc
import time
import weakref
from pathlib import Path

import pytest

from brain.errors import InputError
from brain.naming import REGIMES, Family, Regime, champion_alias
from serving import Hamilton, Limits, Refresh, RemoteRegistry
from tests.serving.conftest import TRAINED
from tests.serving.desk import Models, fit, give
from tests.serving.registry_desk import datasets
from tests.serving.scene import NEW, NOWHERE, SYMBOL, Scene, opened, served, until


def test_a_promotion_decides_from_the_next_bar_on(scene: Scene, tmp_path: Path) -> None:
    with scene.hamilton(journal=tmp_path / "journal") as hamilton:
        before = give(hamilton, SYMBOL, NEW[:30])
        assert {d.version for d in before} >= {scene.first[0].id}
        for version, regime in zip(scene.second, (Regime.LOW, Regime.NORMAL, Regime.HIGH),
                                   strict=True):  # fmt: skip
            scene.desk.crown(version, regime)
        scene.desk.crown(scene.second[0], Regime.EXTREME)
        until(lambda: {served(hamilton, r) for r in REGIMES} == {v.id for v in scene.second})
        after = give(hamilton, SYMBOL, NEW[30:80])
        assert {d.version for d in after} <= {v.id for v in scene.second}
        until(lambda: hamilton.health().sound)
        health = hamilton.health()
        assert health.changes >= 1
        (model,) = health.models
        assert model.versions[Regime.LOW] == scene.second[0].id
        assert model.age is not None
        assert model.age < 5.0
    # As if they had been given to one that began with both.
    with scene.hamilton(refresh=None) as other:
        give(other, SYMBOL, NEW[:30])
        again = give(other, SYMBOL, NEW[30:80])
    assert [d.prediction for d in after] == [d.prediction for d in again]
    assert [d.regime for d in after] == [d.regime for d in again]


def test_an_alias_that_was_moved_by_hand_is_found_by_a_sweep(scene: Scene) -> None:
    with scene.hamilton(Refresh(seconds=0.1, sweep_seconds=1.0)) as hamilton:
        until(lambda: hamilton.health().asked is not None)
        client, version = scene.desk.library.client, scene.second[1]
        client.set_registered_model_alias(
            version.model, champion_alias(Regime.LOW), str(version.number)
        )
        until(lambda: served(hamilton) == version.id)
        assert hamilton.champion(SYMBOL, Regime.LOW).cell.confidence is None
    scene.desk.library.release(SYMBOL, Regime.LOW)


def test_a_former_version_leaves_the_memory(scene: Scene) -> None:
    with scene.hamilton() as hamilton:
        former = weakref.ref(hamilton.champion(SYMBOL, Regime.NORMAL).version)
        assert former() is not None
        scene.desk.crown(scene.second[1], Regime.NORMAL)
        until(lambda: served(hamilton, Regime.NORMAL) == scene.second[1].id)
        until(lambda: gc.collect() >= 0 and former() is None)


def test_a_version_of_later_bars_waits_for_them(scene: Scene) -> None:
    """A night's version was trained until a bar that Hamilton is yet to be given."""
    (later,) = datasets(TRAINED + 3)
    version = scene.desk.register(fit(Family.LIGHTGBM, later), later)
    with scene.hamilton() as hamilton:
        scene.desk.crown(version, Regime.LOW)
        until(lambda: "give the bars until then" in hamilton.health().models[0].error)
        assert served(hamilton) == scene.first[0].id
        give(hamilton, SYMBOL, NEW[:3])
        until(lambda: served(hamilton) == version.id)
        until(lambda: hamilton.health().sound)


def test_a_start_without_the_registry_goes_on_from_the_cache(scene: Scene, tmp_path: Path) -> None:
    with scene.hamilton(cache=tmp_path) as hamilton:
        expected = give(hamilton, SYMBOL, NEW[:40])
    begin = time.monotonic()
    with opened(NOWHERE, cache=tmp_path) as hamilton:
        assert time.monotonic() - begin < 2.0
        assert give(hamilton, SYMBOL, NEW[:40]) == expected
        until(lambda: bool(hamilton.health().error))
        health = hamilton.health()
        assert health.ready
        assert not health.sound
        assert health.asked is None


def test_what_is_not_confirmed_for_long_is_trusted_less_and_less(
    scene: Scene, tmp_path: Path
) -> None:
    with scene.hamilton(cache=tmp_path):
        pass
    late, day = 0, 86_400
    limits = Limits(by_size=False, by_confidence=False, stale_after=float("inf"), symbol=1.0,
                    gross=100.0, daily_loss=1e9, doubt_after=day, doubt_until=3 * day)  # fmt: skip

    def decisions(days: float) -> list[tuple[float, str]]:
        nonlocal late
        late = int(days * day * 10**9)
        clock = lambda: time.time_ns() + late  # noqa: E731
        with opened(NOWHERE, limits=limits, cache=tmp_path, clock=clock) as hamilton:
            return [(d.position, d.reason) for d in give(hamilton, SYMBOL, NEW[:60])]

    fresh, doubted, refused = decisions(0.0), decisions(2.0), decisions(4.0)
    assert {abs(position) for position, _ in fresh} == {0.0, 1.0}
    for (full, _), (half, why) in zip(fresh, doubted, strict=True):
        if full:
            assert half == pytest.approx(full / 2, abs=1e-3)
            assert why.endswith("less of it: the registry confirmed the champions 2d ago")
    assert {position for position, _ in refused} == {0.0}
    assert "the registry confirmed the champions 4d ago" in {why for _, why in refused}


def test_decisions_with_doubt_are_replayed(scene: Scene, tmp_path: Path) -> None:
    from serving.replay import journals, replay

    limits = Limits(by_size=False, by_confidence=False, stale_after=float("inf"), symbol=1.0,
                    doubt_after=0.0, doubt_until=1e-3)  # fmt: skip
    with scene.hamilton(limits=limits, journal=tmp_path) as hamilton:
        give(hamilton, SYMBOL, NEW[:40])
    (journal,) = journals(tmp_path)
    registry = RemoteRegistry(scene.uri)
    result = replay(journal, registry)
    registry.close()
    assert (result.decisions, result.differences) == (40, ())


def test_a_source_that_cant_be_followed_is_not(models: Models) -> None:
    with Hamilton(models, [SYMBOL], limits=Limits.off()) as hamilton:
        health = hamilton.health()
        assert (health.asked, health.models[0].age, health.sound) == (None, None, True)


@pytest.mark.parametrize("name", ["seconds", "sweep_seconds", "patience"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), True, "1"])
def test_settings_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"refresh {name}="):
        Refresh(**{name: value})  # type: ignore[arg-type]


def test_doubt_ends_after_it_begins() -> None:
    with pytest.raises(InputError, match="doubt_until=1"):
        Limits(doubt_after=2.0, doubt_until=1.0)
