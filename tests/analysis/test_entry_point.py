"""``analyze`` by itself: its exit code, its table, its summary."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

import mlproject
from brain.naming import Family, Regime
from brain.records import Version
from registry.library import BrainLibrary
from tests.analysis.models import SYMBOL, crown, register
from tests.engine.simulate import simulate


@pytest.fixture
def version(sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Version]:
    """A champion, its bars in a folder, and an environment for the command."""
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    library = BrainLibrary(sqlite_dsn)
    with library.start("nightly", "a night", tags={}, note="") as night:
        champion = register(library, night, Family.LIGHTGBM)
    crown(library, champion, Regime.LOW)
    write_bars(tmp_path, SYMBOL)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_dsn)
    for name, value in {"explain_rows": 300, "recent_bars": 100, "jobs": 1}.items():
        monkeypatch.setenv(f"BRAIN_{name.upper()}", str(value))
    # The command sets these for its process.
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    monkeypatch.setattr("analysis.drift_report._report", lambda *_: None)
    monkeypatch.setattr("analysis.figures.write_figures", lambda *_: None)
    handler = signal.getsignal(signal.SIGTERM)
    yield champion
    signal.signal(signal.SIGTERM, handler)


def write_bars(tmp_path: Path, symbol: str) -> None:
    (tmp_path / "bars").mkdir(exist_ok=True)
    frame = simulate(1500, strength=0.0, seed=1, symbol=symbol).bars.frame.reset_index()
    frame.to_parquet(tmp_path / "bars" / f"{symbol.replace('/', '-')}_1h.parquet")


def summary(dsn: str) -> tuple[str, dict[str, Any]]:
    """The status of the last analysis' run, and its summary."""
    client = BrainLibrary(dsn).client
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments, "attributes.run_name LIKE 'analysis %'")
    (run,) = [run for run in runs if "symbol" not in run.data.tags]
    return run.info.status, mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/summary.json")


def test_a_sound_analysis_exits_with_0_and_says_what_matters(
    version: Version, sqlite_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mlproject.main(["analyze", "--bars", "bars"]) == 0
    output = capsys.readouterr().out
    assert version.id in output
    status, document = summary(sqlite_dsn)
    assert status == "FINISHED"
    assert document["failures"] == {}
    assert [analysis["model_id"] for analysis in document["analyses"]] == [version.id]
    assert document["analyses"][0]["additivity_holds"] is True
    assert document["analyses"][0]["additivity_error"] < 1e-6
    assert [drift["symbol"] for drift in document["drift"]] == [SYMBOL]


def test_a_fault_is_named_in_table_and_summary_and_exits_with_1(
    version: Version, sqlite_dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = BrainLibrary(sqlite_dsn)
    with library.start("nightly", "another night", tags={}, note="") as night:
        missing = register(library, night, Family.LIGHTGBM)
        homeless = register(library, night, Family.LIGHTGBM, symbol="ETH/USD")
    crown(library, missing, Regime.HIGH)
    crown(library, homeless, Regime.LOW)
    (folder,) = tmp_path.rglob(f"{missing.logged_model_id}/artifacts")
    shutil.rmtree(folder)
    write_bars(tmp_path, "NEW/USD")  # has no champion, and needs none
    assert mlproject.main(["analyze", "--bars", "bars"]) == 1
    output = capsys.readouterr().out
    status, document = summary(sqlite_dsn)
    assert status == "FAILED"
    assert set(document["failures"]) == {f"{missing.id} fetch", "ETH/USD bars"}
    assert all(what.split()[0] in output for what in document["failures"])
    assert [analysis["model_id"] for analysis in document["analyses"]] == [version.id]


def test_without_champions_it_says_what_to_run(
    sqlite_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_dsn)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    write_bars(tmp_path, SYMBOL)
    assert mlproject.main(["analyze", "--bars", "bars"]) == 2
    assert "error: no symbol has a champion to analyse; run the nightly job" in (
        capsys.readouterr().err
    )
