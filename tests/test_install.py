"""The installed project: a wheel in an environment of its own, outside the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from mlflow import MlflowClient

ROOT = Path(__file__).parents[1]
BUILD = "from setuptools import build_meta as build; print(build.build_wheel({folder!r}))"
BLOCKED = """
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Nothing())
import mlproject
sys.exit(mlproject.main({arguments!r}))
"""
IMPORTS = (
    "import brain, registry, market, engine, analysis, serving, brain.records, engine.kernels;"
    "import engine.kernels.features, engine.kernels.regimes, brain.manifest"
)


@pytest.mark.parametrize("missing", ["click", "mlflow", "rich"])
def test_a_command_without_its_libraries_names_the_extra(missing: str, tmp_path: Path) -> None:
    code = BLOCKED.format(names=(missing,), arguments=["nightly"])
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert answer.returncode != 0
    assert answer.stderr.startswith("error: ")
    assert answer.stderr.count("\n") == 1
    assert missing in answer.stderr
    assert "pip install 'brain-library[platform]'" in answer.stderr
    assert not list(tmp_path.iterdir())


# --- the wheel ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the files that the repository holds."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, files):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    code = BUILD.format(folder=str(folder))
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def install(folder: Path, requirement: str) -> Path:
    """The programs of a fresh environment with the requirement in it, at the lock's versions."""
    venv.create(folder, with_pip=True)
    subprocess.run(
        [folder / "bin/python", "-m", "pip", "install", "-q", "-c", ROOT / "requirements.txt",
         requirement],
        check=True,
    )  # fmt: skip
    return folder / "bin"


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_platform_runs_from_its_wheel_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    programs = install(tmp_path / "environment", f"{wheel}[platform]")
    work = tmp_path / "work"
    work.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"BRAIN_TRIALS": "1"}

    def brain(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [programs / "brain", *arguments],
            cwd=work, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    night = brain("nightly", "--symbols", "ETH/USD,LTC/USD")
    assert night.returncode == 0, night.stderr
    assert "Champions" in night.stdout
    doctor = brain("doctor")
    assert doctor.returncode == 0, doctor.stdout
    client = MlflowClient(f"sqlite:///{work / 'mlflow.db'}")
    models = {model.name: model for model in client.search_registered_models()}
    assert set(models) == {"ETH-USD.1d.6", "LTC-USD.1d.6"}
    for model in models.values():
        assert {f"champion-{r}" for r in ("low", "normal", "high", "extreme")} <= set(model.aliases)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_base_is_the_executors(wheel: Path, tmp_path: Path) -> None:
    programs = install(tmp_path / "environment", str(wheel))
    listing = subprocess.run(
        [programs / "python", "-m", "pip", "list", "--format", "json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = {entry["name"].lower() for entry in json.loads(listing.stdout)}
    assert not names & {"mlflow", "pandas", "torch", "click", "rich", "pyarrow"}
    subprocess.run([programs / "python", "-c", IMPORTS], cwd=tmp_path, check=True)
    command = subprocess.run(
        [programs / "brain", "nightly"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert command.returncode != 0
    assert "pip install 'brain-library[platform]'" in command.stderr
