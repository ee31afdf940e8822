"""What was listened to, against a slow twin that looks at every millisecond."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from market.streams.listening import HOUR, Listening, ListeningRow

SERIES = ("okx", "BTC/USDT:USDT", "liquidations")


def rows_of(listening: Listening) -> list[ListeningRow]:
    return sorted(listening.take(), key=lambda row: row.start)


def test_stretches_that_touch_are_one() -> None:
    listening = Listening()
    listening.begin(SERIES, 1000, "not open yet")
    listening.cover(SERIES, 1200, 1500)
    listening.cover(SERIES, 1200, 1700)
    listening.cover(SERIES, 1650, 1900)
    assert rows_of(listening) == [
        ListeningRow(SERIES, 1000, 1200, "not open yet"),
        ListeningRow(SERIES, 1200, 1900, ""),
    ]
    listening.cover(SERIES, 1650, 1900)
    assert rows_of(listening) == []


def test_what_lies_between_two_stretches_has_the_reason_that_was_given() -> None:
    listening = Listening()
    listening.cover(SERIES, 0, 100)
    listening.miss(SERIES, "closed")
    listening.lasting(SERIES, 150)
    assert rows_of(listening)[-1] == ListeningRow(SERIES, 100, 150, "closed")
    listening.miss(SERIES, "silent")
    listening.cover(SERIES, 180, 200)
    assert rows_of(listening) == [
        ListeningRow(SERIES, 100, 180, "silent"),
        ListeningRow(SERIES, 180, 200, ""),
    ]


def test_a_connection_that_reaches_back_replaces_the_lasting_interruption() -> None:
    listening = Listening()
    listening.cover(SERIES, 0, 100)
    listening.miss(SERIES, "closed")
    listening.lasting(SERIES, 150)
    listening.cover(SERIES, 90, 200)  # its first pulse was before the other's last
    assert rows_of(listening) == [
        ListeningRow(SERIES, 0, 100, ""),
        ListeningRow(SERIES, 100, 200, ""),
    ]


def test_rows_end_at_full_hours() -> None:
    listening = Listening()
    listening.cover(SERIES, HOUR - 500, HOUR)
    listening.cover(SERIES, HOUR - 500, 3 * HOUR + 7)
    assert rows_of(listening) == [
        ListeningRow(SERIES, HOUR - 500, HOUR, ""),
        ListeningRow(SERIES, HOUR, 2 * HOUR, ""),
        ListeningRow(SERIES, 2 * HOUR, 3 * HOUR, ""),
        ListeningRow(SERIES, 3 * HOUR, 3 * HOUR + 7, ""),
    ]


spans = st.lists(
    st.tuples(st.integers(0, 400), st.integers(-5, 60), st.booleans()), min_size=1, max_size=25
)


@given(spans, st.integers(0, 2**32))
def test_every_moment_is_in_one_row_and_rightly(
    steps: list[tuple[int, int, bool]], seed: int
) -> None:
    """Whenever its rows are taken, and through a state."""
    rng = random.Random(seed)
    listening, table = Listening(), dict[int, ListeningRow]()
    listening.begin(SERIES, 0, "begin")
    right: set[int] = set()
    until = 0
    scale = HOUR // 40  # so that hours are crossed
    for start, length, broken in sorted(steps):
        first, last = start * scale, (start + length) * scale
        if broken:
            listening.miss(SERIES, "closed")
            if rng.random() < 0.5:
                listening.lasting(SERIES, until + rng.randrange(1, 3 * scale))
        listening.cover(SERIES, first, last)
        right |= set(range(start, start + length))
        until = max(until, last)
        if rng.random() < 0.5:
            table |= {row.start: row for row in listening.take()}
        if rng.random() < 0.3:
            state = listening.state()
            table |= {row.start: row for row in listening.take()}
            listening = Listening()
            listening.restore(state)
    table |= {row.start: row for row in listening.take()}
    rows = sorted(table.values(), key=lambda row: row.start)
    end = max([0, *((one + 1) * scale for one in right)])
    rows = [row for row in rows if row.start < end]
    for step in range(end // scale):
        inside = [r for r in rows if r.start <= step * scale and r.end >= (step + 1) * scale]
        assert len(inside) == 1, (step, rows)
        assert (inside[0].reason == "") == (step in right)
    assert all(row.start // HOUR == (row.end - 1) // HOUR for row in rows if not row.reason)


@pytest.mark.parametrize("end", [5, 10, 9])
def test_no_time_is_no_stretch(end: int) -> None:
    listening = Listening()
    listening.begin(SERIES, 10, "begin")
    listening.cover(SERIES, 0, end)
    assert rows_of(listening) == []


def test_a_row_has_the_longest_delay_of_the_pulses_that_prove_it() -> None:
    listening = Listening()
    listening.cover(SERIES, HOUR - 500, HOUR - 200, {0: 300})
    listening.cover(SERIES, HOUR - 500, HOUR + 7, {0: 900, 1: 200})
    # Another connection's pulses were quicker: what was proved later stays.
    listening.cover(SERIES, HOUR, HOUR + 9, {1: 100})
    state = listening.state()
    listening.miss(SERIES, "closed")
    listening.cover(SERIES, HOUR + 20, HOUR + 30, {1: 50})
    assert rows_of(listening) == [
        ListeningRow(SERIES, HOUR - 500, HOUR, "", 900),
        ListeningRow(SERIES, HOUR, HOUR + 9, "", 200),
        ListeningRow(SERIES, HOUR + 9, HOUR + 20, "closed"),
        ListeningRow(SERIES, HOUR + 20, HOUR + 30, "", 50),
    ]
    resumed = Listening()
    resumed.restore(state)
    resumed.cover(SERIES, HOUR + 5, HOUR + 12, {1: 60})
    assert rows_of(resumed) == [ListeningRow(SERIES, HOUR, HOUR + 12, "", 200)]
