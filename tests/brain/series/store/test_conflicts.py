"""A commit that conflicts with another writer's is tried again, and given up in the end."""

from __future__ import annotations

import time

import pytest
from deltalake.exceptions import CommitFailedError

from brain.series.store.table import until_committed


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts; a clock that they alone move."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    start = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: start + sum(pauses))
    return pauses


def test_a_conflict_is_tried_again_after_ever_longer_pauses(pauses: list[float]) -> None:
    conflicts = 12

    def work() -> str:
        if len(pauses) < conflicts:
            raise CommitFailedError("another writer was faster")
        return "committed"

    assert until_committed(work) == "committed"
    assert len(pauses) == conflicts
    assert all(0 <= pause <= min(0.02 * 2**n, 2.0) for n, pause in enumerate(pauses))
    assert len(set(pauses)) > conflicts / 2  # at random, so that writers get out of step


def test_a_conflict_that_stays_is_raised_after_five_minutes(pauses: list[float]) -> None:
    def work() -> None:
        raise CommitFailedError("another writer was faster")

    with pytest.raises(CommitFailedError, match="another writer was faster"):
        until_committed(work)
    assert 300 <= sum(pauses) < 302
    assert max(pauses) <= 2.0


def test_other_errors_are_raised_at_once(pauses: list[float]) -> None:
    def work() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        until_committed(work)
    assert pauses == []
