"""Shared by all tests: a clean environment, repeatable properties, real stores."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from brain import redact
from tests.s3_servers import Bucket, RcloneS3Server, S3Server
from tests.servers import MlflowServer, PostgresServer, sqlite_template

# Before any library reads them: the tests use no store and no settings of the developer.
_PREFIXES = ("BRAIN_", "MLFLOW_", "_MLFLOW_", "AWS_")
_EXCEPTIONS = {"BRAIN_RECORDED_DATA"}
for _name in [n for n in os.environ if n.startswith(_PREFIXES) and n not in _EXCEPTIONS]:
    del os.environ[_name]
os.environ |= {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    # More than one thread per library and test process makes all of them crawl.
    "OMP_NUM_THREADS": "1",
}

# Collecting garbage among millions of objects of libraries takes up to a third of the tests' time:
# it is done seldom while they are imported, and then without them.
gc.set_threshold(50_000, 20, 20)

_STORES = ("sqlite", "postgres", "http")


def pytest_collection_finish() -> None:
    """What the test files have imported stays to the end: no collection need look at it."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """At its end pytest looks for garbage five times, which once is enough for."""
    gc.collect()
    gc.freeze()


def pytest_configure() -> None:
    """Properties must not fail on a busy machine, nor differ from run to run."""
    from hypothesis import settings

    house = settings(deadline=None, derandomize=True, print_blob=True)
    settings.register_profile("house", house, max_examples=40)
    settings.register_profile("soak", house, max_examples=400)
    settings.register_profile("hunt", deadline=None, max_examples=1000)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a sampled parameter's values the suite runs one for each set of the others.

    Which one depends on the test's name and the others, so every value has its share.
    """
    tests: dict[tuple[str, str], list[tuple[int, pytest.Item]]] = {}
    values: dict[tuple[str, str], list[object]] = {}
    for item in items:
        for mark in item.iter_markers("sampled"):
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            name = item.nodeid.partition("[")[0]
            # By their places: a function's name in the list is another one in each process.
            places = {
                key: _place(values.setdefault((name, key), []), value)
                for key, value in parameters.items()
            }
            if mark.args[0] in places:
                sampled = places.pop(mark.args[0])
                test = name, str(sorted(places.items()))
                tests.setdefault(test, []).append((sampled, item))
    for test, cases in tests.items():
        numbers = sorted({sampled for sampled, _ in cases})
        chosen = numbers[crc32("".join(test).encode()) % len(numbers)]
        for sampled, item in cases:
            if sampled != chosen:
                item.add_marker(pytest.mark.soak)


def _place(values: list[object], value: object) -> int:
    """The place of a value among those that were met, to which it is added."""
    for place, other in enumerate(values):
        if other is value:
            return place
    values.append(value)
    return len(values) - 1


#: Tests of models and of whole nights: Lightning, Evidently and SHAP take long to import.
_OF_MODELS = tuple(f"tests/{path}" for path in (
    "analysis/", "engine/families/", "engine/night/", "serving/predictors/", "test_benchmarks.py",
    "test_benchmarks_serving.py", "test_engines.py", "test_examples.py", "test_killed.py",
    "test_market_night.py", "test_night.py", "test_quality_night.py", "test_replay.py",
))  # fmt: skip
#: Of these, what needs stores and servers that the other process has.
_OF_STORES = ("tests/analysis/test_rankings.py",)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of two test processes one takes the tests of models, and the other never imports for them.

    More processes share out the files as they like.
    """
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

    class TwoProcesses(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            of_models = nodeid.startswith(_OF_MODELS) and not nodeid.startswith(_OF_STORES)
            return "models" if of_models else super()._split_scope(nodeid)

    by_file = config.option.dist == "loadfile"
    return TwoProcesses(config, log) if by_file and len(config.option.tx) == 2 else None


@pytest.fixture(autouse=True)
def _secrets_of_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process masks the secrets of its addresses to its end; a test must not mask another's."""
    monkeypatch.setattr(redact, "_addresses", dict(redact._addresses))


@pytest.fixture(scope="session")
def _templates(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of migrated stores; pytest's cache keeps it for the next test run."""
    cache = getattr(request.config, "cache", None)
    return Path(cache.mkdir("stores")) if cache else tmp_path_factory.mktemp("stores")


@pytest.fixture(scope="session")
def _migrations() -> Iterator[None]:
    """MLflow reads its seventy migrations anew for every store that a process opens; once will do.

    What it compares with the store's own version stays the same.
    """
    from mlflow.store.db import utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            utils, "_get_latest_schema_revision", cache(utils._get_latest_schema_revision)
        )
        yield


@pytest.fixture
def sqlite_dsn(
    _migrations: None, _templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """An empty SQLite store of the test; artifacts go below the test's folder."""
    monkeypatch.chdir(tmp_path)  # MLflow puts a local store's artifacts below ./mlruns
    shutil.copy(sqlite_template(_templates), tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture(scope="session")
def _postgres_server(_migrations: None, _templates: Path) -> Iterator[PostgresServer]:
    with PostgresServer(_templates).run() as server:
        yield server


@pytest.fixture
def postgres(
    _postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """An empty PostgreSQL store of the test; artifacts go below the test's folder."""
    monkeypatch.chdir(tmp_path)
    uri = _postgres_server.fresh()
    yield uri
    _postgres_server.drop(uri)


@pytest.fixture(scope="session")
def _mlflow_server(
    _templates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("mlflow-server")
    with MlflowServer(folder, sqlite_template(_templates)).run() as server:
        yield server


@pytest.fixture
def mlflow_server(_mlflow_server: MlflowServer) -> MlflowServer:
    """A running MLflow server without the runs and models of other tests."""
    _mlflow_server.reset()
    return _mlflow_server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running S3-compatible server that honours conditional puts."""
    with S3Server(tmp_path_factory.mktemp("s3")).run() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server) -> Bucket:
    """An empty bucket of the test; clients connect by its ``environment``."""
    return s3_server.fresh()


@pytest.fixture(scope="session")
def s3_unsafe_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneS3Server]:
    """A running S3-compatible server that ignores the condition of a conditional put."""
    with RcloneS3Server(tmp_path_factory.mktemp("s3-unsafe")).run() as server:
        yield server


@pytest.fixture
def s3_unsafe(s3_unsafe_server: RcloneS3Server) -> Bucket:
    """An empty bucket of the test, where one writer may overwrite another's commit."""
    return s3_unsafe_server.fresh()


@pytest.fixture(params=_STORES)
def dsn(request: pytest.FixtureRequest) -> str:
    """An empty store of each kind in turn: SQLite, PostgreSQL, an MLflow server."""
    match request.param:
        case "sqlite":
            return str(request.getfixturevalue("sqlite_dsn"))
        case "postgres":
            return str(request.getfixturevalue("postgres"))
        case _:
            server: MlflowServer = request.getfixturevalue("mlflow_server")
            return server.uri


@pytest.fixture(scope="module", params=_STORES)
def shared_dsn(
    request: pytest.FixtureRequest, _templates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A store of each kind in turn, empty at first, for tests of a module that only read it."""
    match request.param:
        case "sqlite":
            path = tmp_path_factory.mktemp("store") / "mlflow.db"
            shutil.copy(sqlite_template(_templates), path)
            yield f"sqlite:///{path}"
        case "postgres":
            postgres: PostgresServer = request.getfixturevalue("_postgres_server")
            uri = postgres.fresh()
            yield uri
            postgres.drop(uri)
        case _:
            server: MlflowServer = request.getfixturevalue("_mlflow_server")
            server.reset()
            yield server.uri
