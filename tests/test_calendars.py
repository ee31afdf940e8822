"""Nights on the bars of a market that closes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.model_keys import ModelKey
from registry.library import BrainLibrary
from tests.engine.sessions import MARKETS, frame
from tests.jobs import Outcome, enter, run_job
from tests.servers import sqlite_template

KEY = ModelKey("SPY", "1d", 6)
QUICK = ("--families", "lightgbm", "--trials", "1", "--folds", "1", "--jobs", "1")


@dataclass(frozen=True)
class Market:
    """A folder with daily shares, and a night on them with New York's calendar."""

    folder: Path
    library: BrainLibrary
    refusal: Outcome
    runs_before: int
    outcome: Outcome


@pytest.fixture(scope="module")
def market(_templates: Path, tmp_path_factory: pytest.TempPathFactory) -> Market:
    folder = tmp_path_factory.mktemp("calendars")
    (folder / "mlflow.db").write_bytes(sqlite_template(_templates).read_bytes())
    (folder / "bars").mkdir()
    times = MARKETS["holidays and half days"][0]
    frame(times).rename_axis("time").to_csv(folder / "bars" / "SPY_1d.csv")
    library = BrainLibrary(f"sqlite:///{folder / 'mlflow.db'}")
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, library.dsn, patch)
        refusal = run_job("nightly", "--bars", "bars", *QUICK)
        runs = len(library.client.search_runs([library.experiment("nightly")]))
        outcome = run_job("nightly", "--bars", "bars", "--calendar", "xnys", *QUICK)
    return Market(folder, library, refusal, runs, outcome)


@pytest.fixture
def _there(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(market.folder, market.library.dsn, monkeypatch)


def test_without_a_calendar_they_are_refused_and_nothing_is_written(market: Market) -> None:
    assert market.refusal.code == 2
    assert "of the week is without bars" in market.refusal.error
    assert "calendar=XNYS" in market.refusal.error
    assert market.runs_before == 0


def test_nearly_all_bars_are_judged(market: Market) -> None:
    assert market.outcome.code == 0, market.outcome.out + market.outcome.err
    version = market.library.version_of(f"{KEY.name}/1")
    run = market.library.client.get_run(version.run_id)
    assert run.data.tags["calendar"] == "XNYS"
    file = market.library.client.download_artifacts(version.run_id, "out_of_sample.parquet")
    table = pd.read_parquet(file)
    judged = np.isfinite(table["prediction"]) & np.isfinite(table["target"])
    assert judged[int(np.argmax(judged)) :].mean() >= 0.97


@pytest.mark.usefixtures("_there")
def test_an_analysis_on_another_calendar_is_refused_in_words() -> None:
    other = run_job("analyze", "--bars", "bars", "--calendar", "bars", "--jobs", "1")
    assert other.code == 2
    words = " ".join(other.out.replace("│", " ").split())
    assert "was trained on bars of calendar XNYS" in words
