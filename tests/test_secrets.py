"""Passwords of all printable characters, in every place that an address is taken from.

No part of six characters or more may be in any output, log, error, run or artifact, and what is
shown must be the same whatever the password is.
"""

from __future__ import annotations

import asyncio
import html
import io
import json
import logging
import os
import random
import re
import string
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO, cast
from urllib.parse import quote

import pytest

from brain.errors import BrainError
from brain.redact import RedactedStream
from brain.series.store.checks import check_series
from brain.series.store.object_store import check_reachable as check_s3, storage_options
from brain.series.store.store import SeriesStore
from brain.settings import load_settings
from market.http.client import Client, RetryPolicy
from registry.checks.library import check_library
from registry.library import BrainLibrary
from serving import RemoteRegistry
from serving.remote.artifacts import Artifacts
from serving.remote.connections import Connections
from serving.remote.tracking import TrackingServer
from tests.jobs import run_job
from tests.market.exchange_server import ExchangeServer

ROOT = Path(__file__).parents[1]
PRINTABLE = string.digits + string.ascii_letters + string.punctuation + " "
PART = 6
SEEDS = range(200)
FEW = SEEDS[:12]


def password(seed: int) -> str:
    draw = random.Random(seed)
    return "".join(draw.choices(PRINTABLE, k=draw.randint(8, 32)))


def parts_in(secret: str, text: str) -> set[str]:
    """The parts of a secret in a text, as it is or in the encodings of addresses, JSON and HTML."""
    forms = {secret, quote(secret, safe=""), repr(secret)[1:-1], json.dumps(secret)[1:-1]}
    forms |= {html.escape(secret), quote(secret)}
    parts = {form[i : i + PART] for form in forms for i in range(len(form) - PART + 1)}
    return {part for part in parts if part in text}


@dataclass(frozen=True)
class Place:
    """A place that an address is taken from: its form, and what uses it and fails."""

    name: str
    address: str
    use: Callable[[str, pytest.MonkeyPatch], object]

    def __str__(self) -> str:
        return self.name


def variable(name: str, use: Callable[[], object], address: str, patch: pytest.MonkeyPatch) -> None:
    patch.setenv(name, address)
    use()


def option(address: str, patch: pytest.MonkeyPatch) -> None:
    outcome = run_job("train", "--bars", address)
    assert outcome.code == 2
    raise BrainError(outcome.error)


def settings_file(name: str, address: str, patch: pytest.MonkeyPatch) -> None:
    """Any setting may be misspelt, or of a kind that the address does not suit."""
    Path("brain.toml").write_text(f"{name} = {json.dumps(address)}\n")
    settings = load_settings()
    raise BrainError(repr(settings), *map(repr, check_library(settings)))


def ask(base_url: str, patch: pytest.MonkeyPatch | None = None) -> None:
    async def get() -> None:
        client = Client(base_url, service="okx", retries=RetryPolicy(attempts=1), timeout=5)
        try:
            await client.get("x")
        finally:
            await client.close()

    asyncio.run(get())


def ask_s3() -> None:
    check_s3("s3://bucket/series", storage_options())


def read_artifact(location: str) -> None:
    with closing(Connections(timeout=5.0)) as connections:
        server = TrackingServer("http://127.0.0.1:9", connections)
        Artifacts(server, connections, 5.0).read(location, "manifest.json", 1)


def read_object() -> None:
    read_artifact("s3://bucket/artifacts")


# Nobody listens at these ports: the discard port and its neighbours are privileged and unused.
POSTGRES = "postgresql+psycopg://me:{}@127.0.0.1:9/db"
QUERY = "postgresql://127.0.0.1:9/db?user=me&password={}"
HTTP = "http://me:{}@127.0.0.1:9"
PLACES = [
    Place("postgres", POSTGRES, lambda a, _: BrainLibrary(a)),
    Place("postgres query", QUERY, lambda a, _: BrainLibrary(a)),
    Place("http", HTTP, lambda a, _: BrainLibrary(a)),
    Place("http token", "http://{}@127.0.0.1:9", lambda a, _: BrainLibrary(a)),
    Place("sqlite", "sqlite://me:{}@host/mlflow.db", lambda a, _: BrainLibrary(a)),
    Place("no scheme", "me:{}@127.0.0.1:9", lambda a, _: BrainLibrary(a)),
    Place("odd scheme", "ftp://me:{}@127.0.0.1:9", lambda a, _: BrainLibrary(a)),
    Place("series", "s3://me:{}@bucket/series", lambda a, _: SeriesStore(a)),
    Place("series check", "s3://me:{}@bucket/series", lambda a, _: print_rows(check_series(a))),
    Place("exchange", HTTP, ask),
    Place("exchange query", "http://127.0.0.1:9/?token={}", ask),
    Place("proxy of an exchange", HTTP, partial(variable, "HTTP_PROXY", partial(ask, "http://localhost.invalid"))),
    Place("proxy of MLflow", HTTP, partial(variable, "HTTP_PROXY", lambda: BrainLibrary("http://localhost.invalid"))),
    Place("endpoint of S3", HTTP, partial(variable, "AWS_ENDPOINT_URL", ask_s3)),
    Place("tracking URI of the file", POSTGRES, partial(settings_file, "tracking_uri")),
    Place("series of the file", "s3://me:{}@bucket/series", partial(settings_file, "series")),
    Place("misspelt setting", POSTGRES, partial(settings_file, "tracking_url")),
    Place("setting of another kind", HTTP, partial(settings_file, "hours")),
    Place("setting of another kind", HTTP, partial(settings_file, "symbols")),
    Place("setting of another kind", HTTP, partial(settings_file, "cost_bps")),
    Place("variable of another kind", HTTP, partial(variable, "BRAIN_CALENDAR", load_settings)),
    Place("option", HTTP, option),
    Place("registry of an executor", HTTP, lambda a, _: RemoteRegistry(a).champions()),
    Place("database of an executor", POSTGRES, lambda a, _: RemoteRegistry(a)),
    Place("artifacts of an executor", HTTP + "/files", lambda a, _: read_artifact(a)),
    Place("artifacts at an odd scheme", "gs://me:{}@bucket", lambda a, _: read_artifact(a)),
    Place("endpoint of an executor", HTTP, partial(variable, "AWS_ENDPOINT_URL", read_object)),
]  # fmt: skip


