"""What is wrong with a folder's bars is on the night's page, in its summary and in the notes."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from brain.naming import Tag
from brain.series.bars import COLUMNS
from tests.engine.simulate import simulate
from tests.html_page import HtmlPage
from tests.jobs import Outcome, run_job, shorten

SPLIT = "price that steps by a factor near 1/4 and stays there, as at a split"
LINE = f"{SPLIT}: 1 row, at 2021-05-15 00:00 UTC (adjust prices for splits at the source)"
QUICK = ("--trials", "1", "--folds", "2", "--jobs", "1", "--families", "lightgbm")
MARK = "\nTo mistrust:"


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """A folder of daily bars of two symbols, of which one has a split of 4:1."""
    folder = tmp_path / "bars"
    folder.mkdir()
    for seed, name in enumerate(("AAA", "BBB")):
        frame = simulate(900, strength=0.3, seed=seed, timeframe="1d").bars.frame.copy()
        if name == "AAA":
            frame.iloc[500:, :4] /= 4
        assert list(frame) == list(COLUMNS)
        frame.reset_index().to_parquet(folder / f"{name}-USD_1d.parquet", index=False)
    return folder


def runs(client: MlflowClient, role: str) -> dict[str, Run]:
    """The runs of a role by symbol."""
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(experiments, f'tags.role = "{role}"')
    return {run.data.tags.get(Tag.SYMBOL, ""): run for run in found}


def read(client: MlflowClient, run: Run, path: str) -> str:
    return Path(client.download_artifacts(run.info.run_id, path)).read_text()


def check_report(client: MlflowClient, run: Run, outcome: Outcome, log: list[str]) -> None:
    """The page, its data and the console have the split of the one symbol alone."""
    files = {file.path for file in client.list_artifacts(run.info.run_id, "market")}
    assert files == {f"market/quality.{ending}" for ending in ("html", "json", "parquet")}
    page = HtmlPage(read(client, run, "market/quality.html"))
    page.check_self_contained()
    assert LINE in page.texts
    severities = {
        r["symbol"]: r["severity"] for r in json.loads(read(client, run, "market/quality.json"))
    }
    assert severities == {"AAA/USD": "poor", "BBB/USD": "good"}
    assert "Quality of market series" in outcome.out
    assert SPLIT in " ".join(outcome.out.split())
    assert [line for line in log if "USD bars" in line] == [f"AAA/USD bars 1d: {LINE}"]


def test_a_night_tells_a_split(
    sqlite_dsn: str, bars: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_dsn)
    shorten(monkeypatch)
    before = {path: path.read_bytes() for path in bars.iterdir()}
    night = run_job("nightly", "--bars", str(bars), *QUICK)
    assert night.code == 0
    client = MlflowClient(sqlite_dsn)
    parent = runs(client, "night")[""]
    check_report(client, parent, night, caplog.messages)

    summary = {e["symbol"]: e for e in json.loads(read(client, parent, "summary.json"))["quality"]}
    (finding,) = summary["AAA/USD"]["findings"]
    assert (finding["reason"], finding["rows"]) == (SPLIT, 1)
    assert pd.Timestamp(finding["first"]) == pd.Timestamp("2021-05-15", tz="UTC")
    assert (summary["BBB/USD"]["severity"], summary["BBB/USD"]["findings"]) == ("good", [])

    notes = {
        symbol: run.data.tags["mlflow.note.content"]
        for symbol, run in runs(client, "symbol").items()
    }
    assert notes["AAA/USD"].endswith(f"{MARK}\n- {LINE}")
    assert notes["BBB/USD"].endswith(f"{MARK} nothing")

    texts = HtmlPage(read(client, parent, "night.html")).texts
    assert texts.index("AAA/USD") < texts.index(f"Bars to look at: {LINE}.")
    assert sum("Bars to look at" in text for text in texts) == 1
    note = parent.data.tags["mlflow.note.content"]
    assert f"/runs/{parent.info.run_id}/artifacts/market/quality.html)" in note
    assert {path: path.read_bytes() for path in bars.iterdir()} == before

    caplog.clear()
    analysis = run_job("analyze", "--bars", str(bars), "--jobs", "1")
    assert analysis.code == 0
    run = runs(client, "analysis")[""]
    check_report(client, run, analysis, caplog.messages)
    assert len(json.loads(read(client, run, "summary.json"))["quality"]) == 2


@pytest.mark.parametrize("job", ["train", "tune"])
def test_every_job_that_reads_bars_tells_a_split(
    job: str,
    sqlite_dsn: str,
    bars: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_dsn)
    shorten(monkeypatch)
    outcome = run_job(job, "--bars", str(bars), *QUICK)
    assert outcome.code == 0
    client = MlflowClient(sqlite_dsn)
    role = {"train": "training", "tune": "search"}[job]
    parents = [
        run for run in runs(client, role).values() if "mlflow.parentRunId" not in run.data.tags
    ]
    check_report(client, parents[0], outcome, caplog.messages)
