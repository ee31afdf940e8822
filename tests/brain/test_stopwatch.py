"""Seconds by stage."""

from __future__ import annotations

import time

import pytest

from brain.stopwatch import Stopwatch


def test_the_seconds_of_a_stage_add_up() -> None:
    watch = Stopwatch({"train": 1.25})
    with watch.stage("train"):
        time.sleep(0.02)
    with watch.stage("explain"):
        pass
    assert list(watch.seconds) == ["train", "explain"]
    assert watch.seconds["train"] >= 1.27
    watch.add({"explain": 2.0004, "store": 0.5})
    assert watch.seconds["explain"] >= 2.0
    assert watch.seconds["store"] == 0.5


def test_a_stage_that_fails_is_not_counted() -> None:
    watch = Stopwatch()
    with pytest.raises(KeyError), watch.stage("train"):
        raise KeyError
    assert watch.seconds == {}
