from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from market.collection.grid import (
    FixedGrid,
    FundingGrid,
    Span,
    as_times,
    join_spans,
    parts_outside,
)
from market.exchanges.base import FUNDING_HOURS
from market.exchanges.pages import intervals

START = pd.Timestamp("2026-01-05", tz="UTC")
HOUR = pd.Timedelta(hours=1)


def at(hours: float) -> pd.Timestamp:
    return START + hours * HOUR


def settlements(*stretches: tuple[int, int, int]) -> list[int]:
    """Hours after START: (from, to, every)."""
    return [hour for first, last, every in stretches for hour in range(first, last, every)]


def times(hours: list[int]) -> np.ndarray:
    return as_times(pd.DatetimeIndex([at(hour) for hour in hours], tz="UTC"))


def missed(spans: list[Span]) -> list[tuple[float, float, int]]:
    return [((s.start - START) / HOUR, (s.end - START) / HOUR, s.count) for s in spans]


# --- fixed ----------------------------------------------------------------------------------------


def test_holes_of_a_fixed_grid_are_stretches() -> None:
    grid = FixedGrid.of("1h")
    have = times([0, 1, 4, 5, 9, 40])
    assert missed(grid.holes(have, at(-1), at(11))) == [
        (-1, 0, 1),
        (2, 4, 2),
        (6, 9, 3),
        (10, 11, 1),
    ]
    assert grid.holes(times(list(range(10))), at(0), at(10)) == []
    assert missed(grid.holes(times([]), at(0.5), at(3))) == [(1, 3, 2)]
    assert grid.holes(times([]), at(3), at(3)) == []


def test_a_row_off_the_grid_fills_no_hole() -> None:
    off = as_times(pd.DatetimeIndex([at(1) + pd.Timedelta("7min")]))
    assert missed(FixedGrid.of("1h").holes(off, at(0), at(2))) == [(0, 2, 2)]


@pytest.mark.parametrize(
    ("timeframe", "time", "floor", "ceil"),
    [
        ("1h", "2026-01-07 10:17", "2026-01-07 10:00", "2026-01-07 11:00"),
        ("1h", "2026-01-07 10:00", "2026-01-07 10:00", "2026-01-07 10:00"),
        ("1d", "2026-01-07 10:17", "2026-01-07", "2026-01-08"),
        ("1w", "2026-01-07 10:17", "2026-01-05", "2026-01-12"),  # Mondays
    ],
)
def test_grid_points_are_in_utc(timeframe: str, time: str, floor: str, ceil: str) -> None:
    grid, moment = FixedGrid.of(timeframe), pd.Timestamp(time, tz="UTC")
    assert grid.floor(moment) == pd.Timestamp(floor, tz="UTC")
    assert grid.ceil(moment) == pd.Timestamp(ceil, tz="UTC")


@given(have=st.sets(st.integers(-5, 60)), start=st.integers(-5, 30), length=st.integers(0, 40))
def test_fixed_holes_are_the_set_difference(have: set[int], start: int, length: int) -> None:
    spans = FixedGrid.of("1h").holes(times(sorted(have)), at(start), at(start + length))
    hours = [h for s in missed(spans) for h in range(int(s[0]), int(s[1]))]
    assert hours == sorted(set(range(start, start + length)) - have)
    assert sum(span.count for span in spans) == len(hours)
    assert all(a.end < b.start for a, b in pairwise(spans))


# --- funding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", FUNDING_HOURS)
def test_a_skipped_settlement_is_a_hole(hours: int) -> None:
    rows = settlements((0, 480, hours))
    skipped = 15 * hours
    grid = FundingGrid(hours)
    assert grid.holes(times(rows), at(0), at(480)) == []
    rows.remove(skipped)
    assert missed(grid.holes(times(rows), at(0), at(480))) == [(skipped, skipped + hours, 1)]


@pytest.mark.parametrize("present", [*FUNDING_HOURS, None])
def test_history_at_another_interval_is_whole(present: int | None) -> None:
    grid = FundingGrid(present)
    for hours in FUNDING_HOURS:
        assert grid.holes(times(settlements((0, 240, hours))), at(0), at(240)) == []


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (8, 4),
        (4, 8),
        (8, 1),
        (1, 8),
        (4, 1),
        (2, 4),
        (8, 6),
        (6, 8),
        (6, 4),
        (4, 6),
        (6, 1),
        (3, 8),
    ],
)
def test_a_change_of_interval_is_no_hole(first: int, then: int) -> None:
    rows = settlements((0, 240, first), (240, 480, then))
    assert FundingGrid(then).holes(times(rows), at(0), at(480)) == []


def test_a_hole_in_a_stretch_at_a_former_interval_is_found_at_that_interval() -> None:
    rows = settlements((0, 240, 8), (240, 480, 4))
    for skipped in (80, 400):
        rows.remove(skipped)
    assert missed(FundingGrid(4).holes(times(rows), at(0), at(480))) == [
        (80, 88, 1),
        (400, 404, 1),
    ]


