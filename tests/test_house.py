"""The house itself: its arrows, faces, lock, entry points and what is installed of it."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mlproject

ROOT = Path(__file__).parents[1]
ROOMS = ("brain", "registry", "market", "engine", "analysis", "serving", "jobs")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENTRY_POINTS = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]


# Packages that have no face: what is in them is imported by its module.
FACELESS = {
    "brain.series.sample",
    "analysis.replay",
    "engine.data",
    "engine.evaluation",
    "engine.night",
    "market.http",
    "market.sentiment.publishers",
    "serving.remote",
}


def modules() -> Iterator[str]:
    for room in ROOMS:
        yield room
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            yield module.name


MODULES = [*modules(), "mlproject"]


# --- arrows between the rooms -------------------------------------------------------------------


# Lints a folder as often as files are planted in it, and takes each out again: linting takes less
# time than the start of the linter.
LINT = """
import contextlib, io, json, pathlib, sys
from importlinter.cli import lint_imports
for files in json.load(sys.stdin):
    before = {}
    for name, text in files.items():
        path = pathlib.Path(name)
        before[path] = path.read_text() if path.exists() else None
        path.write_text((before[path] or "") + text)
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            code = lint_imports(no_cache=True)
    finally:
        for path, text in before.items():
            path.unlink() if text is None else path.write_text(text)
    print(json.dumps([code, output.getvalue()]))
"""


@dataclass(frozen=True)
class Lint:
    """The linter's exit code and output."""

    code: int
    out: str


