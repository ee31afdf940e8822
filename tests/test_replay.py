"""``brain replay``: the command, what it leaves where, and what it refuses."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from brain.naming import Tag
from registry.library import BrainLibrary
from tests.analysis.replay.nights import left
from tests.analysis.replay.planted import write_planted
from tests.jobs import Outcome, enter, run_job
from tests.servers import sqlite_template

NIGHTS = 7
OPTIONS = (
    *("replay", "--bars", "bars", "--columns", "pulse", "--symbols", "AAA/USD"),
    *("--families", "lightgbm,lstm", "--trials", "1", "--folds", "2", "--cost_bps", "1"),
    *("--since", "2020-08-28", "--until", "2020-09-03", "--name", "short"),
)


def replay(*more: str) -> Outcome:
    return run_job(*OPTIONS, *more)


class House:
    """A folder in which the replay ran as one of ``mlflow run``."""

    def __init__(self, folder: Path, outcome: Outcome, run_id: str) -> None:
        self.folder, self.outcome, self.run_id = folder, outcome, run_id
        self.client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
        run = self.client.get_run(run_id)
        self.run = run
        self.document: dict[str, Any] = mlflow.artifacts.load_dict(
            f"{run.info.artifact_uri}/replay.json"
        )

    def runs(self) -> int:
        experiments = [e.experiment_id for e in self.client.search_experiments()]
        return len(self.client.search_runs(experiments))


@pytest.fixture(scope="module")
def house(
    _migrations: None, _templates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("replay")
    (folder / "mlflow.db").write_bytes(sqlite_template(_templates).read_bytes())
    write_planted(folder / "bars", strength=0.6, seed=11, days=247)
    dsn = f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, dsn, patch)
        client = MlflowClient(dsn)
        run = client.create_run(client.create_experiment("of mlflow run"))
        patch.setenv("MLFLOW_RUN_ID", run.info.run_id)
        outcome = replay("--refit", "3d")
        patch.delenv("MLFLOW_RUN_ID")
        assert (outcome.code, outcome.complaints) == (0, [])
        yield House(folder, outcome, run.info.run_id)


def test_what_came_of_it_is_on_a_run_of_the_users_library(house: House) -> None:
    assert house.run.info.status == "FINISHED"
    assert house.run.data.tags[Tag.ROLE] == "replay"
    assert "replay.html" in house.run.data.tags["mlflow.note.content"]
    files = {file.path for file in house.client.list_artifacts(house.run_id)}
    assert {"replay.html", "replay.json", "replay.parquet", "replay.png"} <= files
    nights = pd.read_parquet(
        mlflow.artifacts.download_artifacts(f"{house.run.info.artifact_uri}/replay.parquet")
    )
    assert len(nights) == house.document["nights"] == NIGHTS - 1
    for strategy in house.document["strategies"]:
        total = strategy["total"]["value"]
        assert total == pytest.approx(nights[strategy["name"]].sum())
        assert house.run.data.metrics[f"{strategy['name']}/total"] == pytest.approx(total)
    assert "champions at their sizes" in house.outcome.out
    assert f"{NIGHTS}/{NIGHTS} night 2020-09-03 00:00 UTC" in house.outcome.out


def test_nothing_else_is_touched_there(house: House) -> None:
    assert house.client.search_registered_models() == []
    assert house.runs() == 1
    assert not (house.folder / "series" / "evidence").exists()


def test_the_line_with_the_planted_edge_earns_and_the_other_does_not(house: House) -> None:
    every = {s["name"].partition("-")[0]: s["total"]["value"] for s in house.document["strategies"]}
    assert every["lstm"] > 0.1 > abs(every["lightgbm"])
    assert every["champions at their sizes"] == every["flat"] == 0.0  # abstaining as yet


def test_every_call_of_the_house_works_on_the_replays_own_library(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", house.document["library"])
    library = BrainLibrary(house.document["library"], series=house.folder / "none")
    assert Path(house.document["library"].removeprefix("sqlite:///")).is_relative_to(
        house.folder / "replays" / "short"
    )
    champions = library.champions()
    assert len(champions) == 4
    assert {champion.record.decided[:10] for champion in champions} == {"2020-09-03"}
    for champion in champions:
        assert champion.record.size == 0.0
        assert "on trial, night" in champion.record.reason
        alias = f"models:/{champion.model}@champion-{champion.regime}"
        assert mlflow.pyfunc.load_model(alias).metadata.signature is not None


def test_the_same_command_again_does_no_night_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(house.folder, f"sqlite:///{house.folder / 'mlflow.db'}", monkeypatch)
    nights = house.folder / "replays" / "short" / "nights"
    before = {path.name: path.stat().st_mtime_ns for path in nights.iterdir()}
    again = replay("--refit", "3 days")
    assert (again.code, again.complaints) == (0, [])
    assert {path.name: path.stat().st_mtime_ns for path in nights.iterdir()} == before
    (experiment,) = house.client.search_experiments(filter_string="name = 'replay short'")
    (run,) = house.client.search_runs([experiment.experiment_id])
    document = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/replay.json")
    assert json.dumps(document) == json.dumps(house.document)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--refit", "4d"), "refit='4d' and was '3d'"),
        (("--refit", "3d", "--since", "2020-08-29"), "since='2020-08-29T00:00:00+00:00' and was"),
        (("--refit", "3d", "--threshold", "2"), "threshold=2.0 and was 1.0"),
        (("--since", "noon"), "since=noon is no time"),
        (("--every", "never"), "'never' is no length of time"),
        (("--name", "../x"), "can't be the name of a replay"),
    ],
)
def test_what_does_not_fit_is_one_error_and_nothing_is_written(
    house: House, more: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(house.folder, f"sqlite:///{house.folder / 'mlflow.db'}", monkeypatch)
    runs = house.runs()
    refused = replay(*more)
    assert refused.code == 2
    assert words in refused.error
    assert house.runs() == runs


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_replay_whose_process_is_killed_five_times_equals_one_left_alone(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(house.folder / "mlflow.db", tmp_path / "mlflow.db")
    shutil.copytree(house.folder / "bars", tmp_path / "bars")
    enter(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}", monkeypatch)
    command = [sys.executable, "-m", "mlproject", *OPTIONS, "--refit", "3d"]
    mine, alone = (place / "replays" / "short" for place in (tmp_path, house.folder))
    rng, killed = random.Random(5), 0
    for night in range(1, 6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (mine / "nights" / f"{night:06}.json").exists():
            time.sleep(0.02)
        time.sleep(rng.uniform(0.0, 1.5))
        killed += process.poll() is None
        process.kill()
        process.wait()
    assert killed == 5
    assert replay("--refit", "3d").code == 0
    for night in range(1, NIGHTS + 1):
        name = f"{night:06}.json"
        assert (mine / "nights" / name).read_text() == (alone / "nights" / name).read_text()
    one, other = (
        left(BrainLibrary(f"sqlite:///{place / 'mlflow.db'}", series=place / "series"))
        for place in (mine, alone)
    )
    for name, value in one.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, other[name], check_exact=True)
        else:
            assert value == other[name], name


def test_since_must_be_given(sqlite_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = run_job("replay")
    assert refused.code == 2
    assert (
        refused.error == "error: --since is missing; give the first night's moment, as 2019-07-01"
    )