def print_rows(rows: Iterator[object]) -> None:
    raise BrainError(*map(repr, rows))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-key")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What all libraries log, as it leaves a program of ours."""
    out = io.StringIO()
    handler = logging.StreamHandler(cast("TextIO", RedactedStream(out)))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield out
    root.removeHandler(handler)
    root.setLevel(level)


def shown(place: Place, address: str, log: io.StringIO) -> tuple[str, str]:
    """The error's message, and all that is shown: its traceback with all causes, and the log."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(BrainError) as caught:
        place.use(address, patch)
    logged = log.getvalue()
    log.truncate(log.seek(0))
    message = re.sub(r"[\d.]+ GB", "GB", str(caught.value))  # of free space
    return message, "".join(traceback.format_exception(caught.value)) + logged


@pytest.mark.parametrize(
    "seeds", [pytest.param(FEW, id="few"), pytest.param(SEEDS, id="all", marks=pytest.mark.soak)]
)
@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.usefixtures("folder")
@pytest.mark.timeout(900)
def test_no_part_of_a_password_is_shown_and_all_passwords_show_the_same(
    place: Place, seeds: range, log: io.StringIO
) -> None:
    encoded, raw = set(), set()
    for seed in seeds:
        secret = password(seed)
        message, text = shown(place, place.address.format(quote(secret, safe="")), log)
        assert not parts_in(secret, text), (seed, text)
        encoded.add(message)
        message, text = shown(place, place.address.format(secret), log)
        assert not parts_in(secret, text), (seed, text)
        raw.add(message)
    assert len(encoded) == 1, encoded
    refused = {message for message in raw - encoded if "percent-encoded: @ as %40" in message}
    assert len(refused) <= 1
    assert raw - encoded == refused


# --- whole programs -----------------------------------------------------------------------------


def run(command: str, *arguments: str, folder: Path, **variables: str) -> str:
    """All that a program prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(
        [sys.executable, "-m", "mlproject", command, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def doctor(secret: str, folder: Path) -> str:
    """The doctor's table, and a night's error with its traceback."""
    (folder / "brain.toml").write_text(
        f'exchanges = "okx"\nsymbols = "BTC/USDT"\nokx_url = "http://me:{secret}@127.0.0.1:9"\n'
        f'series = "s3://bucket/series"\n'
    )
    variables = {
        "MLFLOW_TRACKING_URI": f"http://me:{secret}@127.0.0.1:9",
        "AWS_ENDPOINT_URL": f"http://me:{secret}@127.0.0.1:9",
        "HTTPS_PROXY": f"http://me:{secret}@127.0.0.1:9",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    text = run("doctor", "--live", folder=folder, **variables)
    return text + run("--debug", "nightly", folder=folder, **variables)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in SEEDS[1:20])]
)
def test_the_doctor_and_a_traceback_show_no_part_and_always_the_same(
    seed: int, folder: Path
) -> None:
    secret = password(seed)
    text = doctor(quote(secret, safe=""), folder)
    assert "tracking server" in text
    assert "Traceback" in text
    assert not parts_in(secret, text)
    unstable = re.compile(r"0x[0-9a-f]+|port=\d+|\d+\.\d+|\s+")
    other = doctor(quote(password(seed + 1000), safe=""), folder)
    assert unstable.sub(" ", other) == unstable.sub(" ", text)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in SEEDS[1:5])]
)
def test_runs_and_artifacts_hold_no_part(seed: int, sqlite_dsn: str, folder: Path) -> None:
    """One exchange answers at an address with a password, another does not."""
    secret = password(seed)
    with ExchangeServer(scale=60) as server:
        address = server.urls["okx"].replace("://", f"://me:{quote(secret, safe='')}@")
        text = run(
            "collect", "--exchanges", "okx,bybit", "--symbols", "BTC/USDT", "--hours", "3",
            folder=folder, MLFLOW_TRACKING_URI=sqlite_dsn, BRAIN_OKX_URL=address,
            BRAIN_BYBIT_URL=f"http://me:{quote(secret, safe='')}@127.0.0.1:9",
            BRAIN_REQUEST_TIMEOUT="1",
        )  # fmt: skip
    assert "bybit" in text
    assert not parts_in(secret, text)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "summary.json" for path in files)
    for path in files:
        assert not parts_in(secret, path.read_bytes().decode(errors="replace")), path


def test_prepare_prints_no_password_and_the_shell_gets_it(sqlite_dsn: str, folder: Path) -> None:
    (folder / "brain.toml").write_text(f'tracking_uri = "{sqlite_dsn}?password=0penSesame"\n')
    script = (
        f'settings="$({sys.executable} -m mlproject prepare)"; echo "$settings"; '
        'eval "$settings"; echo "$MLFLOW_TRACKING_URI"'
    )
    shell = subprocess.run(
        ["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    *printed, address = shell.stdout.splitlines()
    assert printed
    assert "0penSesame" not in "\n".join(printed) + shell.stderr
    assert address == f"{sqlite_dsn}?password=0penSesame"
