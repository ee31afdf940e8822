"""What the executor imports works without the platform's libraries, and loads none of them."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "mlflow",
    "pandas",
    "torch",
    "pyarrow",
    "deltalake",
    "pydantic",
    "pydantic_settings",
    "psutil",
    "rich",
)


def modules(package: str) -> list[str]:
    folder = ROOT.joinpath(*package.split("."))
    names = [module.name for module in pkgutil.walk_packages([str(folder)], f"{package}.")]
    return [package, *names]


LIGHT = (
    "brain",
    "brain.artifacts",
    "brain.cells",
    "brain.confidence",
    "brain.errors",
    "brain.manifest",
    "brain.naming",
    "brain.recipes",
    "brain.records",
    "brain.redact",
    "brain.sizing",
    "brain.text",
    "brain.work",
    *modules("engine.kernels"),
    *modules("serving"),
)

BLOCK = """
import importlib.abc
import sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy!r}:
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Blocker())
"""

IMPORT = """
import importlib
import json
import sys

for name in {light!r}:
    importlib.import_module(name)
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_kernels_are_among_the_light_modules() -> None:
    assert {"engine.kernels.features", "engine.kernels.regimes", "serving"} <= set(LIGHT)


def test_light_modules_import_without_the_heavy_libraries() -> None:
    result = run(BLOCK.format(heavy=HEAVY) + IMPORT.format(light=LIGHT))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_library_is_blocked(name: str) -> None:
    result = run(BLOCK.format(heavy=HEAVY) + f"import {name}")
    assert result.returncode == 1
    assert f"{name} is blocked" in result.stderr


def test_light_modules_load_no_heavy_library() -> None:
    result = run(IMPORT.format(light=LIGHT))
    assert result.returncode == 0, result.stderr
    assert set(HEAVY) & set(json.loads(result.stdout)) == set()
