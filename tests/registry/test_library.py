"""One contract, every store: SQLite, PostgreSQL, and a live MLflow server."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema

from brain.errors import (
    ArtifactStoreError,
    InputError,
    LibraryError,
    ModelIntegrityError,
    NoChampionError,
    SettingsError,
    TrackingUnreachableError,
    UnknownRegimeError,
    UnknownSymbolError,
)
from brain.manifest import check_folder
from brain.naming import Family, Regime, Tag
from brain.processes import ProcessIdentity
from registry.checks.tracking import check_tracking
from registry.library import BrainLibrary
from registry.runs import EvaluationDataset, Metric
from tests.registry.models import EXPERIMENT, KEY, SYMBOL, add, record, start

pytestmark = pytest.mark.sampled("dsn")

HOST = socket.gethostname()


@pytest.fixture
def library(dsn: str, monkeypatch: pytest.MonkeyPatch) -> BrainLibrary:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    return BrainLibrary(dsn)


def test_a_version_is_whole_when_it_is_visible(library: BrainLibrary, tmp_path: Path) -> None:
    with start(library) as run:
        version = add(library, run, tmp_path / "model")
    assert version.id == "BTC-USD.1h.6/1"
    assert library.version(SYMBOL, 1) == version
    assert library.symbols() == [SYMBOL]
    logged = library.client.get_logged_model(version.logged_model_id)
    check_folder(library.fetch(version, tmp_path / "fetched"), version.digest)
    assert (str(logged.status), logged.params) == ("READY", {"rounds": "2"})


def test_registering_leaves_mlflow_and_the_environment_as_they_were(
    sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    library = BrainLibrary(sqlite_dsn)
    for number, variable in enumerate((None, "sqlite:///elsewhere.db")):
        if variable:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
        before = mlflow.get_tracking_uri()
        with start(library) as run:
            add(library, run, tmp_path / str(number))
        assert mlflow.get_tracking_uri() == before
        assert os.environ.get("MLFLOW_TRACKING_URI") == variable


def test_two_libraries_register_side_by_side(sqlite_dsn: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(tmp_path / "mlflow.db", other)
    libraries = [BrainLibrary(dsn) for dsn in (sqlite_dsn, f"sqlite:///{other / 'mlflow.db'}")]

    def register(number: int) -> list[int]:
        library = libraries[number]
        with start(library) as run:
            versions = [add(library, run, tmp_path / f"model-{number}-{i}") for i in range(4)]
        return [version.number for version in versions]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(register, range(2))) == [[1, 2, 3, 4]] * 2


def test_a_downloaded_model_names_its_inputs_in_order(
    library: BrainLibrary, tmp_path: Path
) -> None:
    with start(library) as run:
        version = add(library, run, tmp_path / "model")
    folder = library.fetch(version, tmp_path / "fetched")
    assert library.input_names(folder) is None
    model = Model.load(str(folder))
    model.signature = ModelSignature(Schema([ColSpec("double", name) for name in ("b", "a")]))
    model.save(str(folder / "MLmodel"))
    assert library.input_names(folder) == ("b", "a")
    with pytest.raises(LibraryError, match=r"could not read the signature of the model in "):
        library.input_names(tmp_path)


def test_a_model_of_another_program_is_no_symbols_model(sqlite_dsn: str) -> None:
    library = BrainLibrary(sqlite_dsn)
    library.client.create_registered_model("BTC-USD")
    library.client.create_registered_model("another model")
    with pytest.raises(UnknownSymbolError, match=r"no model of 'BTC/USD' is registered; known: "):
        library.model(SYMBOL)
    assert library.symbols() == []
    assert library.champions() == library.champions(SYMBOL) == []


def test_a_symbols_model_has_the_aliases_and_recipes_of_all_its_cells(
    library: BrainLibrary, tmp_path: Path
) -> None:
    with start(library) as run:
        first, second = (add(library, run, tmp_path / str(i)) for i in range(2))
    library.set_champion(SYMBOL, Regime.HIGH, record(first), second.number)
    library.set_recipe(KEY, Family.LSTM, "{}")
    model = library.model(SYMBOL)
    assert (model.name, model.key) == ("BTC-USD.1h.6", KEY)
    assert (model.champion(Regime.HIGH), model.challenger(Regime.HIGH)) == (1, 2)
    assert (model.champion(Regime.LOW), model.challenger(Regime.LOW)) == (None, None)
    assert (model.recipe(Family.LSTM), model.recipe(Family.XGBOOST)) == ("{}", None)
    assert library.champion_in(model, Regime.HIGH) == library.champion(SYMBOL, "high")
    assert library.champions(SYMBOL) == library.champions()


def test_files_that_are_gone_or_changed_are_not_loaded(
    library: BrainLibrary, tmp_path: Path
) -> None:
    with start(library) as run:
        changed, missing = (add(library, run, tmp_path / str(i)) for i in range(2))
    for version in (changed, missing):
        location = library.client.get_logged_model(version.logged_model_id).artifact_location
        files = list(tmp_path.parent.rglob(f"{version.logged_model_id}/artifacts/model.lgb"))
        assert files, location
        files[0].write_text("tree") if version is changed else shutil.rmtree(files[0].parent)
    with pytest.raises(ModelIntegrityError, match=r"model\.lgb is not what was registered"):
        library.fetch(changed, tmp_path / "a")
    with pytest.raises(ArtifactStoreError, match=r"could not fetch BTC-USD.1h.6/2"):
        library.fetch(missing, tmp_path / "b")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("target", ["/dev/zero", "elsewhere", "nowhere"])
def test_a_link_among_a_local_models_files_is_refused_before_anything_is_copied(
    target: str, sqlite_dsn: str, tmp_path: Path
) -> None:
    library = BrainLibrary(sqlite_dsn)
    with start(library) as run:
        version = add(library, run, tmp_path / "model")
    (file,) = tmp_path.rglob(f"{version.logged_model_id}/artifacts/model.lgb")
    shutil.copy(file, tmp_path / "elsewhere")
    file.unlink()
    file.symlink_to(tmp_path / target)
    with pytest.raises(ModelIntegrityError, match=r"model\.lgb is a link; a model is made of"):
        library.fetch(version, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_a_document_that_is_a_list_is_one_error(sqlite_dsn: str) -> None:
    library = BrainLibrary(sqlite_dsn)
    with start(library) as run:
        for text in ("[]", '["ab"]', "null", "[" * 100_000, "no JSON"):
            run.text(text, "summary.json")
            with pytest.raises(ArtifactStoreError, match=r"could not read summary\.json from run"):
                library.document(run.id, "summary.json")


def test_versions_that_are_fetched_to_one_folder_keep_apart(
    library: BrainLibrary, tmp_path: Path
) -> None:
    with start(library) as run:
        versions = [add(library, run, tmp_path / str(i)) for i in range(2)]
    folders = [library.fetch(version, tmp_path / "models") for version in versions]
    for folder, version in zip(folders, versions, strict=True):
        check_folder(folder, version.digest)


def test_numbers_go_up_and_nothing_is_lost(library: BrainLibrary, tmp_path: Path) -> None:
    with start(library) as run:
        numbers = [add(library, run, tmp_path / str(i)).number for i in range(3)]
    assert numbers == [1, 2, 3]
    assert [library.version(SYMBOL, n).number for n in numbers] == numbers


def test_a_promotion_moves_the_alias_and_remembers_the_one_before(
    library: BrainLibrary, tmp_path: Path
) -> None:
    with start(library) as run:
        first, second = (add(library, run, tmp_path / str(i)) for i in range(2))
    library.set_champion(SYMBOL, Regime.HIGH, record(first), second.number)
    library.set_champion(SYMBOL, Regime.HIGH, record(second), first.number)
    champion = library.champion("BTC-USD", "high")
    assert (champion.version, champion.record) == (2, record(second))
    assert champion.uri == "models:/BTC-USD.1h.6@champion-high"
    aliases = library.client.get_registered_model("BTC-USD.1h.6").aliases
    assert {k: int(v) for k, v in aliases.items()} == {
        "champion-high": 2,
        "challenger-high": 1,
        "previous-high": 1,
    }
    assert library.champions() == [champion]


def test_an_alias_moved_by_hand_is_a_pin_with_a_record_of_its_own(
    library: BrainLibrary, tmp_path: Path
) -> None:
    with start(library) as run:
        first, second = (add(library, run, tmp_path / str(i)) for i in range(2))
        run.metrics([Metric("high/net_sharpe", 0.5), Metric("high/bars", 300)])
    cell_record = record(first, regimes={"definition": {}}, bars=10, confidence=0.9)
    library.set_champion(SYMBOL, Regime.HIGH, cell_record, None)
    library.client.set_registered_model_alias("BTC-USD.1h.6", "champion-high", "2")
    champion = library.champion(SYMBOL, "high")
    assert (champion.version, champion.pinned) == (2, True)
    assert champion.record == record(
        second,
        provisional=False,
        reason="the alias was moved by hand to version 2, a night named version 1; "
        "`brain release BTC/USD high` lets the next night name it",
        bars=300,
        episodes=None,
        decided="",
        night=run.day,
        net_sharpe=0.5,
        regimes={"definition": {}},
    )
    assert library.champions() == [champion]


def test_an_alias_set_by_hand_needs_no_record(library: BrainLibrary, tmp_path: Path) -> None:
    with start(library) as run:
        version = add(library, run, tmp_path / "model")
    library.client.set_registered_model_alias("BTC-USD.1h.6", "champion-low", "1")
    champion = library.champion(SYMBOL, "low")
    assert (champion.record.digest, champion.record.bars) == (version.digest, None)
    assert "moved by hand to version 1, a night named none" in champion.record.reason
    assert champion.pinned


def aliases(library: BrainLibrary) -> dict[str, int]:
    model = library.client.get_registered_model("BTC-USD.1h.6")
    return {alias: int(number) for alias, number in model.aliases.items()}


def test_a_pin_stays_until_it_is_released(library: BrainLibrary, tmp_path: Path) -> None:
    with start(library) as run:
        first, second, third = (add(library, run, tmp_path / str(i)) for i in range(3))
    assert library.set_champion(SYMBOL, Regime.HIGH, record(first), None)
    assert library.set_champion(SYMBOL, Regime.HIGH, record(second), None)
    library.client.set_registered_model_alias("BTC-USD.1h.6", "champion-high", "1")
    pinned = {"champion-high": 1, "challenger-high": 3, "previous-high": 1}
    for _ in range(2):
        assert not library.set_champion(SYMBOL, Regime.HIGH, record(third), second.number)
        assert aliases(library) == pinned
        assert library.champion(SYMBOL, "high").pinned

    released = library.release("BTC-USD", "high")
    assert aliases(library) == pinned
    assert library.champion(SYMBOL, "high") == released
    assert (released.version, released.pinned) == (1, False)
    assert re.match(r"pinned by hand and released on \d{4}-", released.record.reason)
    with pytest.raises(
        InputError, match=r"not pinned in regime high: a night named BTC-USD.1h.6/1"
    ):
        library.release(SYMBOL, "high")

    assert library.set_champion(SYMBOL, Regime.HIGH, record(third), second.number)
    assert aliases(library) == {"champion-high": 3, "challenger-high": 2, "previous-high": 1}


def test_moving_an_alias_back_to_the_version_that_a_night_named_ends_the_pin(
    library: BrainLibrary, tmp_path: Path
) -> None:
    with start(library) as run:
        first, second = (add(library, run, tmp_path / str(i)) for i in range(2))
    library.set_champion(SYMBOL, Regime.HIGH, record(first), None)
    for number, pinned in (("2", True), ("1", False)):
        library.client.set_registered_model_alias("BTC-USD.1h.6", "champion-high", number)
        assert library.champion(SYMBOL, "high").pinned is pinned
    assert library.set_champion(SYMBOL, Regime.HIGH, record(second), None)


def test_a_pinned_version_that_is_deleted_leaves_a_cell_that_a_night_fills(
    library: BrainLibrary, tmp_path: Path
) -> None:
    with start(library) as run:
        first, second, third = (add(library, run, tmp_path / str(i)) for i in range(3))
    library.set_champion(SYMBOL, Regime.HIGH, record(first), None)
    library.client.set_registered_model_alias("BTC-USD.1h.6", "champion-high", "2")
    library.client.delete_model_version("BTC-USD.1h.6", str(second.number))
    with pytest.raises(NoChampionError):
        library.champion(SYMBOL, "high")
    with pytest.raises(InputError, match="not pinned in regime high: it has no champion"):
        library.release(SYMBOL, "high")
    assert library.set_champion(SYMBOL, Regime.HIGH, record(third), None)
    assert library.champion(SYMBOL, "high").version == 3


def test_a_pin_outlives_the_version_that_a_night_named(
    library: BrainLibrary, tmp_path: Path
) -> None:
    with start(library) as run:
        first, second = (add(library, run, tmp_path / str(i)) for i in range(2))
    library.set_champion(SYMBOL, Regime.HIGH, record(second), None)
    library.client.set_registered_model_alias("BTC-USD.1h.6", "champion-high", "1")
    library.client.delete_model_version("BTC-USD.1h.6", str(second.number))
    assert library.champion(SYMBOL, "high").pinned
    assert library.release(SYMBOL, "high").version == first.number


class Cut(Exception):
    """The end of a process in the midst of a promotion."""


class CutOff:
    """An MLflow client whose process ends before its write of that number."""

    def __init__(self, client: MlflowClient, writes: int) -> None:
        self.client, self.left = client, writes

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.client, name)
        if not name.startswith(("set_", "delete_")):
            return attribute
        if self.left == 0:
            raise Cut
        self.left -= 1
        return attribute


@pytest.mark.parametrize("writes", range(6))
def test_a_promotion_that_is_cut_off_is_no_pin_and_the_next_one_goes_through(
    library: BrainLibrary, tmp_path: Path, writes: int
) -> None:
    with start(library) as run:
        versions = [add(library, run, tmp_path / str(i)) for i in range(3)]
    first, second, third = (record(version) for version in versions)
    library.set_champion(SYMBOL, Regime.HIGH, first, None)
    client = library.client
    library.client = CutOff(client, writes)  # type: ignore[assignment]
    with pytest.raises(Cut):
        library.set_champion(SYMBOL, Regime.HIGH, second, 1)
    library.client = client

    champion = library.champion(SYMBOL, "high")
    assert not champion.pinned
    assert champion.record == (second if writes >= 4 else first)
    assert library.set_champion(SYMBOL, Regime.HIGH, third, 2)
    assert library.champion(SYMBOL, "high").record == third
    assert aliases(library)["previous-high"] == (2 if writes >= 4 else 1)
    assert "promotion-high" not in library.model(SYMBOL).tags


@pytest.mark.parametrize("writes", range(6))
def test_an_alias_moved_by_hand_after_a_promotion_was_cut_off_is_a_pin(
    library: BrainLibrary, tmp_path: Path, writes: int
) -> None:
    with start(library) as run:
        versions = [add(library, run, tmp_path / str(i)) for i in range(3)]
    library.set_champion(SYMBOL, Regime.HIGH, record(versions[0]), None)
    client = library.client
    library.client = CutOff(client, writes)  # type: ignore[assignment]
    with pytest.raises(Cut):
        library.set_champion(SYMBOL, Regime.HIGH, record(versions[1]), 1)
    library.client = client
    client.set_registered_model_alias("BTC-USD.1h.6", "champion-high", "3")
    assert library.champion(SYMBOL, "high").pinned


def test_a_cell_that_cannot_be_read_is_told_and_costs_no_other(
    library: BrainLibrary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with start(library) as run:
        version = add(library, run, tmp_path / "model")
    for regime in Regime:
        library.set_champion(SYMBOL, regime, record(version), None)
    client = library.client
    client.set_registered_model_tag("BTC-USD.1h.6", "cell-low", "{")
    files = client.get_run(run.id).info.artifact_uri
    foreign = client.create_model_version("BTC-USD.1h.6", source=files, run_id=run.id)
    client.set_registered_model_alias("BTC-USD.1h.6", "champion-extreme", foreign.version)
    with pytest.raises(LibraryError, match=r"tag cell-low of model BTC-USD.1h.6: .*can't be read"):
        library.champion(SYMBOL, "low")
    with pytest.raises(
        LibraryError, match=r"version 2 of BTC-USD.1h.6 was not reg.*\(tag family\)"
    ):
        library.champion(SYMBOL, "extreme")
    assert [c.regime for c in library.champions()] == [Regime.NORMAL, Regime.HIGH]
    messages = [r.getMessage() for r in caplog.records if r.name == "brain.cells"]
    assert [message.partition(":")[0] for message in messages] == [
        "left out the champion of BTC-USD.1h.6 in low",
        "left out the champion of BTC-USD.1h.6 in extreme",
    ]


def test_naming_the_same_champion_again_keeps_the_one_before(
    library: BrainLibrary, tmp_path: Path
) -> None:
    with start(library) as run:
        first, second = (add(library, run, tmp_path / str(i)) for i in range(2))
    for version in (first, second, second):
        library.set_champion(SYMBOL, Regime.LOW, record(version), None)
    assert library.client.get_model_version_by_alias("BTC-USD.1h.6", "previous-low").version in (
        1,
        "1",
    )


def test_what_is_not_there_is_told_with_the_cure(library: BrainLibrary, tmp_path: Path) -> None:
    with start(library) as run:
        add(library, run, tmp_path / "model")
    with pytest.raises(UnknownSymbolError, match=r"'BTC/USDT'.*did you mean 'BTC/USD'"):
        library.champion("BTC/USDT", "low")
    with pytest.raises(UnknownRegimeError, match="did you mean 'low'"):
        library.champion(SYMBOL, "lo")
    with pytest.raises(NoChampionError, match="no champion for regime low; run the nightly"):
        library.champion(SYMBOL, "low")
    with pytest.raises(LibraryError, match="version 9"):
        library.version(SYMBOL, 9)


def test_recipes_are_stored_before_there_is_a_model(library: BrainLibrary) -> None:
    assert library.recipe(SYMBOL, Family.LSTM) is None
    library.set_recipe(KEY, Family.LSTM, '{"a":1}')
    library.set_recipe(KEY, Family.LSTM, '{"a":2}')
    assert library.recipe(SYMBOL, Family.LSTM) == '{"a":2}'


def test_runs_nest_and_end_as_they_went(library: BrainLibrary) -> None:
    night = start(library)
    with night.child("good", tags={}, note="") as good:
        good.params({"a": 1})
        good.metrics([Metric("low/rank_ic", 0.5), Metric("rank_ic", 0.1)])
        good.document({"x": None}, "summary.json")
    with night.child("failed", tags={}, note="") as failed:
        failed.fail()
    with pytest.raises(RuntimeError, match="boom"), night:
        raise RuntimeError("boom")
    runs = {r.id: library.client.get_run(r.id) for r in (night, good, failed)}
    assert [r.info.status for r in runs.values()] == ["FAILED", "FINISHED", "FAILED"]
    assert runs[good.id].data.tags["mlflow.parentRunId"] == night.id
    assert runs[good.id].data.metrics == {"low/rank_ic": 0.5, "rank_ic": 0.1}


def test_a_dataset_is_an_input_of_the_run_and_of_its_metrics(
    library: BrainLibrary, tmp_path: Path
) -> None:
    dataset = EvaluationDataset("BTC-USD high", "0a1b2c3d", '{"uri": "here"}', '{"horizon": 6}')
    with start(library) as run:
        version = add(library, run, tmp_path / "model")
        run.datasets([dataset], context="evaluation")
        run.metrics([Metric("rank_ic", 0.1, version.logged_model_id, dataset)])
    inputs = library.client.get_run(run.id).inputs
    assert inputs is not None
    (entry,) = inputs.dataset_inputs
    assert {tag.key: tag.value for tag in entry.tags} == {"mlflow.data.context": "evaluation"}
    assert (entry.dataset.name, entry.dataset.digest) == ("BTC-USD high", "0a1b2c3d")
    assert (entry.dataset.source_type, entry.dataset.source) == ("local", '{"uri": "here"}')
    assert entry.dataset.profile == '{"horizon": 6}'
    (metric,) = library.client.get_logged_model(version.logged_model_id).metrics or []
    assert (metric.dataset_name, metric.dataset_digest) == ("BTC-USD high", "0a1b2c3d")


def test_an_interrupt_ends_the_run_as_killed(library: BrainLibrary) -> None:
    with pytest.raises(KeyboardInterrupt), start(library) as night:
        raise KeyboardInterrupt
    assert library.client.get_run(night.id).info.status == "KILLED"


def test_the_run_that_mlflow_made_is_taken_over(
    library: BrainLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = library.client.create_run(library.experiment(EXPERIMENT)).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    with start(library) as night:
        assert night.id == run_id
    run = library.client.get_run(night.id)
    assert (run.info.run_name, run.info.status) == ("a night", "FINISHED")


def test_runs_of_dead_processes_are_ended_and_others_left(library: BrainLibrary) -> None:
    dead = subprocess.run(
        [
            sys.executable,
            "-c",
            "from brain.processes import ProcessIdentity; print(ProcessIdentity.current())",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout.strip()
    mine, lost, elsewhere = start(library), start(library), start(library)
    lost.tag({Tag.PROCESS: dead})
    elsewhere.tag({Tag.PROCESS: str(ProcessIdentity("another-host", 1, "x"))})
    experiment = library.experiment(EXPERIMENT)
    foreign, other = (
        library.client.create_run(experiment, tags=tags).info.run_id
        for tags in ({}, {str(Tag.PROCESS): "annealing"})
    )
    assert library.reap() == [lost.id]
    runs = (mine.id, lost.id, elsewhere.id, foreign, other)
    statuses = [library.client.get_run(run).info.status for run in runs]
    assert statuses == ["RUNNING", "KILLED", "RUNNING", "RUNNING", "RUNNING"]
    assert library.reap(after_hours=-1) == [elsewhere.id]


def test_logged_models_that_a_dead_run_has_not_registered_are_deleted_and_told(
    library: BrainLibrary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lost, mine = start(library), start(library)
    version = add(library, lost, tmp_path / "model")
    client, experiment = library.client, library.experiment(EXPERIMENT)
    left, alive = (
        client.create_logged_model(experiment, source_run_id=run.id).model_id
        for run in (lost, mine)
    )
    foreign = client.create_logged_model(experiment).model_id
    lost.tag({Tag.PROCESS: str(ProcessIdentity(HOST, 1, "x"))})
    assert library.reap() == [lost.id]
    stay = {model.model_id for model in client.search_logged_models([experiment])}
    assert stay == {version.logged_model_id, alive, foreign}
    assert f"deleted the logged models {left} of run a night" in caplog.text
    library.fetch(version, tmp_path / "fetched")


def test_a_run_that_never_reached_our_code_is_ended(library: BrainLibrary) -> None:
    here, elsewhere = (
        library.client.create_run(
            library.experiment(EXPERIMENT),
            start_time=int(time.time() * 1000) - 60_000,
            tags={"mlflow.project.entryPoint": "nightly", "mlflow.source.name": source},
        ).info.run_id
        for source in (Path(__file__).parents[2].as_uri(), "file:///somewhere/else")
    )
    assert library.reap() == [here]
    assert library.reap(after_hours=-1) == [elsewhere]


def test_dead_runs_are_ended_in_every_experiment(library: BrainLibrary) -> None:
    lost = library.client.create_run(library.experiment("elsewhere")).info.run_id
    library.client.set_tag(lost, Tag.PROCESS, str(ProcessIdentity(HOST, 1, "x")))
    assert library.reap() == [lost]
    assert library.reap() == []


def test_a_run_taken_for_dead_runs_again_once_its_job_reaches_it(
    library: BrainLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = library.client.create_run(library.experiment(EXPERIMENT)).info.run_id
    library.client.set_terminated(run_id, "KILLED")
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    start(library)
    assert library.client.get_run(run_id).info.status == "RUNNING"


def test_no_server_is_told_at_once_and_without_the_password() -> None:
    with pytest.raises(TrackingUnreachableError, match=r"no answer from http://127\.0\.0\.1:9"):
        BrainLibrary("http://127.0.0.1:9").check(EXPERIMENT)
    with pytest.raises(TrackingUnreachableError, match=r"u:\*\*\*@127") as caught:
        BrainLibrary("postgresql+psycopg://u:hush@127.0.0.1:9/x").check("x")
    assert "hush" not in str(caught.value)


FORMS = r"; write sqlite:///PATH, postgresql\+psycopg://USER:PASSWORD@HOST/NAME or http://HOST"
NO_URI = [
    ("mlruns", "'mlruns' is no server or database" + FORMS),
    ("file:///tmp/mlruns", "is no server or database" + FORMS),
    ("postgres://x", "is no server or database" + FORMS),
    ("localhost:5000", "is no server or database" + FORMS),
    (" ", "is no server or database" + FORMS),
    ("sqlite://://", "SQLite has no host|it is no database's address|its port"),
    ("sqlite:/x.db", "it is no database's address" + FORMS),
    ("sqlite://x.db", r"SQLite has no host 'x\.db'; write sqlite:///PATH, with three slashes"),
    (
        "sqlite:///{here}/no/x.db",
        r"no folder \S+/no; make it \(mkdir -p \S+/no\), or correct MLFLOW",
    ),
    ("sqlite:///{here}/file/x.db", r"/file is no folder; correct MLFLOW_TRACKING_URI"),
    ("sqlite:///{here}/file", r"/file is no SQLite database; name another file"),
    ("sqlite:///{here}", r" is a folder; name a file in it"),
    ("http://localhost:abc", "its port is no number from 0 to 65535; correct MLFLOW_TRACKING_URI"),
    ("http://localhost:99999", "its port is no number"),
    ("https:/host", "it names no host; correct"),
    ("postgresql+psycopg://u:hush@h:abc/x", r"u:\*\*\*@h:abc/x' can't be used: its port is no num"),
    ("postgresql+psycopg://u:hush@h:99999/x", "its port is no number"),
    ("postgresql+pg8000://u:hush@h/x", "pg8000'; install that driver, or write postgresql"),
]


@pytest.mark.parametrize(("dsn", "message"), NO_URI)
def test_what_is_no_tracking_uri_is_told_with_cause_and_cure_and_writes_nothing(
    dsn: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no database")
    with pytest.raises(SettingsError, match=message) as caught:
        BrainLibrary(dsn.format(here=tmp_path))
    assert "hush" not in str(caught.value)
    checks, location = check_tracking(dsn.format(here=tmp_path), EXPERIMENT)
    assert ([check.state for check in checks], location) == (["failed"], None)
    assert f"{checks[0].detail}; {checks[0].cure}".startswith(str(caught.value)[:60])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_unwritable_artifact_folder_is_told_before_anything_is_written(
    sqlite_dsn: str, tmp_path: Path
) -> None:
    library = BrainLibrary(sqlite_dsn)
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder should be")
    library.client.create_experiment("blocked", artifact_location=str(blocked / "artifacts"))
    with pytest.raises(ArtifactStoreError, match=r"can't be written to .*file/artifacts"):
        library.check("blocked")


def test_checking_leaves_nothing_behind(
    sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    library = BrainLibrary(sqlite_dsn)
    library.check(EXPERIMENT)
    root = library.client.get_experiment(library.experiment(EXPERIMENT)).artifact_location
    assert os.listdir(root.removeprefix("file://")) == []
