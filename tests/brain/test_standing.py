"""What is said of a champion after a night."""

from __future__ import annotations

from dataclasses import replace

import pytest

from brain.model_keys import ModelKey
from brain.naming import Family, Regime
from brain.records import CellRecord, Champion
from brain.standing import Standing

RECORD = CellRecord(
    7, "d", Family.LSTM, "r", "2026-11-22", True, "prior", 1, 1, "", night="2026-11-22"
)
KEY = ModelKey("BTC/USDT", "1h", 6)
CHAMPION = Champion(KEY.name, KEY, Regime.HIGH, 7, RECORD)


@pytest.mark.parametrize(
    ("then", "pinned", "trained", "age", "note"),
    [
        ("2026-11-25", False, True, 0, ""),
        ("2026-11-25", True, True, 0, "pinned by hand"),
        ("2026-11-25", False, False, 0, "not trained tonight, 0 days old"),
        ("2026-11-24", False, False, 1, "not trained tonight, 1 day old"),
        ("2025-11-25", True, False, 365, "pinned by hand, not trained tonight, 365 days old"),
        ("", False, False, None, "not trained tonight, of unknown age"),
    ],
)
def test_a_version_of_long_ago_and_a_pin_are_told(
    then: str, pinned: bool, trained: bool, age: int | None, note: str
) -> None:
    champion = replace(CHAMPION, pinned=pinned, record=replace(RECORD, night=then))
    standing = Standing(champion, "2026-11-25", trained)
    assert (standing.age_days, standing.note) == (age, note)
    assert standing.why == (f"{note}; prior" if note else "prior")


def test_a_size_of_0_is_told_with_its_reason() -> None:
    abstain, lowered = "abstain: not credibly better", "lowered: 60% of the features drifted"
    for size, reason, more in (
        (None, "", ""), (1.0, "", ""), (0.3, "", ""),
        (0.0, abstain, f"; size 0, {abstain}"), (0.123, lowered, f"; size 0.12, {lowered}"),
    ):  # fmt: skip
        record = replace(RECORD, size=size, size_reason=reason)
        standing = Standing(replace(CHAMPION, record=record), "2026-11-22", trained=True)
        assert standing.why == f"prior{more}"