def lint_imports(folder: Path, *plants: Mapping[str, str]) -> list[Lint]:
    """The linter's answers about a folder, with each of the plants' files in turn."""
    done = subprocess.run(
        [sys.executable, "-c", LINT],
        cwd=folder, input=json.dumps(plants), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [Lint(*json.loads(line)) for line in done.stdout.splitlines()]


def test_rooms_import_only_what_they_may() -> None:
    (result,) = lint_imports(ROOT, {})
    assert result.code == 0, result.out


TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "


Plant = tuple[str, str]
FORBIDDEN: list[Plant] = [
    ("brain.planted", "import registry.library"),
    ("brain.planted", f"{TYPES}from registry.library import BrainLibrary"),
    ("brain.series.planted", "import mlflow"),
    ("brain.records", "import numpy"),
    ("brain.work", "def late():\n    from brain.settings import Settings"),
    ("registry.planted", "import engine.kernels.features"),
    ("registry.planted", "from market.collection import DataCollector"),
    ("market.planted", "from registry.runs import Metric"),
    ("market.planted", f"{TYPES}from registry.library import BrainLibrary"),
    ("market.planted", "from engine.kernels import regimes"),
    ("engine.planted", "import serving"),
    ("engine.planted", "import mlproject"),
    ("engine.night.planted", "import mlflow"),
    ("engine.planted", "from market import DataCollector"),
    ("engine.kernels.windows", "def late():\n    import pandas"),
    ("analysis.planted", "from market.collection import DataCollector"),
    ("analysis.planted", "import mlflow"),
    (
        "analysis.results",
        "def late():\n    from analysis.nightly import NightlyFeatureAnalysis",
    ),
    ("analysis.explainers.base", "from analysis.explainers import trees"),
    ("serving.planted", "from engine.night.symbols import train_symbols"),
    ("serving.planted", "from engine.data import frames"),
    ("serving.planted", "from brain.settings import load_settings"),
    ("serving.planted", "from brain import Settings"),
    ("serving.planted", "from brain.series.bars import Bars"),
    ("serving.planted", "import registry.library"),
    ("serving.planted", "import tests.servers"),
]
ALLOWED: Plant = (
    "serving.planted",
    "import engine.kernels.features\nfrom engine.kernels import regimes\n"
    "from engine.kernels.regimes import Codes\nfrom brain.records import Champion",
)


@pytest.fixture(scope="module")
def linted(tmp_path_factory: pytest.TempPathFactory) -> dict[Plant, Lint]:
    """What the linter says of a copy of the rooms with each import planted in turn."""
    folder = tmp_path_factory.mktemp("rooms")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    plants = [*FORBIDDEN, ALLOWED]
    files = [{f"{module.replace('.', '/')}.py": f"\n{statement}\n"} for module, statement in plants]
    return dict(zip(plants, lint_imports(folder, *files), strict=True))


@pytest.mark.parametrize(("module", "statement"), FORBIDDEN)
def test_a_forbidden_import_is_found(
    module: str, statement: str, linted: dict[Plant, Lint]
) -> None:
    result = linted[module, statement]
    assert result.code == 1, result.out
    # A circle is told by the last part of a module's name.
    assert module.removesuffix(".planted").rpartition(".")[2] in result.out


def test_serving_may_use_the_kernels_and_the_records(linted: dict[Plant, Lint]) -> None:
    assert linted[ALLOWED].code == 0, linted[ALLOWED].out


def test_nobody_outside_the_registry_touches_mlflows_client() -> None:
    """The import contract can't see an attribute: the library's client is the registry's own."""
    for room in (*ROOMS, "examples", "benchmarks"):
        if room == "registry":
            continue
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not (isinstance(node, ast.Attribute) and node.attr == "client"):
                    continue
                owner = ast.unparse(node.value)
                assert not owner.endswith("library"), f"{path}:{node.lineno} takes {owner}.client"


# --- cross-references ---------------------------------------------------------------------------

REFERENCE = re.compile(r":(?:mod|func|class|meth|data|attr|exc):`[~!]?([^`<>]+)`")


def docstrings(path: Path) -> Iterator[str]:
    """Docstrings and comments that document a name."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
    yield from (line for line in source.splitlines() if line.lstrip().startswith("#"))


def member(owner: object, name: str) -> object:
    """An attribute, or a field of a class that has no value yet; raises AttributeError."""
    if isinstance(owner, type):
        for base in owner.__mro__:
            if name in getattr(base, "__annotations__", {}):
                return name
    return getattr(owner, name)


def resolves(target: str, module: str) -> bool:
    """Whether a target leads to something: from the top, or from a module or one of its classes."""
    here = importlib.import_module(module)
    classes = [value for value in vars(here).values() if isinstance(value, type)]
    first, *rest = target.split(".")
    starts: list[tuple[object, list[str]]] = [(owner, [first, *rest]) for owner in (here, *classes)]
    parts = target.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        try:
            starts.append((importlib.import_module(name), parts[length:]))
        except ImportError:
            continue
        break
    for owner, names in starts:
        try:
            reduce(member, names, owner)
        except AttributeError:
            continue
        return True
    return False


@pytest.mark.parametrize("room", [*ROOMS, "mlproject"])
def test_cross_references_lead_somewhere(room: str) -> None:
    dead = [
        f"{module}: {target}"
        for module in MODULES
        if module.partition(".")[0] == room
        for text in docstrings(source_of(module))
        for target in REFERENCE.findall(text)
        if not resolves(target, module)
    ]
    assert not dead, "\n".join(dead)


def source_of(module: str) -> Path:
    return Path(str(importlib.import_module(module).__file__))


# --- faces --------------------------------------------------------------------------------------

LOADED = """
import json, sys, time
before, started = set(sys.modules), time.perf_counter()
import {package}
seconds = time.perf_counter() - started
print(json.dumps([seconds, sorted(m.partition(".")[0] for m in set(sys.modules) - before)]))
"""


PACKAGES = [name for name in MODULES if (ROOT / name.replace(".", "/") / "__init__.py").is_file()]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_face_loads_nothing_but_the_standard_library(package: str) -> None:
    code = LOADED.format(package=package)
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    seconds, loaded = json.loads(answer.stdout)
    assert {name for name in loaded if name not in sys.stdlib_module_names} <= set(ROOMS)
    assert seconds < 0.5  # some 15 ms; a heavy import takes seconds


@pytest.mark.parametrize("package", [name for name in PACKAGES if name not in FACELESS])
def test_a_face_tells_type_checkers_the_names_that_it_loads(package: str) -> None:
    face = importlib.import_module(package)
    tree = ast.parse(source_of(package).read_text())
    names = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    for name, module in names.items():
        assert name in face.__all__
        assert getattr(face, name) is getattr(importlib.import_module(str(module)), name)
        assert name in dir(face)
        assert f"{package}.{name}" not in MODULES, "a module of that name would hide it"
    if package in ROOMS:
        assert sorted(names) == sorted(face.__all__)


def test_an_unknown_name_of_a_face_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'registry' has no attribute 'Nobody'"):
        _ = importlib.import_module("registry").Nobody


@pytest.mark.parametrize("name", MODULES)
def test_all_names_what_exists_and_nothing_twice(name: str) -> None:
    module = importlib.import_module(name)
    if not hasattr(module, "__all__"):
        assert name in FACELESS, f"{name} has no __all__"
        return
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        getattr(module, public)


# --- the lock -----------------------------------------------------------------------------------


def locked(file: str) -> list[Requirement]:
    lines = (ROOT / file).read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.lstrip().startswith("#")]


def requirements(extras: set[str]) -> list[Requirement]:
    """What pyproject asks for with these extras, those that extras name included."""
    groups = PROJECT["project"]["optional-dependencies"]
    entries = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    for extra in extras:
        for requirement in map(Requirement, groups[extra]):
            if requirement.name == PROJECT["project"]["name"]:
                entries += requirements(requirement.extras)
            else:
                entries.append(requirement)
    return entries


LOCKS = [
    ("requirements.txt", "platform"),
    ("requirements-dev.txt", "dev"),
    ("requirements-freqtrade.txt", "freqtrade"),
    ("requirements-nautilus.txt", "nautilus"),
]


@pytest.mark.parametrize(("file", "extra"), LOCKS)
def test_the_lock_satisfies_every_range(file: str, extra: str) -> None:
    pins = {canonicalize_name(pin.name): pin for pin in locked(file)}
    for requirement in requirements({extra}):
        pin = pins[canonicalize_name(requirement.name)]
        (exact,) = pin.specifier
        assert requirement.specifier.contains(exact.version), f"{pin} is outside of {requirement}"


@pytest.mark.parametrize(("file", "extra"), LOCKS)
def test_the_lock_pins_released_versions_that_any_index_has(file: str, extra: str) -> None:
    for pin in locked(file):
        (exact,) = pin.specifier
        assert exact.operator == "==", pin
        assert pin.url is None, pin
        assert "+" not in exact.version, f"{pin} is a local version"
    assert not re.search(r"^-|://", (ROOT / file).read_text(), re.MULTILINE)


def test_the_tests_run_with_what_the_nights_run_with() -> None:
    tested = {pin.name: pin.specifier for pin in locked("requirements-dev.txt")}
    for pin in locked("requirements.txt"):
        assert tested[pin.name] == pin.specifier


def test_extras_only_add() -> None:
    base = {r.name for r in requirements(set())}
    assert base == {"numpy", "lightgbm", "xgboost", "onnxruntime"}
    platform = {r.name for r in requirements({"platform"})}
    assert base < {r.name for r in requirements({"serve"})} < platform
    assert (
        base
        < {r.name for r in requirements({"market"})}
        < platform
        < {r.name for r in requirements({"dev"})}
    )


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.split("\0") if (ROOT / name).is_file()]


def test_no_file_names_a_package_registry() -> None:
    hosts = [
        b"pypi" + b".org",
        b"files.python" + b"hosted",
        b"download.py" + b"torch",
        b"/opt" + b"/",
    ]
    hosts += [b"--index" + b"-url", b"conda.ana" + b"conda", b"repo.ana" + b"conda"]
    for path in tracked_files():
        text = path.read_bytes()
        assert not [host for host in hosts if host in text], path


# --- entry points -------------------------------------------------------------------------------


def test_the_entry_points_are_the_commands() -> None:
    assert set(ENTRY_POINTS) == {
        "main",
        "nightly",
        "collect",
        "import",
        "export",
        "stream",
        "train",
        "tune",
        "analyze",
        "release",
        "forget",
        "replay",
        "serve",
        "journal",
    }
    assert ENTRY_POINTS["main"] == ENTRY_POINTS["nightly"]
    assert set(mlproject.cli.commands) == {
        "prepare",
        "doctor",
        "nightly",
        "collect",
        "import",
        "export",
        "stream",
        "reread",
        "train",
        "tune",
        "analyze",
        "release",
        "forget",
        "replay",
        "serve",
        "journal",
    }


@pytest.mark.parametrize(
    "name", ["nightly", "collect", "stream", "train", "tune", "analyze", "replay", "serve"]
)
def test_an_entry_point_hands_every_parameter_to_its_command(name: str) -> None:
    entry = ENTRY_POINTS[name]
    options = {option.name: option for option in mlproject.cli.commands[name].params}
    assert set(entry["parameters"]) == set(options)
    command = entry["command"].split()
    assert command[:6] == ["exec", "python", "-m", "mlproject", "--launcher", "$PPID"]
    assert command[6] == name
    given = [word for key in entry["parameters"] for word in (f"--{key}", f"{{{key}}}")]
    assert command[7:] == given
    for key, parameter in entry["parameters"].items():
        if parameter == "string":  # it must be given
            assert not isinstance(options[key].default, str)
            continue
        assert parameter["type"] in {"string", "int", "float"}
        assert parameter["default"] == options[key].default


def test_the_entry_point_that_releases_a_pin_hands_over_symbol_and_regime() -> None:
    command = ENTRY_POINTS["release"]["command"].split()
    assert command[6:] == [
        *("release", "{symbol}", "{regime}"),
        *("--timeframe", "{timeframe}", "--horizon", "{horizon}"),
    ]
    options = {option.name for option in mlproject.cli.commands["release"].params}
    assert set(ENTRY_POINTS["release"]["parameters"]) == options


def test_the_entry_point_that_imports_hands_over_path_exchange_and_renewal() -> None:
    command = ENTRY_POINTS["import"]["command"].split()
    assert command[6:] == [
        *("import", "{path}", "--exchange", "{exchange}", "--renew", "{renew}"),
    ]
    options = {option.name for option in mlproject.cli.commands["import"].params}
    assert set(ENTRY_POINTS["import"]["parameters"]) == options


def test_the_entry_point_that_exports_hands_over_folder_format_and_limits() -> None:
    command = ENTRY_POINTS["export"]["command"].split()
    assert command[6:] == [
        *("export", "{folder}", "--format", "{format}", "--exchanges", "{exchanges}"),
        *("--symbols", "{symbols}", "--timeframe", "{timeframe}"),
    ]
    options = {option.opts[0].lstrip("-") for option in mlproject.cli.commands["export"].params}
    assert set(ENTRY_POINTS["export"]["parameters"]) == options


def test_the_entry_point_that_replays_a_journal_hands_over_the_journal_and_the_bars() -> None:
    command = ENTRY_POINTS["journal"]["command"].split()
    assert command[6:] == [
        *("journal", "replay", "{journal}", "--bars", "{bars}", "--calendar", "{calendar}"),
    ]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["nightly", "--trails", "3"], "--trials"),
        (["nigthly"], "nightly"),
        (["nightly", "--symbols"], "requires an argument"),
        (["nightly", "unexpected"], "unexpected"),
    ],
)
def test_a_bad_command_is_told_in_one_line(
    arguments: list[str], hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert mlproject.main(arguments) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    assert hint in error


def test_prepare_hands_a_shell_the_store_and_the_experiment_of_the_settings_file(
    sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brain.toml").write_text(
        f'tracking_uri = "{sqlite_dsn}"\nexperiment = "by $night\'s end"\n'
    )
    script = (
        f'settings="$({sys.executable} -m mlproject prepare)" && eval "$settings" '
        '&& printf "%s\\n" "$MLFLOW_TRACKING_URI" "$BRAIN_EXPERIMENT"'
    )
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    answer = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == [sqlite_dsn, "by $night's end"]


# --- what is installed --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in the wheel of the files that the repository holds."""
    folder = tmp_path_factory.mktemp("wheel")
    for path in tracked_files():
        copy = folder / "source" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    build = f"from setuptools import build_meta as b; b.build_wheel({str(folder)!r})"
    subprocess.run(
        [sys.executable, "-c", build], cwd=folder / "source", check=True, capture_output=True
    )
    (built,) = folder.glob("*.whl")
    return ZipFile(built).namelist()


def test_the_wheel_holds_every_room_and_the_sample(wheel: list[str]) -> None:
    for name in MODULES:
        path = name.replace(".", "/")
        assert f"{path}.py" in wheel or f"{path}/__init__.py" in wheel, name
    assert (
        len([name for name in wheel if re.fullmatch(r"brain/series/sample/.*\.parquet", name)]) == 3
    )
    assert "brain/series/sample/SOURCE.md" in wheel


def test_the_wheel_holds_nothing_else(wheel: list[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel if ".dist-info/" not in name}
    assert tops == {*ROOMS, "mlproject.py"}
