"""``brain stream`` and ``brain reread`` as people and systemd run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brain.series.store.store import SeriesStore
from brain.settings import load_settings
from market.stream_command import checked_stream
from tests.market.exchange_server import ExchangeServer

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module", name="server")
def _server() -> Iterator[ExchangeServer]:
    with ExchangeServer(fillers=0, live={"scale": 1.0, "rate": 5.0}) as server:
        yield server


def variables(folder: Path, server: ExchangeServer) -> dict[str, str]:
    urls = {f"BRAIN_{name.upper()}_URL": url for name, url in server.urls.items()}
    streams = {f"BRAIN_{n.upper()}_STREAM_URL": url for n, url in server.stream_urls.items()}
    return {
        **os.environ,
        **urls,
        **streams,
        "BRAIN_EXCHANGES": "binance,bybit,okx",
        "BRAIN_SYMBOLS": "BTC/USDT,ETH/USDT",
        "BRAIN_COMMIT_SECONDS": "1",
        "BRAIN_FREE_MB": "1",
        "BRAIN_LOG_FILE": str(folder / "brain.log"),
        "PYTHONPATH": str(ROOT),
    }


def test_a_stream_runs_until_it_is_told_to_stop(tmp_path: Path, server: ExchangeServer) -> None:
    command = [sys.executable, "-m", "mlproject", "stream"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=variables(tmp_path, server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    status = tmp_path / "frames" / "status.json"
    deadline = time.monotonic() + 60
    document: dict[str, Any] = {"rows": {}}
    while time.monotonic() < deadline and not document["rows"].get("liquidations"):
        time.sleep(0.2)
        if status.exists():
            document = json.loads(status.read_text())
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=30)
    assert process.returncode == 0, error
    assert "routes are listened to; stored: " in out
    assert {route["route"] for route in document["routes"]} == {
        "market",
        "linear",
        "public",
        "business",
    }
    assert {route["state"] for route in document["routes"]} == {"listened"}
    store = SeriesStore(tmp_path / "series")
    rows = store.read("liquidations")
    assert set(rows["exchange"]) == {"binance", "bybit", "okx"}
    assert set(rows["symbol"]) == {"BTC/USDT:USDT", "ETH/USDT:USDT"}
    assert len(rows) >= document["rows"]["liquidations"]
    listening = store.read("listening")
    assert "the stream was stopped" in set(listening["reason"])
    again = subprocess.run(
        [*command[:-1], "reread"],
        cwd=tmp_path,
        env=variables(tmp_path, server),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "New or changed: nothing" in again.stdout


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"exchanges": ()}, "no exchanges are named"),
        ({"symbols": ()}, "no symbols are named"),
        ({"exchanges": ("kraken",)}, "kraken is not streamed from; .*okx"),
        ({"free_mb": 1e12}, "MB are free"),
        (
            {"okx_stream_url": "ftp://okx"},
            "'ftp://okx' is no address of a WebSocket; write wss://HOST",
        ),
    ],
)
def test_what_can_not_be_streamed_is_told_before_anything_is_written(
    overrides: dict[str, object], message: str, tmp_path: Path
) -> None:
    values = {"exchanges": ("okx",), "symbols": ("BTC/USDT",), "free_mb": 1.0, **overrides}
    folders = {"series": str(tmp_path / "series"), "frames": tmp_path / "frames"}
    settings = load_settings({**folders, **values})
    with pytest.raises(Exception, match=message):
        checked_stream(settings)
    assert not list(tmp_path.iterdir())


def test_a_recording_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlproject", "reread", "--frames", "nowhere"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "nowhere holds no recording" in done.stderr
    assert not list(tmp_path.iterdir()) or [p.name for p in tmp_path.iterdir()] == ["brain.log"]
