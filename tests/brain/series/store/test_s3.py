"""The series store in an S3 store, and what is said when there is none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from brain.errors import SeriesStoreError
from brain.series.store.object_store import (
    aws_session,
    check_conditional_puts,
    hide_secrets,
    s3_client,
    storage_options,
)
from brain.series.store.store import SeriesStore, UpsertCounts
from tests.brain.series.store.series_rows import BTC, ETH, candles, evidence, gaps
from tests.s3_servers import Bucket, S3Server

KEYS = ["exchange", "symbol", "timeframe", "time"]
NAMES = ("AWS_", "MLFLOW_S3_", "BOTO")


@pytest.fixture(autouse=True)
def _nobodys_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith(NAMES)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-key-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-key")


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where a series store can be: a folder, an S3 store."""
    if request.param == "folder":
        return str(tmp_path / "series")
    bucket: Bucket = request.getfixturevalue("s3")
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{bucket.bucket}/a/series"


# --- wherever it is -----------------------------------------------------------------------------


def test_it_works_the_same_everywhere(root: str) -> None:
    store = SeriesStore(root)
    assert store.check().honoured
    assert len(store.read("candles")) == 0
    assert store.upsert("candles", candles()) == UpsertCounts(48, 48, 0)
    assert store.upsert("candles", candles(rows=50)) == UpsertCounts(50, 2, 0)
    assert store.upsert("candles", candles(rows=3, price=7)).updated == 3
    rows = SeriesStore(root).read("candles", symbol="BTC/USDT", end="2026-10-31T03:00")
    assert_frame_equal(rows[candles().columns], candles(rows=3, price=7))
    store.upsert("gaps", gaps(BTC, ETH))
    store.revise("gaps", lambda _: gaps(), exchange="okx", symbols=[BTC])
    store.upkeep()
    assert list(store.read("gaps")["symbol"]) == [ETH]
    assert len(store.read("candles")) == 50


def test_writers_at_once_neither_lose_nor_double_rows(root: str) -> None:
    def write(number: int) -> None:
        store = SeriesStore(root)
        for step in range(2):
            own = candles(rows=4, symbol=f"C{number}/USDT:USDT", price=step)
            store.upsert("candles", pd.concat([own, candles(rows=4 + step)]))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))
    rows = SeriesStore(root).read("candles")
    assert not rows.duplicated(KEYS).any()
    assert len(rows) == 3 * 4 + 5


def test_of_appends_at_once_the_first_stays_whole(root: str) -> None:
    def append(writer: int) -> int:
        counts = [
            SeriesStore(root).append("evidence", evidence(day, 4, profit=100.0 * writer))
            for day in ("2026-01-01", "2026-01-05", "2026-01-09")
        ]
        return sum(count.inserted for count in counts)

    with ThreadPoolExecutor(3) as pool:
        inserted = list(pool.map(append, range(3)))
    rows = SeriesStore(root).read("evidence")
    assert len(rows) == rows["time"].nunique() == sum(inserted) == 12
    batches = (rows["profit"].to_numpy().reshape(3, 4) - np.arange(4)) / 100.0
    assert (batches == batches[:, :1]).all()


# --- S3 alone -----------------------------------------------------------------------------------


