"""``python -m mlproject doctor`` against real stores and servers, and exchanges on loopback."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

import mlproject
from brain.checks import Check, State, run_checks, verdict
from brain.configuration import check_configuration
from brain.errors import LibraryError
from brain.series.store.checks import check_series
from brain.settings import load_settings
from market.checks import check_exchanges
from registry.checks.library import check_artifacts, check_library
from tests.market.exchange_server import ExchangeServer
from tests.s3_servers import Bucket, S3Server
from tests.servers import MlflowServer, free_port

Setenv = Callable[[str, str], None]


def by_name(checks: list[Check]) -> dict[str, Check]:
    rows = {check.name: check for check in checks}
    assert len(rows) == len(checks)
    return rows


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setenv:
    """Sets variables, in a new folder."""
    monkeypatch.chdir(tmp_path)
    return monkeypatch.setenv


def library(dsn: str, setenv: Setenv, series: str = "series") -> dict[str, Check]:
    setenv("MLFLOW_TRACKING_URI", dsn)
    setenv("BRAIN_SERIES", series)
    return by_name(list(check_library(load_settings())))


# --- rows ---------------------------------------------------------------------------------------


def test_a_row_never_shows_a_secret(environ: Setenv) -> None:
    environ("AWS_SECRET_ACCESS_KEY", "hushhush")
    environ("SOME_API_KEY", "quietquiet")
    secrets = "hushhush http://me:p:w@host/?token=tok1 quietquiet"
    row = Check("name", State.OK, secrets, secrets)
    for text in (row.detail, row.cure, repr(row)):
        assert not [s for s in ("hush", "quiet", "p:w", "tok1") if s in text]
    assert "http://me:***@host" in row.detail


def test_parts_run_at_once_and_none_is_waited_for_for_ever() -> None:
    both = threading.Barrier(2, timeout=60)
    never = threading.Event()

    def met() -> list[Check]:
        both.wait()
        return [Check("met", State.OK, "")]

    def hang() -> Iterator[Check]:
        yield Check("first", State.OK, "")
        never.wait()

    def broken() -> list[Check]:
        raise LibraryError("it is broken; mend it")

    parts = {"one": met, "two": met, "broken": broken}
    checks = run_checks(parts, seconds=60)
    assert [(c.name, c.state) for c in checks] == [
        ("met", "ok"),
        ("met", "ok"),
        ("broken", "failed"),
    ]
    assert (checks[2].detail, checks[2].cure) == ("it is broken", "mend it")
    first, hung = run_checks({"slow": hang}, seconds=0.5)
    assert (first.name, hung.name, hung.state) == ("first", "slow", "failed")
    assert "no end within 0.5 seconds" in hung.detail
    never.set()


def test_a_fault_of_ours_is_raised() -> None:
    def broken() -> list[Check]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_checks({"broken": broken})


# --- configuration ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("BRAIN_TRAILS", "3", "BRAIN_TRIALS"),
        ("BRAIN_HOURS", "many", "hours"),
        ("BRAIN_TIMEFRAME", "90s", "resample them to 3m"),
        ("BRAIN_SERIES", "gs://b/x", "give a folder or s3://bucket/prefix"),
        ("BRAIN_BARS", "nowhere", "relative paths start from"),
        ("BRAIN_BARS", ".", "holds no Parquet or CSV file"),
        ("BRAIN_EXCHANGES", "binnance", "binance"),
        ("BRAIN_EXCHANGES", "okx,kraken2", "kraken"),
    ],
)
def test_what_is_configured_wrong_is_named(
    name: str, value: str, message: str, environ: Setenv, capsys: pytest.CaptureFixture[str]
) -> None:
    environ(name, value)
    environ("COLUMNS", "500")  # a row a line
    assert mlproject.main(["doctor"]) == 2
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("configuration  ")
               and "failed" in x]  # fmt: skip
    assert message in line


def test_a_settings_file_that_cannot_be_read_is_named(environ: Setenv, tmp_path: Path) -> None:
    (tmp_path / "brain.toml").write_text("hours = [")
    settings, (check,) = check_configuration()
    assert settings is None
    assert "brain.toml" in check.detail
    assert verdict([check]) == 2


def test_a_base_url_that_is_none_is_a_fault_of_the_configuration(environ: Setenv) -> None:
    environ("BRAIN_EXCHANGES", "okx")
    environ("BRAIN_OKX_URL", "ftp://me:secretpw@host")
    (check,) = check_exchanges(load_settings(), live=False)
    assert (check.name, check.state) == ("configuration", "failed")
    assert "ftp://me:***@host" in check.detail


# --- tracking and artifacts ---------------------------------------------------------------------


def test_a_fresh_folder_is_sound_and_stays_empty(
    environ: Setenv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mlproject.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "python -m mlproject prepare" in out
    assert "no exchange is configured" in out
    assert everything(tmp_path) == []


@pytest.mark.parametrize("store", ["sqlite_dsn", "postgres"])
def test_a_prepared_database_is_sound(
    store: str, request: pytest.FixtureRequest, environ: Setenv, tmp_path: Path
) -> None:
    checks = library(request.getfixturevalue(store), environ)
    assert {check.state for check in checks.values()} == {"ok", "skipped"}
    assert checks["credentials"].state == "skipped"
    assert mlflow.__version__ in checks["tracking server"].detail
    assert "the first job makes it" in checks["experiment"].detail
    assert not [path for path in everything(tmp_path) if path.name != "mlflow.db"]


def test_another_schema_than_mlflows_is_named(sqlite_dsn: str, environ: Setenv) -> None:
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '1bd49d398cd23'")
    checks = library(sqlite_dsn, environ)
    assert checks["tracking server"].state == "failed"
    assert "1bd49d398cd23" in checks["tracking server"].detail
    assert "mlflow db upgrade" in checks["tracking server"].cure


def test_a_deleted_experiment_is_named(sqlite_dsn: str, environ: Setenv) -> None:
    client = mlflow.MlflowClient(sqlite_dsn)
    client.delete_experiment(client.create_experiment("nightly"))
    checks = library(sqlite_dsn, environ)
    assert checks["experiment"].state == "failed"
    assert checks["artifact store"].state == "skipped"


def test_a_server_is_sound_and_stores_artifacts(
    mlflow_server: MlflowServer, environ: Setenv
) -> None:
    client = mlflow.MlflowClient(mlflow_server.uri)
    client.create_experiment("nightly")
    checks = library(mlflow_server.uri, environ)
    assert (
        checks["tracking server"].detail == f"{mlflow_server.uri} runs MLflow {mlflow.__version__}"
    )
    assert checks["experiment"].state == "ok"
    assert checks["artifact store"].state == "ok", checks["artifact store"]
    assert not list((mlflow_server.folder / "artifacts").rglob(".check-*"))


def test_without_an_experiment_the_server_is_asked_about_its_own(
    mlflow_server: MlflowServer, environ: Setenv
) -> None:
    checks = library(mlflow_server.uri, environ)
    assert "the first job makes it" in checks["experiment"].detail
    assert checks["artifact store"].state == "ok", checks["artifact store"]


def test_a_server_that_cannot_store_is_told_at_once(
    mlflow_server: MlflowServer, environ: Setenv
) -> None:
    blocked = mlflow_server.folder / "artifacts" / "blocked"
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("in the way of a folder")
    client = mlflow.MlflowClient(mlflow_server.uri)
    client.create_experiment("nightly", artifact_location="mlflow-artifacts:/blocked/below")
    check = library(mlflow_server.uri, environ)["artifact store"]
    blocked.unlink()
    assert check.state == "failed"
    assert "answered 500" in check.detail, check
    assert "log" in check.cure


def test_something_else_than_mlflow_is_told(s3_unsafe: Bucket, environ: Setenv) -> None:
    checks = library(s3_unsafe.url, environ)
    assert checks["tracking server"].state == "failed"
    assert checks["artifact store"].state == "skipped"


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, b"who are you?", "MLFLOW_TRACKING_USERNAME"),
        (200, b"2.22.0", "does not fit"),
        (200, b"<html>", "not as an MLflow server"),
    ],
)
def test_a_server_that_does_not_fit_is_told(
    status: int, body: bytes, message: str, environ: Setenv
) -> None:
    with answering(lambda _: (status, body)) as url:
        check = library(url, environ)["tracking server"]
    assert check.state == "failed"
    assert message in f"{check.detail}; {check.cure}"


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg"])
def test_where_nobody_answers_is_named_without_the_password(scheme: str, environ: Setenv) -> None:
    port = free_port()
    checks = library(f"{scheme}://me:secretpw@127.0.0.1:{port}/store", environ)
    check = checks["tracking server"]
    assert check.state == "failed"
    assert f"me:***@127.0.0.1:{port}" in check.detail
    assert "start the server" in check.cure
    assert "secretpw" not in repr(checks)


def test_a_folder_that_cannot_be_written_is_named(environ: Setenv, tmp_path: Path) -> None:
    # Not by permissions, which do not bind root.
    (tmp_path / "file").write_text("in the way")
    below = tmp_path / "file" / "folder"
    (series,) = check_series(str(below))
    artifacts = check_artifacts("sqlite://", below.as_uri())
    tracking = library(f"sqlite:///{below / 'mlflow.db'}", environ)["tracking server"]
    for check in (series, artifacts, tracking):
        assert check.state == "failed", check
        assert str(below) in check.detail
    assert everything(tmp_path) == [tmp_path / "file"]


def test_artifacts_in_s3_are_looked_at(
    sqlite_dsn: str, s3: Bucket, s3_server: S3Server, environ: Setenv
) -> None:
    for name, value in s3.environment.items():
        environ(name, value)
    where = f"s3://{s3.bucket}/artifacts"
    mlflow.MlflowClient(sqlite_dsn).create_experiment("nightly", artifact_location=where)
    checks = library(sqlite_dsn, environ)
    assert checks["artifact store"].state == "ok", checks["artifact store"]
    assert s3.url in checks["artifact store"].detail
    assert checks["credentials"].state == "ok"
    assert "the environment" in checks["credentials"].detail
    with s3_server.client() as client:
        assert client.list_objects_v2(Bucket=s3.bucket)["KeyCount"] == 0


# --- series in S3 -------------------------------------------------------------------------------


def series_in(bucket: Bucket, environ: Setenv, **overrides: str) -> Check:
    for name, value in (bucket.environment | overrides).items():
        environ(name, value)
    (check,) = check_series(f"s3://{bucket.bucket}/series")
    assert bucket.environment["AWS_SECRET_ACCESS_KEY"] not in repr(check)
    return check


def test_a_store_that_honours_conditional_puts_is_sound(
    s3: Bucket, s3_server: S3Server, environ: Setenv
) -> None:
    check = series_in(s3, environ)
    assert check.state == "ok", check
    assert "conditional puts are honoured" in check.detail
    with s3_server.client() as client:
        assert client.list_objects_v2(Bucket=s3.bucket)["KeyCount"] == 0


def test_a_store_that_ignores_conditional_puts_is_refused(
    s3_unsafe: Bucket, environ: Setenv
) -> None:
    check = series_in(s3_unsafe, environ)
    assert check.state == "failed"
    assert "ignores conditional puts" in check.detail
    assert "If-None-Match" in check.cure


def test_a_permission_that_is_missing_is_named(
    s3: Bucket, s3_server: S3Server, environ: Setenv
) -> None:
    with s3_server.client() as client:
        client.put_bucket_acl(Bucket=s3.bucket, ACL="public-read")
    check = series_in(s3, environ, AWS_ACCESS_KEY_ID=s3_server.reader_key)
    assert check.state == "failed"
    assert "s3:PutObject is not allowed" in check.detail
    assert "grant s3:PutObject" in check.cure


def test_what_else_is_wrong_with_a_bucket_is_told_apart(s3: Bucket, environ: Setenv) -> None:
    assert "refuses the keys" in series_in(s3, environ, AWS_SECRET_ACCESS_KEY="wrong").detail
    unplugged = f"http://127.0.0.1:{free_port()}"
    check = series_in(s3, environ, AWS_ENDPOINT_URL=unplugged)
    assert check.state == "failed"
    assert unplugged in check.detail
    nowhere = Bucket(s3.url, "no-such-bucket", s3.environment)
    assert "there is no such bucket" in series_in(nowhere, environ).detail


def test_missing_keys_are_told(environ: Setenv, s3: Bucket, sqlite_dsn: str) -> None:
    for name, value in s3.environment.items():
        if "KEY" not in name:
            environ(name, value)
    where = f"s3://{s3.bucket}/series"
    check = library(sqlite_dsn, environ, series=where)["credentials"]
    assert check.state == "failed"
    assert where in check.detail
    assert "AWS_ACCESS_KEY_ID" in check.cure
    Path("keys").write_text("[trader]\naws_access_key_id = a\naws_secret_access_key = filesecret\n")
    environ("AWS_SHARED_CREDENTIALS_FILE", "keys")
    environ("AWS_PROFILE", "trader")
    check = library(sqlite_dsn, environ, series=where)["credentials"]
    assert check.state == "ok", check
    assert "shared credentials file, profile 'trader'" in check.detail
    assert "filesecret" not in repr(check)
    environ("AWS_PROFILE", "nobody")
    check = library(sqlite_dsn, environ, series=where)["credentials"]
    assert check.state == "failed"
    assert "nobody" in check.detail


# --- exchanges ----------------------------------------------------------------------------------


@pytest.fixture
def exchanges(environ: Setenv) -> Iterator[ExchangeServer]:
    """The three on loopback, their clocks going with ours."""
    stop = threading.Event()

    def go(exchanges: ExchangeServer) -> None:
        while not stop.wait(0.02):
            exchanges.truth.now = pd.Timestamp.now("UTC")

    with ExchangeServer(pd.Timestamp.now("UTC"), fillers=0) as exchanges:
        clock = threading.Thread(target=go, args=(exchanges,), daemon=True)
        clock.start()
        environ("BRAIN_EXCHANGES", "binance,bybit,okx")
        environ("BRAIN_REQUEST_TIMEOUT", "5")
        for name, url in exchanges.urls.items():
            environ(f"BRAIN_{name.upper()}_URL", url)
        yield exchanges
        stop.set()
        clock.join()


def test_clocks_that_agree(exchanges: ExchangeServer) -> None:
    (check,) = check_exchanges(load_settings(), live=False)
    assert check.state == "ok", check
    for name in exchanges.urls:
        assert name in check.detail
    assert {r.path.rpartition("/")[2] for r in exchanges.requests} == {"time"}


def test_a_clock_that_is_off_is_told_by_how_much(exchanges: ExchangeServer) -> None:
    exchanges.faults.skew = dict.fromkeys(exchanges.urls, 7.0)
    (check,) = check_exchanges(load_settings(), live=False)
    assert check.state == "failed"
    assert "-7." in check.detail or "-6.9" in check.detail
    assert "NTP" in check.cure


def test_one_exchange_whose_clock_is_off_is_not_ours(exchanges: ExchangeServer) -> None:
    exchanges.faults.skew = {"bybit": 90.0}
    (check,) = check_exchanges(load_settings(), live=False)
    assert check.state == "ok"
    assert "bybit -" in check.detail


def test_live_asks_every_endpoint_once(exchanges: ExchangeServer) -> None:
    checks = by_name(check_exchanges(load_settings(), live=True))
    assert {check.state for check in checks.values()} == {"ok"}, checks
    for name in exchanges.urls:
        assert "answered as expected" in checks[f"{name} endpoints"].detail
    paths = {request.path for request in exchanges.requests}
    assert {"/fapi/v1/klines", "/v5/market/kline", "/api/v5/market/history-candles"} <= paths


def relay(target: str, path: str, change: Callable[[Any], Any]) -> AbstractContextManager[str]:
    """An address that answers as another, but for what one path answers."""

    def answer(query: str) -> tuple[int, bytes]:
        status, body = fetch(target + query)
        if query.startswith(path):
            body = json.dumps(change(json.loads(body))).encode()
        return status, body

    return answering(answer)


@contextmanager
def answering(answer: Callable[[str], tuple[int, bytes]]) -> Iterator[str]:
    """An address that gives these answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fetch(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def rename(answer: Any, old: str, new: str) -> Any:
    """The answer with a field called otherwise, at any depth."""
    if isinstance(answer, list):
        return [rename(entry, old, new) for entry in answer]
    if isinstance(answer, dict):
        return {new if k == old else k: rename(v, old, new) for k, v in answer.items()}
    return answer


@pytest.mark.parametrize(
    ("exchange", "path", "old", "endpoint"),
    [
        ("binance", "/fapi/v1/fundingRate", "fundingRate", "fapi/v1/fundingRate"),
        ("bybit", "/v5/market/funding/history", "fundingRate", "v5/market/funding/history"),
        ("okx", "/api/v5/public/funding-rate-history", "fundingTime", "funding-rate-history"),
    ],
)
def test_a_field_that_is_called_otherwise_is_named(
    exchange: str, path: str, old: str, endpoint: str, exchanges: ExchangeServer, environ: Setenv
) -> None:
    with relay(
        exchanges.urls[exchange], path, lambda answer: rename(answer, old, "renamed")
    ) as url:
        environ("BRAIN_EXCHANGES", exchange)
        environ(f"BRAIN_{exchange.upper()}_URL", url)
        checks = check_exchanges(load_settings(), live=True)
    (check,) = [check for check in checks if check.state == "failed"]
    assert endpoint in check.name
    assert repr(old) in check.detail
    assert "renamed" in check.detail


def test_an_answer_that_breaks_a_parser_is_told(exchanges: ExchangeServer, environ: Setenv) -> None:
    path = "/fapi/v1/klines"
    with relay(exchanges.urls["binance"], path, lambda _: [["x"] * 12]) as url:
        environ("BRAIN_EXCHANGES", "binance")
        environ("BRAIN_BINANCE_URL", url)
        checks = check_exchanges(load_settings(), live=True)
    (check,) = [check for check in checks if check.state == "failed"]
    assert "klines" in check.name


def test_an_exchange_that_is_away_is_named_and_the_others_are_asked(
    exchanges: ExchangeServer, environ: Setenv, capsys: pytest.CaptureFixture[str]
) -> None:
    exchanges.faults.down = {"okx"}
    environ("BRAIN_OKX_URL", exchanges.urls["okx"].replace("//", "//me:secretpw@"))
    assert mlproject.main(["doctor", "--live"]) == 1
    out = capsys.readouterr().out
    assert exchanges.urls["okx"].removeprefix("http://") in out
    assert "binance endpoints" in out
    assert "secretpw" not in out


def test_without_a_network_the_clock_is_passed_over(
    exchanges: ExchangeServer, environ: Setenv
) -> None:
    exchanges.faults.down = {"okx"}
    environ("BRAIN_EXCHANGES", "okx")
    checks = by_name(check_exchanges(load_settings(), live=False))
    assert {check.state for check in checks.values()} == {"skipped"}
    assert exchanges.urls["okx"].removeprefix("http://") in checks["okx"].detail


def test_an_exchange_that_is_silent_is_given_up(exchanges: ExchangeServer) -> None:
    exchanges.faults.timeout = 1.0
    exchanges.faults.streak = 100
    exchanges.faults.only = {"bybit"}
    checks = by_name(check_exchanges(load_settings(), live=True, seconds=8))
    assert checks["bybit"].state == "failed"
    assert exchanges.urls["bybit"].removeprefix("http://") in checks["bybit"].detail
    assert checks["okx endpoints"].state == "ok"


# --- secrets ------------------------------------------------------------------------------------


def test_secrets_appear_nowhere(
    environ: Setenv,
    s3_unsafe: Bucket,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)  # below that, botocore writes the session token itself
    unplugged = f"127.0.0.1:{free_port()}"
    for name, value in s3_unsafe.environment.items():
        environ(name, value)
    environ("AWS_SECRET_ACCESS_KEY", "awssecret1")
    environ("AWS_SESSION_TOKEN", "awstoken1")
    environ("BRAIN_SERIES", f"s3://{s3_unsafe.bucket}/series")
    environ("BRAIN_EXCHANGES", "okx")
    environ("BRAIN_OKX_URL", f"http://me:okxsecret1@{unplugged}")
    environ("MLFLOW_TRACKING_URI", f"postgresql+psycopg://me:dsnsecret1@{unplugged}/store")
    assert mlproject.main(["doctor", "--live"]) == 1
    out, err = capfd.readouterr()
    for secret in ("awssecret1", "awstoken1", "okxsecret1", "dsnsecret1"):
        assert secret not in out
        assert secret not in err
        assert secret not in caplog.text
    assert unplugged in out
