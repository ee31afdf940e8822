"""Models of several timeframes and horizons in one store, and models of old under plain names."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path

import mlflow
import pytest

from brain.errors import (
    AmbiguousModelError,
    InputError,
    LibraryError,
    NoChampionError,
    UnknownSymbolError,
)
from brain.model_keys import ModelKey
from brain.naming import Family, Regime, Tag, cell_tag, champion_alias, recipe_tag
from brain.recipes import Recipe
from brain.records import Champion, Version
from registry.library import BrainLibrary
from registry.runs import Run
from registry.selector import ModelSelector
from tests.registry.models import add, record, start
from tests.registry.test_selector import watch

pytestmark = pytest.mark.sampled("dsn")

HOUR = ModelKey("BTC/USD", "1h", 6)
FOUR = ModelKey("BTC/USD", "4h", 6)
NEAR = ModelKey("BTC/USD", "1h", 3)
PLAIN = "BTC-USD"
CELLS = tuple(Regime)


@pytest.fixture
def library(dsn: str, monkeypatch: pytest.MonkeyPatch) -> BrainLibrary:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    return BrainLibrary(dsn)


@pytest.fixture
def local(sqlite_dsn: str, monkeypatch: pytest.MonkeyPatch) -> BrainLibrary:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    return BrainLibrary(sqlite_dsn)


def crowned(library: BrainLibrary, run: Run, folder: Path, key: ModelKey) -> Version:
    """A version that is champion of all cells of its key."""
    version = add(library, run, folder / key.name, key)
    for regime in CELLS:
        library.set_champion(key, regime, record(version), None)
    return version


# --- several keys -------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations([HOUR, FOUR, NEAR]))[::2])
def test_each_key_has_a_model_of_its_own_whoever_comes_first(
    local: BrainLibrary, tmp_path: Path, order: Sequence[ModelKey]
) -> None:
    with start(local) as run:
        versions = {key: crowned(local, run, tmp_path, key) for key in order}
    assert {key: version.id for key, version in versions.items()} == {
        HOUR: "BTC-USD.1h.6/1",
        FOUR: "BTC-USD.4h.6/1",
        NEAR: "BTC-USD.1h.3/1",
    }
    for key, version in versions.items():
        tags = local.client.get_registered_model(key.name).tags
        assert {name: tags[name] for name in key.tags} == key.tags
        champions = local.champions("BTC-USD", timeframe=key.timeframe, horizon=key.horizon)
        assert [(c.key, c.regime, c.record.digest) for c in champions] == [
            (key, regime, version.digest) for regime in CELLS
        ]
        assert local.version(key, 1) == version == local.version_of(version.id)
    assert [c.key for c in local.champions()] == [k for k in (NEAR, HOUR, FOUR) for _ in CELLS]
    assert {c.key for c in local.champions(timeframe="1h")} == {NEAR, HOUR}
    assert local.symbols() == ["BTC/USD"]
    assert local.champion("BTC/USD", "low", timeframe="4h").key == FOUR  # the only one of 4h


def test_where_several_fit_and_none_is_named_every_call_refuses_and_names_them(
    library: BrainLibrary, tmp_path: Path
) -> None:
    with start(library) as run:
        for key in (HOUR, FOUR):
            crowned(library, run, tmp_path, key)
    selector = ModelSelector(library)
    calls: list[Callable[..., object]] = [
        lambda **named: library.champion("BTC/USD", "low", **named),
        lambda **named: library.champions("BTC-USD", **named)[0],
        lambda **named: library.model("BTC/USD", **named),
        lambda **named: library.version("BTC/USD", 1, **named),
        lambda **named: library.newest("BTC/USD", Family.LIGHTGBM, **named),
        lambda **named: selector.select_model_for_symbol("BTC/USD", "low", **named),
        lambda **named: selector.select_model_for_symbol("BTC/USD", "low", "lightgbm", **named),
    ]
    others: list[Callable[..., object]] = [
        lambda **named: library.recipe("BTC/USD", Family.LSTM, **named),
        lambda **named: selector.get_model_confidence("BTC/USD", "low", **named),
        lambda **named: selector.get_model_confidence("BTC/USD", **named),
    ]
    message = (
        r"BTC/USD could be any of BTC-USD\.1h\.6, BTC-USD\.4h\.6; name the timeframe, as in "
        r"timeframe=1h"
    )
    for call in (*calls, *others):
        with pytest.raises(AmbiguousModelError, match=message):
            call()
        with pytest.raises(AmbiguousModelError, match=r"BTC/USD, 6 bars ahead could be any of"):
            call(horizon=6)
    for call in calls:
        assert call(timeframe="4h").key == FOUR  # type: ignore[attr-defined]
        assert call(timeframe="1h", horizon=6).key == HOUR  # type: ignore[attr-defined]
        with pytest.raises((UnknownSymbolError, AttributeError, IndexError)):
            call(timeframe="1d").key  # type: ignore[attr-defined]  # noqa: B018
    for call in others:
        call(timeframe="4h")


def test_a_timeframe_without_a_model_is_told_with_those_there_are(
    local: BrainLibrary, tmp_path: Path
) -> None:
    with start(local) as run:
        crowned(local, run, tmp_path, HOUR)
    message = r"no model of BTC/USD on 4h bars is registered; there is BTC-USD\.1h\.6 \(BTC/USD on"
    with pytest.raises(UnknownSymbolError, match=message):
        local.champion("BTC/USD", "low", timeframe="4h")
    with pytest.raises(InputError, match="is the name of a model and not a symbol; write BTC-USD,"):
        local.champion("BTC-USD.1h.6", "low")
    with pytest.raises(InputError, match="asked for is of BTC/USD on 1h bars, 6 bars ahead, and"):
        local.champion(HOUR, "low", timeframe="4h")


def test_where_horizons_differ_the_horizon_is_asked_for(
    local: BrainLibrary, tmp_path: Path
) -> None:
    with start(local) as run:
        for key in (HOUR, NEAR, FOUR):
            crowned(local, run, tmp_path, key)
    with pytest.raises(AmbiguousModelError, match=r"1h\.3, BTC-USD\.1h\.6; name the horizon, as"):
        local.champion("BTC/USD", "low", timeframe="1h")
    with pytest.raises(AmbiguousModelError, match=r"timeframe=1h, and the horizon, as in horizon="):
        local.champion("BTC/USD", "low")
    assert local.champion("BTC/USD", "low", horizon=3).key == NEAR


def test_a_model_in_use_tells_its_timeframe(local: BrainLibrary, tmp_path: Path) -> None:
    with start(local) as run:
        for key in (HOUR, FOUR):
            crowned(local, run, tmp_path, key)
        local.set_champion(FOUR, Regime.LOW, record(add(local, run, tmp_path / "b", FOUR)), None)
    selector = ModelSelector(local)
    advise = selector.should_switch_model
    assert advise("BTC/USD", "BTC-USD.4h.6/1", "low").to == "BTC-USD.4h.6/2"
    assert not advise("BTC/USD", "BTC-USD.1h.6/1", "low").switch
    for ask in (
        lambda: advise("BTC/USD", "BTC-USD.1h.6/1", "low", timeframe="4h"),
        lambda: selector.get_model_confidence("BTC/USD", "low", "BTC-USD.1h.6/1", timeframe="4h"),
    ):
        with pytest.raises(InputError, match="is of BTC/USD on 1h bars, 6 bars ahead, and not of"):
            ask()


@pytest.mark.parametrize("symbol", ["BRK.B", "^GSPC", "ES=F", "EURUSD=X", "M&M.NS", "DX/Y.NYB"])
def test_symbols_as_people_have_them_go_through_the_registry(
    library: BrainLibrary, tmp_path: Path, symbol: str
) -> None:
    key = ModelKey(symbol, "1d", 6)
    with start(library) as run:
        version = crowned(library, run, tmp_path, key)
        library.set_recipe(key, Family.LSTM, "{}")
        run.tag({"model_id": version.id})
        run.text("text", f"{key.name}/file.txt")
    assert library.symbols() == [symbol]
    champion = library.champion(symbol, "high")
    assert champion.uri == f"models:/{key.name}@champion-high"
    assert library.fetch(library.version_of(version.id), tmp_path / "fetched").is_dir()
    assert library.newest(symbol, Family.LIGHTGBM) == version
    library.describe(key, {}, "2020-01-01")
    assert f"**{symbol}** on 1d bars" in library.model(symbol).description
    mlflow.set_tracking_uri(library.dsn)
    try:
        assert mlflow.pyfunc.load_model(champion.uri).predict([[0.0, 0.0]]).shape == (1,)
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # which unsets it
    (logged,) = library.client.search_runs(
        [run.experiment_id], f"tags.model_id LIKE '{key.name}/%'"
    )
    assert logged.info.run_id == run.id


# --- plain names --------------------------------------------------------------------------------


def register_plainly(
    library: BrainLibrary, run: Run, folder: Path, key: ModelKey, family: Family = Family.LIGHTGBM
) -> int:
    """A version under the plain name, as they were registered before models had keys.

    The horizon is a parameter of the run, and the version has no tag for it.
    """
    client = library.client
    scratch = ModelKey("SCRATCH", key.timeframe, key.horizon)
    with run.child(f"{key.symbol} {family}", tags={}, note="") as child:
        child.params({"horizon": key.horizon})
        files = add(library, child, folder, scratch, family)
    if not client.search_registered_models(f"name = '{PLAIN}'"):
        client.create_registered_model(PLAIN, tags={Tag.SYMBOL: key.symbol})
    mlflow.set_tracking_uri(library.dsn)
    try:
        entry = client.create_model_version(
            PLAIN,
            source=f"models:/{files.logged_model_id}",
            run_id=child.id,
            model_id=files.logged_model_id,
            tags={
                Tag.SYMBOL: key.symbol,
                Tag.FAMILY: str(family),
                Tag.RECIPE: files.recipe,
                Tag.TIMEFRAME: key.timeframe,
                Tag.TRAINED_UNTIL: files.trained_until,
                Tag.DIGEST: files.digest,
            },
        )
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # which unsets it
    return int(entry.version)


def crown_plainly(
    library: BrainLibrary, number: int, *regimes: Regime, recipe: str = "abc"
) -> None:
    """The version as champion, with a record from before there were nights in them."""
    entry = library.client.get_model_version(PLAIN, str(number))
    fields = json.loads(record(library.version_of(f"{PLAIN}/{entry.version}")).to_json())
    del fields["night"]
    for regime in regimes:
        text = json.dumps({**fields, "recipe": recipe})
        library.client.set_registered_model_tag(PLAIN, cell_tag(regime), text)
        library.client.set_registered_model_alias(PLAIN, champion_alias(regime), str(number))


def symbols_models(library: BrainLibrary) -> list[str]:
    """The names of the registered models, without those that hold the files of plain ones."""
    names = [m.name for m in library.client.search_registered_models()]
    return sorted(name for name in names if not name.startswith("SCRATCH"))


def champions_of(library: BrainLibrary, key: ModelKey) -> list[Champion]:
    return library.champions(key)


def test_a_plain_name_is_gone_on_with_by_its_own_key(library: BrainLibrary, tmp_path: Path) -> None:
    with start(library) as run:
        crown_plainly(library, register_plainly(library, run, tmp_path / "old", HOUR), *CELLS)
        old = library.champion("BTC/USD", "low")
        assert (old.model_id, old.key, old.uri) == (
            "BTC-USD/1", HOUR, "models:/BTC-USD@champion-low",
        )  # fmt: skip
        assert old.record.night == "2020-01-01"  # of its decision
        assert Tag.HORIZON not in library.client.get_registered_model(PLAIN).tags  # reading writes
        new = add(library, run, tmp_path / "new", HOUR)
        library.set_recipe(HOUR, Family.LSTM, "{}")
        library.set_champion(HOUR, Regime.LOW, record(new), None)
    assert (new.id, new.key) == ("BTC-USD/2", HOUR)
    assert symbols_models(library) == [PLAIN]
    tags = library.client.get_registered_model(PLAIN).tags
    assert {name: tags[name] for name in HOUR.tags} == HOUR.tags
    assert [c.version for c in champions_of(library, HOUR)] == [2, 1, 1, 1]
    selector = ModelSelector(library)
    assert selector.should_switch_model("BTC/USD", "BTC-USD/1", "low").to == "BTC-USD/2"
    assert selector.select_model_for_symbol("BTC-USD", "low").model_id == "BTC-USD/2"
    assert library.newest("BTC/USD", Family.LIGHTGBM) == new


@pytest.mark.parametrize("other", [FOUR, NEAR])
def test_another_timeframe_or_horizon_than_the_plain_names_has_a_name_of_its_own(
    local: BrainLibrary, tmp_path: Path, other: ModelKey
) -> None:
    with start(local) as run:
        crown_plainly(local, register_plainly(local, run, tmp_path / "old", HOUR), *CELLS)
        version = crowned(local, run, tmp_path, other)
        assert version.id == f"{other.name}/1"
    assert symbols_models(local) == sorted([PLAIN, other.name])
    assert {c.model_id for c in champions_of(local, HOUR)} == {"BTC-USD/1"}
    assert {c.model_id for c in champions_of(local, other)} == {version.id}
    with pytest.raises(AmbiguousModelError) as refusal:
        local.champion("BTC/USD", "low")
    assert "BTC-USD (BTC/USD on 1h bars, 6 bars ahead)" in str(refusal.value)
    assert other.name in str(refusal.value)


def test_current_recipes_tell_what_a_plain_name_is_of_without_a_further_request(
    local: BrainLibrary, tmp_path: Path
) -> None:
    recipe = Recipe(Family.LIGHTGBM, "bars-1", 6, {}, 7, timeframe="1h", target="t")
    with start(local) as run:
        number = register_plainly(local, run, tmp_path / "old", HOUR)
    crown_plainly(local, number, *CELLS, recipe=recipe.id)
    tag = recipe_tag(Family.LIGHTGBM)
    local.client.set_registered_model_tag(PLAIN, tag, recipe.to_json())
    calls = watch(local)
    assert [c.key for c in local.champions()] == [HOUR] * 4
    assert calls == ["search_registered_models"]


def test_a_plain_name_without_champions_is_of_its_recipes_or_its_newest_version(
    local: BrainLibrary, tmp_path: Path
) -> None:
    with start(local) as run:
        register_plainly(local, run, tmp_path / "old", FOUR)
        assert local.model("BTC/USD").key == FOUR
        recipe = Recipe(Family.LIGHTGBM, "bars-1", 3, {}, 7, timeframe="1h", target="t")
        tag = recipe_tag(Family.LIGHTGBM)
        local.client.set_registered_model_tag(PLAIN, tag, recipe.to_json())
        assert local.model("BTC/USD").key == NEAR
        assert local.recipe(NEAR, Family.LIGHTGBM) == recipe.to_json()
        with pytest.raises(NoChampionError, match="BTC/USD on 1h bars, 3 bars ahead has no champ"):
            local.champion("BTC/USD", "low")


def test_a_plain_name_with_champions_of_two_timeframes_is_left_alone_and_told(
    local: BrainLibrary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with start(local) as run:
        crown_plainly(local, register_plainly(local, run, tmp_path / "1", HOUR), *CELLS)
        crown_plainly(local, register_plainly(local, run, tmp_path / "2", FOUR), Regime.NORMAL)
        with pytest.raises(UnknownSymbolError, match="no model of 'BTC/USD' is registered"):
            local.champion("BTC/USD", "low")
        assert "left out the model BTC-USD, whose champions are of BTC/USD on 1h" in caplog.text
        assert "BTC/USD on 4h bars" in caplog.text
        for key in (HOUR, FOUR):
            assert crowned(local, run, tmp_path, key).id == f"{key.name}/1"
    assert {c.model for c in champions_of(local, HOUR)} == {"BTC-USD.1h.6"}
    assert {c.model for c in champions_of(local, FOUR)} == {"BTC-USD.4h.6"}
    assert local.version_of("BTC-USD/2").key == FOUR


def test_an_alias_moved_to_a_version_of_another_timeframe_is_refused(
    local: BrainLibrary, tmp_path: Path
) -> None:
    with start(local) as run:
        register_plainly(local, run, tmp_path / "0", FOUR)
        crown_plainly(local, register_plainly(local, run, tmp_path / "1", HOUR), *CELLS)
        add(local, run, tmp_path / "2", HOUR)
    assert local.newest(HOUR, Family.LIGHTGBM) == local.version(HOUR, 3)
    local.client.set_registered_model_alias(PLAIN, champion_alias(Regime.LOW), "1")
    with pytest.raises(LibraryError, match=r"champion-low of BTC-USD is at version 1, which is of"):
        local.champion("BTC/USD", "low")
    assert [c.regime for c in local.champions()] == list(CELLS[1:])


def test_a_key_that_has_both_names_goes_by_its_own(local: BrainLibrary, tmp_path: Path) -> None:
    with start(local) as run:
        crowned(local, run, tmp_path, HOUR)
        crown_plainly(local, register_plainly(local, run, tmp_path / "old", HOUR), *CELLS)
    assert local.champion("BTC/USD", "low").model_id == "BTC-USD.1h.6/1"
    assert local.model(HOUR).name == "BTC-USD.1h.6"
