"""Two nights that start at one moment on a fresh store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from brain.naming import REGIMES, Tag
from registry.library import BrainLibrary
from tests.engine.simulate import simulate
from tests.jobs import BRIEF

ROOT = Path(__file__).parents[1]


def test_of_two_nights_at_once_one_does_all_and_the_other_says_who_is_at_work(
    tmp_path: Path,
) -> None:
    bars = tmp_path / "bars"
    bars.mkdir()
    series = simulate(900, strength=0.3, seed=1, symbol="AAA/USD", timeframe="1d").bars
    series.frame.reset_index().to_parquet(bars / "AAA-USD_1d.parquet", index=False)
    dsn = f"sqlite:///{tmp_path / 'mlflow.db'}"
    environment = {
        **os.environ,
        **BRIEF,
        "PYTHONPATH": str(ROOT),
        "MLFLOW_TRACKING_URI": dsn,
    }
    options = {"bars": str(bars), "families": "lightgbm", "trials": "1", "folds": "2", "jobs": "1"}
    command = ["-m", "mlproject", "nightly", *(f"--{k}={v}" for k, v in options.items())]
    nights = [
        subprocess.Popen(
            [sys.executable, *command], cwd=tmp_path, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    outputs = [night.communicate(timeout=300) for night in nights]
    codes = [night.returncode for night in nights]

    assert sorted(codes) == [0, 3], outputs
    (error,) = [err for (_, err), code in zip(outputs, codes, strict=True) if code == 3]
    library = BrainLibrary(dsn)
    runs = library.client.search_runs([library.experiment("nightly")])
    (run,) = [run for run in runs if run.data.tags.get(Tag.ROLE) == "night"]
    assert "another night is at work" in error
    assert run.info.run_id in error
    assert "Traceback" not in error
    assert run.data.tags[Tag.NIGHT] == "1"
    (model,) = library.client.search_registered_models()
    assert set(model.aliases) == {f"champion-{regime}" for regime in REGIMES}
    assert {int(number) for number in model.aliases.values()} == {1}
