"""The market's mood at every bar: what was published by its close and had arrived, or unknown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from brain.errors import InputError
from engine.kernels.incremental.sentiment import IncrementalSentiment
from engine.kernels.sentiment import (
    SENTIMENT_FEATURES,
    SENTIMENT_LOOK_BACK,
    WINDOWS,
    IndexRows,
    PostRows,
    sentiment_features,
)
from tests.engine.kernels.incremental.drive import bits
from tests.engine.moods import DAY, Mood, mood_rows, random_mood
from tests.engine.paths import HOUR, Path, random_path

NOTHING = Mood((), None)
PUBLISHERS = ("news", "x")

seeds = st.integers(0, 10_000)


def column(name: str) -> int:
    return SENTIMENT_FEATURES.index(name)


def posts(*rows: tuple[float, float, float], start: int) -> PostRows:
    """Rows of (hours since the start, hours until arrival, score)."""
    time = np.array([start + int(at * HOUR) for at, _, _ in rows], dtype=np.int64)
    late = np.array([int(hours * HOUR) for _, hours, _ in rows], dtype=np.int64)
    return PostRows(time, time + late, np.array([score for _, _, score in rows]))


def twin(path: Path, mood: Mood) -> NDArray[np.float64]:
    """The formulas as they are written, a bar and a post at a time."""
    closes = path.close_time_ns.tolist()
    rows = np.full((len(path), len(SENTIMENT_FEATURES)), np.nan)
    for t, close in enumerate(closes):
        if not all(price[t] > 0 for price in path.prices()):
            continue
        for window in WINDOWS:
            if t < window:
                continue
            means, spreads = [], []
            for one in mood.posts:
                scores = [
                    score
                    for time, available, score in zip(*vars(one).values(), strict=True)
                    if closes[t - window] < time <= close and available <= close
                    and not np.isnan(score)
                ]  # fmt: skip
                means += [np.mean(scores)] if scores else []
                spreads += [np.std(scores)] if len(scores) > 1 else []
            rows[t, column(f"mood_{window}")] = np.mean(means) if means else np.nan
            if window == 24:
                rows[t, column("mood_spread_24")] = np.mean(spreads) if spreads else np.nan
        if mood.index is not None:
            public = [
                (time, value)
                for time, available, value in zip(*vars(mood.index).values(), strict=True)
                if available <= close
            ]
            if public and close - max(public)[0] <= 2 * DAY:
                rows[t, column("fear_greed")] = max(public)[1] / 100
    return rows


@given(seeds)
def test_the_kernel_is_its_slow_twin(seed: int) -> None:
    path = random_path(seed, 190, 0.02)
    mood = random_mood(path, seed, an_hour=(0.5, 0.05))
    rows = mood_rows(path, mood)
    np.testing.assert_allclose(rows, twin(path, mood), atol=1e-12)
    assert np.isfinite(rows[168:, :4]).any(axis=0).all()


# --- point in time --------------------------------------------------------------------------------


@given(seeds, st.integers(1, 400), seeds)
def test_bars_see_what_was_published_by_their_close_and_had_arrived(
    seed: int, end: int, order: int
) -> None:
    """Whatever comes later, and in whatever order all of it arrives."""
    path = random_path(seed, 400, 0.02)
    mood = random_mood(path, seed)
    whole = mood_rows(path, mood)
    public = mood.published(int(path.close_time_ns[end - 1]))
    for world in (mood, public, public.shuffled(order), mood.shuffled(order)):
        assert bits(mood_rows(path[:end], world)) == bits(whole[:end])
    assert bits(mood_rows(path, public.shuffled(order))[:end]) == bits(whole[:end])


@given(seeds, st.integers(SENTIMENT_LOOK_BACK, 400))
def test_the_last_look_back_bars_give_the_last_row(seed: int, end: int) -> None:
    path = random_path(seed, 400, 0.02)
    mood = random_mood(path, seed)
    recent = path[end - SENTIMENT_LOOK_BACK : end]
    assert bits(mood_rows(recent, mood)[-1]) == bits(mood_rows(path, mood)[end - 1])


def test_a_post_counts_from_its_bar_or_from_its_arrival_until_its_window_is_over() -> None:
    path = random_path(1, 60)
    start = int(path.close_time_ns[0])
    place = column("mood_4")

    def counts(at: float, late: float) -> list[int]:
        rows = mood_rows(path, Mood([posts((at, late, 0.5), start=start)], None))
        assert set(rows[np.isfinite(rows[:, place]), place]) <= {0.5}
        return np.flatnonzero(np.isfinite(rows[:, place])).tolist()

    # Bar t closes t hours after the start.
    assert counts(9.5, 0) == [10, 11, 12, 13]
    assert counts(10, 0) == [10, 11, 12, 13]  # at the very close
    assert counts(9.5, 0.5) == [10, 11, 12, 13]
    assert counts(9.5, 0.6) == [11, 12, 13]
    assert counts(9.5, 3.5) == [13]
    assert counts(9.5, 3.6) == []  # its window is over before it arrives
    assert counts(0.5, 0) == [4]  # windows are whole from the fifth bar on
    assert counts(-5, 0) == []


# --- unknown is not zero --------------------------------------------------------------------------


def test_without_posts_and_index_all_is_unknown() -> None:
    path = random_path(2, 200)
    empty = PostRows(*(np.empty(0, dtype) for dtype in (np.int64, np.int64, float)))
    silent = PostRows(path.close_time_ns, path.close_time_ns, np.full(200, np.nan))
    for mood in (NOTHING, Mood([empty, silent], None)):
        assert np.isnan(mood_rows(path, mood)).all()


def test_a_silent_publisher_changes_no_bit_and_a_loud_one_drowns_nobody() -> None:
    path = random_path(3, 300)
    mood = random_mood(path, 3)
    silent = PostRows(path.close_time_ns, path.close_time_ns, np.full(300, np.nan))
    more = Mood([*mood.posts, silent], mood.index)
    assert bits(mood_rows(path, more)) == bits(mood_rows(path, mood))
    start = int(path.close_time_ns[0])
    loud = posts(*[(10.5, 0, -1.0)] * 99, start=start)
    quiet = posts((10.5, 0, 1.0), start=start)
    rows = mood_rows(path, Mood([loud, quiet], None))
    assert rows[12, column("mood_4")] == 0.0


@pytest.mark.parametrize("score", [1.5, -7.0, np.inf, -np.inf, np.nan])
def test_what_no_score_can_be_does_not_count(score: float) -> None:
    path = random_path(4, 50)
    mood = Mood([posts((20.5, 0, score), start=int(path.close_time_ns[0]))], None)
    assert np.isnan(mood_rows(path, mood)).all()
    day = np.array([int(path.close_time_ns[0]) // DAY * DAY])
    index = IndexRows(day, day, np.array([abs(score) * 100]))
    assert np.isnan(mood_rows(path, Mood((), index))).all()


def test_columns_of_other_lengths_are_refused() -> None:
    path = random_path(5, 20)
    with pytest.raises(InputError, match="score"):
        sentiment_features(
            *path.prices(), path.close_time_ns,
            [PostRows(path.close_time_ns, path.close_time_ns, np.zeros(3))],
        )  # fmt: skip


# --- a bar at a time ------------------------------------------------------------------------------


def add(kernel: IncrementalSentiment, mood: Mood) -> IncrementalSentiment:
    for publisher, rows in zip(PUBLISHERS, mood.posts, strict=True):
        for row in zip(*(c.tolist() for c in vars(rows).values()), strict=True):
            kernel.post(publisher, *row)
    if mood.index is not None:
        for row in zip(*(c.tolist() for c in vars(mood.index).values()), strict=True):
            kernel.index(*row)
    return kernel


@given(
    seed=seeds,
    missing=st.sampled_from([0.0, 0.05, 0.3]),
    restarts=st.frozensets(st.integers(0, 399), max_size=3),
)
def test_no_cell_differs_from_the_batch_with_posts_in_any_order(
    seed: int, missing: float, restarts: frozenset[int]
) -> None:
    path = random_path(seed, 400, missing)
    mood = random_mood(path, seed)
    kernel = add(IncrementalSentiment(PUBLISHERS), mood)
    rows = []
    for place, bar in enumerate(zip(*path.prices(), path.close_time_ns.tolist(), strict=True)):
        rows.append(kernel.push(*bar))
        if place in restarts:
            kernel = IncrementalSentiment.from_arrays(kernel.arrays())
    assert bits(np.array(rows)) == bits(mood_rows(path, mood))


def test_a_post_that_is_pushed_late_is_as_one_that_arrived_late() -> None:
    path = random_path(6, 60)
    start = int(path.close_time_ns[0])
    kernel = IncrementalSentiment(["x"])
    rows = []
    for place, bar in enumerate(zip(*path.prices(), path.close_time_ns.tolist(), strict=True)):
        if place == 22:
            kernel.post("x", start + 20 * HOUR, start + 20 * HOUR, 0.25)
        rows.append(kernel.push(*bar))
    late = Mood([posts((20, 1.5, 0.25), start=start)], None)
    assert bits(np.array(rows)) == bits(mood_rows(path, late))


def test_posts_of_publishers_without_any_in_training_are_refused() -> None:
    with pytest.raises(InputError, match="posts of 'twitter' don't count"):
        IncrementalSentiment(["x"]).post("twitter", 1, 1, 0.5)
    with pytest.raises(InputError, match="comes twice"):
        IncrementalSentiment(["x", "x"])
    kernel = IncrementalSentiment([])
    arrays = kernel.arrays()
    assert IncrementalSentiment.from_arrays(arrays).publishers == ()
    with pytest.raises(InputError, match="publishers is missing"):
        IncrementalSentiment.from_arrays({k: v for k, v in arrays.items() if k != "publishers"})
