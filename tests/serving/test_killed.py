"""Killed while deciding: no decision that was returned is lost, and the next process goes on."""

from __future__ import annotations

import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serving import Decision, Hamilton, Limits
from serving.entries import decision_of
from serving.replay import journals, replay
from tests.serving.conftest import TRAINED
from tests.serving.desk import Models, bars_of, give, sample

NEW = bars_of(sample(), TRAINED)
ROOT = Path(__file__).parents[2]


def decided(folder: Path) -> list[Decision]:
    """What the journal has."""
    (journal,) = journals(folder)
    return [
        decision_of(journal.model, entry["bar"][0], entry["decision"])
        for name, entry in journal.entries(journal.files)
        if name == "bar"
    ]


def kill_while_deciding(models: Models, folder: Path, kills: int) -> None:
    """Kill so often; a journal that has come to the end of the bars makes room for another."""
    source, rng, killed, number = folder / "models.pickle", random.Random(7), 0, 0
    source.write_bytes(pickle.dumps(models))
    while killed < kills:
        number += 1
        killed += kill_one(models, source, folder / str(number), kills - killed, rng)


def kill_one(models: Models, source: Path, journal: Path, kills: int, rng: random.Random) -> int:
    """Kill processes that write one journal, and check it; how many were killed."""
    returned: list[str] = []
    killed = 0
    while killed < kills:
        with subprocess.Popen(
            [sys.executable, "-m", "tests.serving.decider", str(source), str(journal)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("\n")
            process.stdin.flush()
            # A decision takes a third of a millisecond, so a few are returned before.
            time.sleep(rng.uniform(0.0005, 0.004))
            process.send_signal(signal.SIGKILL)
            lines = process.stdout.read().splitlines()
        returned += [text for text in lines if text.startswith("Decision(") and text[-1] == ")"]
        assert set(returned) <= set(map(repr, decided(journal)))
        if "end" in lines:
            break
        killed += 1
    check(models, journal)
    return killed


def check(models: Models, journal: Path) -> None:
    """What a killed process has left goes on to the last bit, and can be replayed."""
    with Hamilton(
        models, ["ETH/USD"], limits=Limits.off(), journal=journal, clock=lambda: 0
    ) as hamilton:
        last = hamilton.last_close("ETH/USD")
        give(hamilton, "ETH/USD", [bar for bar in NEW if bar.close_time > last])
        profit = hamilton.profit("ETH/USD")
    steady = Hamilton(models, ["ETH/USD"], limits=Limits.off(), clock=lambda: 0)
    expected = give(steady, "ETH/USD", NEW)
    assert list(map(repr, decided(journal))) == list(map(repr, expected))
    assert profit == steady.profit("ETH/USD")
    (result,) = (replay(each, models) for each in journals(journal))
    assert (result.decisions, result.differences) == (len(NEW), ())


def test_a_kill_loses_no_decision_that_was_returned(models: Models, tmp_path: Path) -> None:
    kill_while_deciding(models, tmp_path, 2)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_fifty_kills_lose_no_decision_that_was_returned(models: Models, tmp_path: Path) -> None:
    kill_while_deciding(models, tmp_path, 50)
