"""Replays by the command: of bars with a planted edge, and of bars without one.

Written down before they were run: five symbols of hourly bars, 300 days, 60 nights, with the seeds
1, 2 and 3. With an edge a pulse of the own column is .6 of the return seven bars later
(:func:`tests.analysis.replay.planted.write_planted`): only the LSTM can make use of it. It has to
take all cells, no other line any, and following the champions at their sizes has to pay by more
than 1.64 standard errors, and more than the prior table. Without an edge nothing is promoted. The
strength was chosen on seed 11.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pytest

from registry.library import BrainLibrary
from tests.analysis.replay.planted import write_planted
from tests.jobs import Outcome, enter, run_job

EDGE, DAYS = 0.6, 300
SINCE, UNTIL = "2020-08-28", "2020-10-27"
SEEDS = (1, 2, 3)
OPTIONS = (
    *("replay", "--bars", "bars", "--columns", "pulse", "--families", "lightgbm,lstm"),
    *("--trials", "1", "--folds", "2", "--cost_bps", "1"),
)


def replay(*more: str) -> Outcome:
    return run_job(*OPTIONS, *more)


def document(library: BrainLibrary) -> dict[str, Any]:
    """What the latest replay's run says."""
    client = library.client
    experiment = client.get_experiment_by_name("replay replay")
    assert experiment is not None
    runs = client.search_runs(
        [experiment.experiment_id], order_by=["attributes.start_time DESC"], max_results=1
    )
    assert runs[0].info.status == "FINISHED"
    return dict(mlflow.artifacts.load_dict(f"{runs[0].info.artifact_uri}/replay.json"))


def strategies(replayed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By name; lines by their family."""
    return {s["name"].partition("-")[0]: s for s in replayed["strategies"]}


def played(sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **edge: Any) -> Any:
    enter(tmp_path, sqlite_dsn, monkeypatch)
    write_planted(tmp_path / "bars", days=DAYS, **edge)
    outcome = replay("--since", SINCE, "--until", UNTIL, "--refit", "30d")
    assert (outcome.code, outcome.complaints) == (0, [])
    print(outcome.out)
    return document(BrainLibrary(sqlite_dsn))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_line_with_the_edge_is_promoted_and_following_the_champions_pays(
    seed: int, sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed = played(sqlite_dsn, tmp_path, monkeypatch, strength=EDGE, seed=seed)
    promoted = [d for d in replayed["decisions"] if d["outcome"] == "promoted"]
    assert [(d["line"].partition("-")[0], d["group"]) for d in promoted] == [("lstm", "all")]
    every = strategies(replayed)
    total = every["champions at their sizes"]["total"]
    assert total["value"] > 1.64 * total["error"] > 0.0
    assert total["value"] > every["prior table"]["total"]["value"]
    assert replayed["nights"] == 60


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", SEEDS)
def test_without_an_edge_nothing_is_promoted(
    seed: int, sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed = played(sqlite_dsn, tmp_path, monkeypatch, strength=0.0, seed=seed)
    assert [d for d in replayed["decisions"] if d["outcome"] == "promoted"] == []
    assert replayed["nights"] == 60
