"""The command: what it says, how it ends, and that it goes on by its journal."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mlproject
from brain.errors import NoChampionError, SettingsError, UnknownSymbolError
from brain.naming import Family, Regime
from serving import Hamilton, Limits
from serving.http import command
from serving.http.command import serve
from serving.http.settings import OPTIONS
from serving.replay import journals, replay
from tests.jobs import run_job
from tests.serving.desk import Models, fit, give, quick_models
from tests.serving.http.process import process
from tests.serving.http.served import (
    NEW,
    PATH,
    SYMBOL,
    as_json,
    bar_body,
    dataset,
    raw,
    read_answer,
    serving,
)

ROOT = Path(__file__).parents[3]
PRESENT = [bar for bar in NEW if bar.close == bar.close]


def post(bar: object) -> bytes:
    return raw("POST", f"/bars/{PATH}", json.dumps(bar_body(bar)).encode())  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_once_requests_are_answered(
    number: signal.Signals, models: Models, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    settings = (f"journal={journal}", "limits=off")
    steady = Hamilton(models, [SYMBOL], limits=Limits.off(), clock=lambda: 0)
    with process(models, tmp_path, *settings) as (started, port):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=30) as one,
            socket.create_connection(("127.0.0.1", port), timeout=30) as idle,
        ):
            for bar in PRESENT[:10]:
                one.sendall(post(bar))
                assert read_answer(one).json == as_json(give(steady, SYMBOL, [bar])[0])
            request = post(PRESENT[10])
            one.sendall(request[:-5])
            time.sleep(0.3)
            started.send_signal(number)
            assert idle.recv(1) == b""  # an idle one is closed at once
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=30)
            one.sendall(request[-5:])
            answer = read_answer(one)
            assert answer.json == as_json(give(steady, SYMBOL, [PRESENT[10]])[0])
            assert answer.headers["connection"] == "close"
        _, errors = started.communicate()
    assert (started.returncode, errors) == (0, "")
    (result,) = (replay(one, models) for one in journals(journal))
    assert (result.decisions, result.differences) == (11, ())
    # Another one goes on where it ended.
    with process(models, tmp_path, *settings) as (started, port):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
            one.sendall(post(PRESENT[11]))
            assert read_answer(one).json == as_json(give(steady, SYMBOL, [PRESENT[11]])[0])
        started.terminate()
        started.communicate()
    assert started.returncode == 0


def test_a_client_that_never_ends_its_request_does_not_hold_up_the_end(
    models: Models, tmp_path: Path
) -> None:
    with process(models, tmp_path, "request_seconds=1") as (started, port):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
            one.sendall(post(PRESENT[0])[:-5])
            time.sleep(0.2)
            begin = time.monotonic()
            started.terminate()
            started.communicate()
        assert time.monotonic() - begin < 8.0
        assert started.returncode == 0


def test_what_cant_be_served_is_one_error(models: Models, tmp_path: Path) -> None:
    def ended(error: type[Exception], source: Models, **settings: str) -> str:
        with pytest.raises(error) as refused:
            serve({"port": "0", **settings}, lambda: source)
        return str(refused.value)

    assert "run the nightly job" in ended(NoChampionError, Models(tmp_path))
    assert "BTC-USD" in ended(NoChampionError, models, symbols="BTC-USD")
    assert "BTC-USD" in ended(UnknownSymbolError, models, invocations="BTC-USD/low")
    assert "host='localhost:1'" in ended(SettingsError, models, host="localhost:1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port={port} can't be used" in ended(SettingsError, models, port=port)


def test_without_its_libraries_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_LIBRARIES", ("uvicorn", "no_such_library"))
    with pytest.raises(SettingsError, match=r"no_such_library is not installed.*library\[serve\]"):
        serve({}, lambda: pytest.fail("nothing is to be loaded"))


def test_the_command_has_the_settings_and_its_errors_are_a_line(
    monkeypatch: pytest.MonkeyPatch, sqlite_dsn: str
) -> None:
    options = {option.name for option in mlproject.cli.commands["serve"].params}
    assert options == set(OPTIONS)
    outcome = run_job("serve", "--port", "nowhere")
    assert (outcome.code, "port='nowhere'" in outcome.error) == (2, True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_dsn)
    outcome = run_job("serve", "--port", "0")
    assert (outcome.code, "has no champions" in outcome.error) == (2, True)


def test_an_executors_environment_imports_nothing_of_the_platform() -> None:
    code = """
import sys
for name in ("pandas", "mlflow", "torch", "pydantic", "pydantic_settings", "psutil", "rich",
             "sklearn", "scipy", "pyarrow", "joblib", "exchange_calendars", "fastapi"):
    sys.modules[name] = None
from serving.http.command import check_libraries, desk
from serving.http import Application, Server, ServeSettings
import serving.http.openapi, serving.http.metrics, mlproject
check_libraries()
try:
    mlproject.main(["serve", "--port", "-1"])
except BaseException as error:
    raise SystemExit(f"{type(error)}: {error}")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("error: port='-1'")


# --- reloads ------------------------------------------------------------------------------------


def test_other_champions_are_taken_while_requests_are_answered(tmp_path: Path) -> None:
    models = quick_models(tmp_path, 1100)
    with serving(models, refresh_seconds=0.05) as served:
        first = served.get(f"/champions/{PATH}/low").json["version"]
        data = dataset()
        second = models.add(fit(Family.LIGHTGBM, data), data, regimes=[Regime.LOW])
        for bar in PRESENT:  # until its training's end, and beyond
            assert served.bar(bar).status == 200
        deadline = time.monotonic() + 20.0
        while (version := served.get(f"/champions/{PATH}/low").json["version"]) != second:
            assert version == first
            assert time.monotonic() < deadline
        while served.get("/health").json["error"]:  # which are told of until the look's end
            assert time.monotonic() < deadline


def test_an_error_keeps_the_champions_and_is_told(tmp_path: Path) -> None:
    models = quick_models(tmp_path, 1100)
    with serving(models, refresh_seconds=0.05, sweep_seconds=0.1) as served:
        cells = dict(models.cells)
        models.cells.clear()
        deadline = time.monotonic() + 20.0
        while not (error := served.get("/health").json["models"][0]["error"]):
            assert time.monotonic() < deadline
        assert "no model" in error
        assert served.bar(PRESENT[0]).status == 200
        models.cells |= cells
        while served.get("/health").json["models"][0]["error"]:
            assert time.monotonic() < deadline
