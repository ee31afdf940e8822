"""Log lines: their labels and forms, from every process, without secrets; and rotation."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brain.errors import BrainError, TrainingError
from brain.logs import Logs, label, labelled, labels, log_to
from brain.work import Failure
from brain.workers import Call, Unit, outcomes, run_units

logger = logging.getLogger("engine.test")


def note(text: str) -> str:
    logging.getLogger("engine.test").warning("at work on %s", text)
    if text == "bad":
        raise ZeroDivisionError("nought")
    return text


def failure(task: Any, error: BrainError) -> Failure:
    return Failure(str(task), error, symbol=str(task))


def unit(symbol: str, family: str) -> Unit[str]:
    label(symbol=symbol)
    call = Call(note, symbol, failure, TrainingError, labels={"family": family})
    yield from outcomes([call], lambda outcome: logger.info("done with %s", outcome))
    return symbol


def entries(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(autouse=True)
def _levels() -> Iterator[None]:
    yield
    assert dict(labels()) == {}


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_line_has_the_labels_of_its_own_work(jobs: int, tmp_path: Path) -> None:
    file = tmp_path / "brain.log"
    with log_to(Logs(file, as_json=True)):
        label(night=3, run="abc")
        pairs = {"BTC/USD": "lstm", "ETH/USD": "xgboost", "LTC/USD": "lightgbm"}
        assert set(run_units((unit(*pair) for pair in pairs.items()), jobs=jobs)) == set(pairs)
    lines = entries(file)
    assert {(e["night"], e["run"]) for e in lines} == {("3", "abc")}
    at_work = {(e["symbol"], e["family"]) for e in lines if e["message"].startswith("at work")}
    assert at_work == set(pairs.items())
    done = {(e["symbol"], e["family"], e["level"]) for e in lines if "done" in e["message"]}
    assert done == {(symbol, "", "INFO") for symbol in pairs}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", e["time"]) for e in lines)


def test_the_traceback_is_in_the_file_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "brain.log"
    with log_to(Logs(file)):
        list(run_units([unit("bad", "lstm")], jobs=1))
    shown = capsys.readouterr().err
    assert [line for line in shown.splitlines() if "bad failed" in line]
    assert "Traceback" not in shown
    assert "ZeroDivisionError: nought" in file.read_text()
    assert " ERROR night=- run=- symbol=bad family=lstm brain.workers: bad failed" in shown


def test_a_line_shows_no_secret_and_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "quietquiet")
    with log_to(Logs(tmp_path / "brain.log")):
        logger.warning("two\nlines of quietquiet at http://me:hushhush@host/")
    for text in (capsys.readouterr().err, (tmp_path / "brain.log").read_text()):
        assert "quietquiet" not in text
        assert "hushhush" not in text
        assert text.count("\n") == 1
        assert "two lines of ***" in text


def test_the_error_that_ends_a_job_is_the_files_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "brain.log"
    with pytest.raises(TrainingError), log_to(Logs(file, as_json=True)), labelled(night=9):
        raise TrainingError("it is broken; mend it")
    last = entries(file)[-1]
    assert (last["level"], last["message"]) == (
        "ERROR",
        "ended by TrainingError: it is broken; mend it",
    )
    assert "Traceback" in last["traceback"]
    assert capsys.readouterr().err == ""


def test_libraries_progress_is_left_out_and_their_warnings_are_not(tmp_path: Path) -> None:
    file = tmp_path / "brain.log"
    with log_to(Logs(file, as_json=True)):
        logging.getLogger("another.library").info("progress")
        logging.getLogger("another.library").warning("odd")
    assert [entry["message"] for entry in entries(file)] == ["odd"]


def test_a_large_file_is_rotated_when_a_job_starts_and_five_stay(tmp_path: Path) -> None:
    file = tmp_path / "brain.log"
    for number in range(8):
        with log_to(Logs(file)):
            logger.warning("start %d", number)
        with file.open("a") as opened:
            opened.write("x" * 10_000_000)
    starts = {path.name: re.findall(r"start (\d)", path.read_text()) for path in tmp_path.iterdir()}
    assert starts == {
        "brain.log": ["7"],
        **{f"brain.log.{n}": [str(7 - n)] for n in range(1, 6)},
    }


def test_a_log_that_cannot_be_kept_is_told_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    with log_to(Logs(tmp_path / "file" / "brain.log")):
        logger.warning("goes on")
    shown = capsys.readouterr().err
    assert "no log is kept in" in shown
    assert "goes on" in shown
