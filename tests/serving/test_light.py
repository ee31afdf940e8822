"""What the executor imports: the base install, and nothing that it does not need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from serving import Hamilton, Limits
from tests.serving.conftest import TRAINED
from tests.serving.desk import Models, bars_of, give, sample

ROOT = Path(__file__).parents[2]

ALONE = """
import json, sys
from pathlib import Path
HEAVY = ("pandas", "mlflow", "torch", "sklearn", "scipy", "pyarrow",
         "pydantic", "psutil", "rich", "joblib", "click", "exchange_calendars",
         "uvicorn", "httptools", "msgspec", "prometheus_client")
for name in HEAVY:
    sys.modules[name] = None
from brain.model_keys import ModelKey
from brain.naming import Family, Regime
from brain.records import CellRecord, Champion
from serving import Hamilton, Limits
given = json.load(sys.stdin)
class Source:
    def champions(self, symbol=None, *, timeframe=None, horizon=None):
        key = ModelKey.of_name(given["key"])
        return [
            Champion(key.name, key, Regime(regime), version, CellRecord(
                version, digest, Family(family), "", "", False, "", None, None, "",
                confidence=confidence))
            for regime, version, digest, family, confidence in given["cells"]
        ]
    def files(self, model_id):
        folder = Path(given["folders"][model_id])
        return {p.relative_to(folder).as_posix(): p.read_bytes()
                for p in folder.rglob("*") if p.is_file()}
hamilton = Hamilton(Source(), ["ETH/USD"], limits=Limits.off(), journal=given["journal"])
for time, *bar in given["bars"]:
    print(repr(hamilton.bar("ETH/USD", *bar, time)))
# Their libraries are loaded without the packages, which import pandas where it is installed.
assert not {"lightgbm", "xgboost"} & set(sys.modules)
"""


def test_hamilton_needs_numpy_and_the_native_libraries_alone(
    models: Models, tmp_path: Path
) -> None:
    ((key, cells),) = models.cells.items()
    bars = [bar for bar in bars_of(sample(), TRAINED) if bar.close == bar.close][:60]
    given = {
        "key": key.name,
        "cells": [
            [regime, c.version, c.record.digest, c.record.family, c.record.confidence]
            for regime, c in cells.items()
        ],
        "folders": {version: str(folder) for version, folder in models.folders.items()},
        "journal": str(tmp_path),
        "bars": bars,
    }
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        input=json.dumps(given), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = give(Hamilton(models, ["ETH/USD"], limits=Limits.off()), "ETH/USD", bars)
    assert done.stdout.splitlines() == list(map(repr, expected))
