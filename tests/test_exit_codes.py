"""What a job's exit code tells of how much of it failed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from brain.series.sample import __file__ as sample
from tests.jobs import run_job


@pytest.mark.parametrize(
    ("sound", "broken", "code"), [(2, 0, 0), (2, 1, 1), (1, 1, 1), (1, 2, 4), (0, 2, 2)]
)
def test_most_symbols_are_told_from_some(
    sound: int,
    broken: int,
    code: int,
    sqlite_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "bars"
    folder.mkdir()
    for number in range(sound):
        shutil.copy(
            Path(sample).parent / "ETH-USD_1d.parquet", folder / f"S{number}-USD_1d.parquet"
        )
    for number in range(broken):
        (folder / f"B{number}-USD_1d.csv").write_text("time,open,high,low,close\nmonday,1,2,3,4\n")
    for name, value in {
        "MLFLOW_TRACKING_URI": sqlite_dsn,
        "BRAIN_BARS": str(folder),
        "BRAIN_FAMILIES": "lightgbm",
        "BRAIN_TRIALS": "1",
        "BRAIN_FOLDS": "1",
        "BRAIN_JOBS": "1",
        "BRAIN_SEEDS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    outcome = run_job("train")
    assert outcome.code == code, outcome.out + outcome.err