def test_a_store_that_ignores_conditions_is_found_out(
    s3_unsafe: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_unsafe.environment.items():
        monkeypatch.setenv(name, value)
    puts = SeriesStore(f"s3://{s3_unsafe.bucket}/series").check()
    assert not puts.honoured
    assert "overwrote" in puts.answer
    with closing(s3_client()) as client:
        assert "Contents" not in client.list_objects_v2(Bucket=s3_unsafe.bucket)


def test_services_are_read_once_and_keys_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = []
    for key in ("first", "second"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        sessions.append(aws_session())
        assert sessions[-1].get_credentials().access_key == key
    one, other = (session.get_component("data_loader") for session in sessions)
    assert one is other
    monkeypatch.setenv("AWS_DATA_PATH", "/another")
    assert "/another" in aws_session().get_component("data_loader").search_paths


def test_rotated_keys_are_found(
    s3: Bucket, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in s3.environment.items():
        if "KEY" not in name and "FILE" not in name:
            monkeypatch.setenv(name, value)
    shared = tmp_path / "credentials"
    store = SeriesStore(f"s3://{s3.bucket}/series")

    def rotate(secret: str) -> None:
        shared.write_text(
            f"[default]\naws_access_key_id = {s3_server.access_key}\n"
            f"aws_secret_access_key = {secret}\n"
        )

    rotate(s3_server.secret_key)
    store.upsert("candles", candles())
    rotate("outdated-secret")
    with pytest.raises(SeriesStoreError) as error:
        store.read("candles")
    assert "outdated-secret" not in f"{error.value!r} {error.value}"
    with pytest.raises(SeriesStoreError):
        store.upsert("candles", candles())
    rotate(s3_server.secret_key)
    assert len(store.read("candles")) == 48


def test_a_bucket_that_is_not_there(
    s3: Bucket, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    store = SeriesStore("s3://no-such-bucket/series")
    for ask in (
        lambda: store.upsert("candles", candles()),
        store.check,
    ):
        with pytest.raises(SeriesStoreError, match="no-such-bucket") as error:
            ask()
        assert s3_server.secret_key not in str(error.value)


# --- no answer ----------------------------------------------------------------------------------


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that accepts connections and never says a word."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.usefixtures("keys")
def test_nobody_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        address = f"http://user:hush@127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
        store = SeriesStore("s3://bucket/series")
        for ask in (
            lambda: store.read("candles"),
            lambda: store.upsert("candles", candles()),
            lambda: store.revise("gaps", lambda _: gaps(BTC), exchange="okx", symbols=[BTC]),
            store.upkeep,
            store.check,
        ):
            with pytest.raises(SeriesStoreError, match=r"s3://bucket/series.*; check") as error:
                ask()
            assert "the-secret-key" not in str(error.value)
            assert "hush" not in str(error.value)
            assert "\x1b" not in str(error.value)


def test_no_secret_is_in_a_message() -> None:
    options = {"aws_secret_access_key": "hush", "aws_session_token": "told", "aws_region": "eu"}
    text = "http://u:hu/sh@s http://hush3@s http://s/?X-Amz-Security-Token=hush4&x=1 eu told hush"
    assert hide_secrets(text, options) == (
        "http://***@s http://***@s http://s/?X-Amz-Security-Token=***&x=1 eu *** ***"
    )


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("keys")
def test_a_server_that_is_silent_is_told(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", silent)
    with pytest.raises(SeriesStoreError, match="no answer from the S3 store"):
        SeriesStore("s3://bucket/series").read("candles")


# --- what boto3 would use -----------------------------------------------------------------------


def test_no_keys_at_all() -> None:
    with pytest.raises(SeriesStoreError, match=r"no credentials.*set AWS_ACCESS_KEY_ID"):
        SeriesStore("s3://bucket/series").read("candles")
    with pytest.raises(SeriesStoreError, match="no credentials"):
        check_conditional_puts("s3://bucket/series")


def test_a_profile_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(SeriesStoreError, match=r"nobody.*correct the profile"):
        storage_options()


def test_a_profile_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[trading]\naws_access_key_id = one\naws_secret_access_key = two\n"
        "aws_session_token = three\n"
    )
    (tmp_path / "config").write_text(
        "[profile trading]\nregion = eu-west-1\nendpoint_url = https://minio.example\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "trading")
    options = storage_options()
    assert options["aws_access_key_id"] == "one"
    assert options["aws_secret_access_key"] == "two"
    assert options["aws_session_token"] == "three"
    assert options["aws_region"] == "eu-west-1"
    assert options["aws_endpoint"] == "https://minio.example"
    assert "aws_allow_http" not in options
    assert options["aws_conditional_put"] == "etag"


@pytest.mark.usefixtures("keys")
def test_the_closest_endpoint_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "aws_endpoint" not in storage_options()
    for name in ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, f"http://{name.lower().replace('_', '-')}")
        options = storage_options()
        assert options["aws_endpoint"] == f"http://{name.lower().replace('_', '-')}"
        assert options["aws_allow_http"] == "true"