@pytest.mark.parametrize(
    "skipped",
    [
        [240],  # the last at 8 h
        [240, 244],  # and the first at 4 h
        [244, 248],
        [232, 236, 240, 244, 248, 252, 256],
    ],
)
def test_a_hole_at_a_change_is_recorded_rather_too_wide(skipped: list[int]) -> None:
    rows = settlements((0, 241, 8), (244, 480, 4))
    spans = FundingGrid(4).holes(times([r for r in rows if r not in skipped]), at(0), at(480))
    for hour in set(skipped) & set(rows):
        assert any(span.start <= at(hour) < span.end for span in spans)
    # At most the points of the finer interval between the neighbours are recorded.
    assert sum(span.count for span in spans) <= len(skipped) + 2


def test_the_one_hole_that_times_alone_do_not_tell() -> None:
    """If the first at the finer interval is missing, the change looks one settlement later."""
    rows = settlements((0, 241, 8), (248, 480, 4))
    assert FundingGrid(4).holes(times(rows), at(0), at(480)) == []


def test_two_coarse_spacings_are_not_yet_a_stretch() -> None:
    rows = settlements((0, 96, 1))
    skipped = [r for r in rows if r not in (41, 43)]
    assert missed(FundingGrid(1).holes(times(skipped), at(0), at(96))) == [
        (41, 42, 1),
        (43, 44, 1),
    ]


def test_equal_spacings_off_the_interval_are_no_stretch() -> None:
    """Every eighth hour, but at 01:00: nobody settles then; the hourly ones between are missing."""
    rows = settlements((1, 49, 8))
    assert sum(s.count for s in FundingGrid(1).holes(times(rows), at(0), at(48))) == 48 - len(rows)


def test_rows_beyond_the_range_are_context() -> None:
    rows = times(settlements((-96, 16, 8)))
    assert FundingGrid(1).holes(rows, at(0), at(16)) == []
    assert missed(FundingGrid(1).holes(rows[rows >= times([0])[0]], at(0), at(12))) != []
    assert FundingGrid(8).holes(times(settlements((0, 64, 8))), at(8), at(48)) == []


def test_nothing_known_counts_as_eight_hours() -> None:
    assert missed(FundingGrid(None).holes(times([]), at(1), at(24))) == [(8, 24, 2)]
    assert missed(FundingGrid(4).holes(times([]), at(1), at(10))) == [(4, 10, 2)]


def test_every_interval_of_the_grid_is_one_that_settlements_tell() -> None:
    """What a page tells of a settlement's interval, the grid must count by too."""
    for hours in range(1, 25):
        index = pd.DatetimeIndex([at(hours * n) for n in range(5)])
        hours_of_page = intervals(index, None)
        assert (hours_of_page == hours).all() == (hours in FUNDING_HOURS)
    assert all(24 % hours == 0 for hours in FUNDING_HOURS)


def test_what_was_not_asked_for_covers_every_interval() -> None:
    rows = settlements((80, 160, 8))
    spans = FundingGrid(8).possible_holes(times(rows), at(0), at(241))
    assert missed(spans) == [(0, 80, 10), (153, 241, 11)]
    hole = [r for r in rows if r != 120]
    assert missed(FundingGrid(8).possible_holes(times(hole), at(80), at(160))) == [(113, 128, 1)]


def test_a_whole_series_leaves_nothing_to_ask() -> None:
    rows = times(settlements((0, 160, 8)))
    assert FundingGrid(8).possible_holes(rows, at(0), at(159)) == []


@given(
    stretches=st.lists(
        st.tuples(st.sampled_from(FUNDING_HOURS[1:]), st.integers(5, 12)), min_size=1, max_size=4
    ),
    data=st.data(),
)
def test_single_skips_within_stretches_are_always_recorded(
    stretches: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Each stretch is long, one settlement is skipped inside it; each is found, and no other."""
    rows, skipped, now = [], [], 0
    for hours, days in stretches:
        rows += list(range(now, now + 24 * days, hours))
        inside = range(now + 4 * hours, now + 24 * days - 4 * hours, hours)
        skipped.append(data.draw(st.sampled_from(list(inside))))
        now += 24 * days
    rest = [row for row in rows if row not in skipped]
    for present in (stretches[-1][0], None):
        spans = FundingGrid(present).holes(times(rest), at(0), at(now))
        assert [span.start for span in spans] == [at(hour) for hour in skipped]
        assert all(span.count == 1 for span in spans)
        possible = FundingGrid(present).possible_holes(times(rest), at(0), at(now))
        for hour in skipped:
            assert any(span.start <= at(hour) < span.end for span in possible)


# --- spans ----------------------------------------------------------------------------------------


def test_near_spans_are_asked_for_at_once() -> None:
    spans = [Span(at(10), at(11), 1), Span(at(0), at(2), 2), Span(at(4), at(5), 1)]
    assert missed(join_spans(spans, 3 * HOUR)) == [(0, 5, 3), (10, 11, 1)]
    assert missed(join_spans(spans, 99 * HOUR)) == [(0, 11, 4)]
    assert join_spans([], HOUR) == []


@given(
    spans=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8)), max_size=5),
    start=st.integers(0, 20),
    length=st.integers(1, 20),
)
def test_outside_is_the_set_difference(
    spans: list[tuple[int, int]], start: int, length: int
) -> None:
    scope = [Span(at(first), at(first + n), n) for first, n in spans]
    left = parts_outside(at(start), at(start + length), scope)
    covered = {h for first, n in spans for h in range(first, first + n)}
    hours = [h for a, b in left for h in range(int((a - START) / HOUR), int((b - START) / HOUR))]
    assert hours == [h for h in range(start, start + length) if h not in covered]
