"""The closing of a night: up to the day that every symbol has reached, and not before a week."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.lines import line_of
from brain.model_keys import ModelKey
from brain.naming import Family
from brain.recipes import Recipe
from brain.series.store.store import SeriesStore
from brain.settings import load_settings
from engine.night.promotion import Promotion
from registry.library import BrainLibrary
from registry.promotion.closings import close_night, day_start, read_closings
from tests.registry.promotion.nights import FIRST, NAME, evidence_rows

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
RECIPES = [
    Recipe(family, "bars-1", 6, {}, 7, timeframe="1h", target="scaled return")
    for family in (Family.LIGHTGBM, Family.XGBOOST)
]
LINES = [line_of(recipe) for recipe in RECIPES]
IDS = [line.id for line in LINES]


@pytest.fixture
def library(sqlite_dsn: str, tmp_path: Path) -> BrainLibrary:
    """Three symbols with two recipes each."""
    library = BrainLibrary(sqlite_dsn, series=SeriesStore(tmp_path / "series"))
    for symbol in "ABC":
        for recipe in RECIPES:
            library.set_recipe(key_of(symbol), recipe.family, recipe.to_json())
    return library


def key_of(symbol: str) -> ModelKey:
    return ModelKey(symbol, "1h", 6)


def close(library: BrainLibrary, reached: dict[str, int], lines: list[str] = IDS) -> list[int]:
    """A night in which these symbols' bars reach the ends of these days; all closed days."""
    promotion = Promotion(library, load_settings(), MOMENT)
    for symbol, day in reached.items():
        closes = pd.date_range(end=day_start(FIRST + day + 1), periods=30, freq="h")
        promotion.done(key_of(symbol), closes, lines)
    promotion.close()
    assert promotion.failures == []
    return [closing.day - FIRST for closing in read_closings(library.series, NAME)]


def add(library: BrainLibrary, symbol: str, day: int) -> None:
    values = np.zeros((1, 1, 4, 2))
    rows = evidence_rows(FIRST + day, values, symbols=[symbol], lines=LINES)
    library.series.append("evidence", rows)


def test_a_night_is_closed_up_to_the_day_that_all_its_symbols_reach(library: BrainLibrary) -> None:
    assert close(library, {"A": 3, "B": 2}) == [2]
    (closing,) = read_closings(library.series, NAME)
    assert closing.symbols == {"A": tuple(sorted(IDS)), "B": tuple(sorted(IDS))}
    assert close(library, {"A": 3, "B": 2}) == [2]
    assert close(library, {"A": 4, "B": 4, "C": 4}) == [2, 4]


def test_a_symbol_far_behind_is_left_out(library: BrainLibrary) -> None:
    assert close(library, {"A": 20, "B": 12, "C": 14}) == [14]
    (closing,) = read_closings(library.series, NAME)
    assert set(closing.symbols) == {"A", "C"}


def test_a_symbol_that_failed_tonight_is_waited_for_a_week(library: BrainLibrary) -> None:
    for symbol in "ABC":
        add(library, symbol, 0)
    assert close(library, {"A": 0, "B": 0, "C": 0}) == [0]
    for day in range(1, 8):
        assert close(library, {"A": day, "B": day}) == [0]
    add(library, "C", 1)
    assert close(library, {"A": 8, "B": 8}) == [0, 1]
    assert close(library, {"A": 9, "B": 9}) == [0, 1, 9]
    assert set(read_closings(library.series, NAME)[1].symbols) == {"A", "B", "C"}
    assert set(read_closings(library.series, NAME)[2].symbols) == {"A", "B"}


def test_nights_on_older_bars_close_nothing(library: BrainLibrary) -> None:
    assert close(library, {"A": 20}) == [20]
    for day in (19, 5):
        assert close(library, {"A": day}) == [20]
        assert close(library, {"B": day}) == [20]


def test_lines_without_a_version_are_none_of_a_closing(library: BrainLibrary) -> None:
    assert close(library, {"A": 3}, lines=[]) == []
    assert close(library, {"A": 3}, lines=IDS[:1]) == [3]
    (closing,) = read_closings(library.series, NAME)
    assert list(closing.lines.values()) == LINES[:1]


def test_bars_that_end_within_a_day_do_not_reach_it(library: BrainLibrary) -> None:
    promotion = Promotion(library, load_settings(), MOMENT)
    closes = pd.date_range(end=day_start(FIRST + 3) - pd.Timedelta(hours=1), periods=99, freq="h")
    promotion.done(key_of("A"), closes, IDS)
    promotion.close()
    assert [c.day - FIRST for c in read_closings(library.series, NAME)] == [1]


def test_a_closed_night_stays_as_it_is(library: BrainLibrary) -> None:
    store = library.series
    assert close_night(store, NAME, FIRST, {"A": LINES})
    assert not close_night(store, NAME, FIRST, {"B": LINES})
    assert list(read_closings(store, NAME)[0].symbols) == ["A"]


def test_contests_of_other_horizons_and_timeframes_are_not_the_nights(
    library: BrainLibrary,
) -> None:
    add(library, "A", 0)
    for name in (NAME, "1h.12", "4h.6"):
        close_night(library.series, name, FIRST, {"A": LINES})
    for overrides, names in (({}, [NAME, "4h.6"]), ({"timeframe": "1h"}, [NAME])):
        promotion = Promotion(library, load_settings(overrides), MOMENT)
        assert [c["contest"] for c in promotion.document()["contests"]] == names
