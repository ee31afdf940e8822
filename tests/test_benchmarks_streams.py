"""The benchmark of streams: what is counted as kept, and a burst of a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.stream_bursts import Sent
from benchmarks.stream_sides import Taken, ccxt_side, our_side, take_in
from benchmarks.streams import report


def taken(kept: int, latencies: list[float], megabytes: list[float], cores: float = 0.2) -> Taken:
    sent = Sent(100, {"binance": 40, "bybit": 60})
    return Taken({"binance": 40, "bybit": kept - 40}, latencies, cores, megabytes, 1.0, sent)


def test_what_is_missing_slow_or_growing_misses_its_target() -> None:
    flat, quick = [100.0] * 9, [1.0] * 99 + [50.0]
    good = report([taken(100, quick, flat)], [taken(50, [], flat)], 100, 9)
    assert good.missed == []
    kept = good.metrics[0]
    assert (kept.ours, kept.theirs, kept.ratio) == ([1.0], [0.5], 2.0)
    assert "binance 1.0000 beside 1.0000; bybit 1.0000 beside 0.1667" in good.notes[1]
    theirs = [taken(50, [], flat)]
    for bad in (
        taken(99, quick, flat),
        taken(100, [1.0] * 90 + [50.0] * 10, flat),
        taken(100, quick, [100.0] * 6 + [120.0] * 3),
        taken(100, quick, flat, cores=1.1),
    ):
        assert len(report([bad], theirs, 100, 9).missed) == 1


@pytest.mark.soak
@pytest.mark.parametrize("side", [our_side, ccxt_side])
def test_a_short_burst_is_taken_in(side: object, tmp_path: Path) -> None:
    one = take_in(side, 300.0, 3.0, tmp_path)  # type: ignore[arg-type]
    assert sum(one.sent.events.values()) > 300
    share = sum(one.events.values()) / sum(one.sent.events.values())
    assert share == 1.0 if side is our_side else 0 < share <= 1.0
    assert len(one.megabytes) == 3
