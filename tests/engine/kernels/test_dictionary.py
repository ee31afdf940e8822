"""The dictionary tells of each feature what the kernels do."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from engine.kernels.dictionary import BAR_ENTRIES, ENTRIES, MARKET_ENTRIES, SENTIMENT_ENTRIES
from engine.kernels.features import FEATURES, LOOK_BACK, bar_features
from engine.kernels.market_features import MARKET_FEATURES, MARKET_LOOK_BACK
from engine.kernels.sentiment import SENTIMENT_FEATURES, SENTIMENT_LOOK_BACK
from tests.engine.markets import Market, random_market, rows_of
from tests.engine.moods import Mood, mood_rows, random_mood
from tests.engine.paths import Path, random_path

BARS = 500
NAMES = (*FEATURES, *MARKET_FEATURES, *SENTIMENT_FEATURES)
SEEDS = range(4)
ENDS = range(LOOK_BACK, BARS, 19)


@cache
def world(seed: int) -> tuple[Path, Market, Mood]:
    """Bars, their market and its mood; every second path has gaps."""
    path = random_path(seed, BARS, 0.02 * (seed % 2))
    return path, random_market(path, seed), random_mood(path, seed)


def rows_of_path(path: Path, market: Market, mood: Mood) -> NDArray[np.float64]:
    columns = bar_features(*path.columns()), rows_of(path, market), mood_rows(path, mood)
    return np.column_stack(columns)


@cache
def rows(seed: int) -> NDArray[np.float64]:
    return rows_of_path(*world(seed))


def last_row(seed: int, end: int, bars: int) -> NDArray[np.float64]:
    """The last row of so many bars up to an end."""
    path, market, mood = world(seed)
    last: NDArray[np.float64] = rows_of_path(path[end - bars : end], market, mood)[-1]
    return last


def test_each_feature_has_an_entry_and_each_entry_is_complete() -> None:
    assert tuple(entry.name for entry in ENTRIES) == NAMES
    assert len(set(NAMES)) == 63
    for entry in ENTRIES:
        assert all([entry.formula, entry.unit, entry.unknown, entry.look_back])
    assert max(entry.look_back for entry in BAR_ENTRIES) == LOOK_BACK
    assert max(entry.look_back for entry in MARKET_ENTRIES) == MARKET_LOOK_BACK
    assert max(entry.look_back for entry in SENTIMENT_ENTRIES) == SENTIMENT_LOOK_BACK


def test_look_backs_are_enough_and_not_a_bar_too_long() -> None:
    look_back = np.array([entry.look_back for entry in ENTRIES])
    longer = set(NAMES)
    for seed in SEEDS:
        for end in ENDS:
            whole = rows(seed)[end - 1]
            for bars in np.unique(look_back):
                mask = look_back == bars
                assert np.array_equal(
                    last_row(seed, end, bars)[mask], whole[mask], equal_nan=True
                ), (seed, end, bars)
                if bars > 1 and longer & {n for n, m in zip(NAMES, mask, strict=True) if m}:
                    short = last_row(seed, end, bars - 1)
                    differs = ~((short == whole) | (np.isnan(short) & np.isnan(whole)))
                    longer -= {n for n, d in zip(NAMES, differs & mask, strict=True) if d}
    assert longer == {entry.name for entry in ENTRIES if entry.look_back == 1}
