"""The dictionary tells of each feature what the kernels do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.kernels.dictionary import (
    BAR_ENTRIES,
    ENTRIES,
    LIQUIDATION_ENTRIES,
    MARKET_ENTRIES,
    SENTIMENT_ENTRIES,
    Entry,
)
from engine.kernels.features import FEATURES, LOOK_BACK, bar_features
from engine.kernels.liquidations import LIQUIDATION_FEATURES, LIQUIDATION_LOOK_BACK
from engine.kernels.market_features import MARKET_FEATURES, MARKET_LOOK_BACK
from engine.kernels.sentiment import SENTIMENT_FEATURES, SENTIMENT_LOOK_BACK
from tests.engine.forced import Forced, forced_rows, random_forced
from tests.engine.markets import Market, random_market, rows_of
from tests.engine.moods import Mood, mood_rows, random_mood
from tests.engine.paths import Path, random_path

BARS = 500
NAMES = (*FEATURES, *MARKET_FEATURES, *SENTIMENT_FEATURES, *LIQUIDATION_FEATURES)
SEEDS = range(4)
ENDS = range(LOOK_BACK, BARS, 19)

Rows = NDArray[np.float64]


@cache
def world(seed: int) -> tuple[Path, Market, Mood, Forced]:
    """Bars and what is known beside them; every second path has gaps."""
    path = random_path(seed, BARS, 0.02 * (seed % 2))
    return path, random_market(path, seed), random_mood(path, seed), random_forced(path, seed)


def rows_of_bars(seed: int, first: int, end: int) -> Rows:
    path, market, mood, _ = world(seed)
    part = path[first:end]
    columns = bar_features(*part.columns()), rows_of(part, market), mood_rows(part, mood)
    return np.column_stack(columns)


def rows_of_minutes(seed: int, first: int, end: int) -> Rows:
    path, _, _, forced = world(seed)
    near = int(path.close_time_ns[first]), int(path.close_time_ns[end - 1])
    return forced_rows(path[first:end], forced.between(*near))


GROUPS: dict[str, tuple[Sequence[Entry], Callable[[int, int, int], Rows]]] = {
    "bars": ((*BAR_ENTRIES, *MARKET_ENTRIES, *SENTIMENT_ENTRIES), rows_of_bars),
    "minutes": (LIQUIDATION_ENTRIES, rows_of_minutes),
}


def test_each_feature_has_an_entry_and_each_entry_is_complete() -> None:
    assert tuple(entry.name for entry in ENTRIES) == NAMES
    assert len(set(NAMES)) == 69
    for entry in ENTRIES:
        assert all([entry.formula, entry.unit, entry.unknown, entry.look_back])
    assert max(entry.look_back for entry in BAR_ENTRIES) == LOOK_BACK
    assert max(entry.look_back for entry in MARKET_ENTRIES) == MARKET_LOOK_BACK
    assert max(entry.look_back for entry in SENTIMENT_ENTRIES) == SENTIMENT_LOOK_BACK
    assert max(entry.look_back for entry in LIQUIDATION_ENTRIES) == LIQUIDATION_LOOK_BACK


@pytest.mark.parametrize("group", GROUPS)
def test_look_backs_are_enough_and_not_a_bar_too_long(group: str) -> None:
    entries, rows = GROUPS[group]
    names = np.array([entry.name for entry in entries])
    look_back = np.array([entry.look_back for entry in entries])
    longer = set(names)
    for seed in SEEDS:
        whole = rows(seed, 0, BARS)
        for end in ENDS:
            for bars in np.unique(look_back):
                mask = look_back == bars
                last = rows(seed, end - bars, end)[-1]
                assert np.array_equal(last[mask], whole[end - 1][mask], equal_nan=True), (
                    seed, end, bars,
                )  # fmt: skip
                if bars > 1 and longer & set(names[mask]):
                    short = rows(seed, end - bars + 1, end)[-1]
                    same = (short == whole[end - 1]) | (np.isnan(short) & np.isnan(whole[end - 1]))
                    longer -= set(names[~same & mask])
    assert longer == {entry.name for entry in entries if entry.look_back == 1}
