"""Sizes: abstaining, and guardrails by the newest evidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from brain.model_keys import ModelKey
from brain.naming import REGIMES, Regime
from brain.series.store.store import SeriesStore
from engine.night.sizes import UNJUDGED, Size, symbol_sizing
from registry.promotion.places import Place
from tests.registry.promotion.nights import FIRST, LINES, LSTM, XGBOOST, evidence_rows, live

KEY = ModelKey("AAA/USD", "1h", 6)
#: The lstm has regime high, xgboost the others, since the first night.
PLACES = {
    ("AAA/USD", str(regime)): Place(
        LSTM if regime is Regime.HIGH else XGBOOST, "", False, FIRST, better=True
    )
    for regime in REGIMES
}


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    """200 nights before the first, and 20 live ones since."""
    store = SeriesStore(tmp_path / "series")
    values = live(221, seed=1) / 10.0
    store.append("evidence", evidence_rows(FIRST - 200, values[:201], source="backtest"))
    store.append("evidence", evidence_rows(FIRST + 1, values[201:]))
    return store


def sizes(store: SeriesStore, places: object = None, *, intact: bool = True) -> dict[str, Size]:
    sizing = symbol_sizing(store, KEY, PLACES if places is None else places)  # type: ignore[arg-type]
    return {str(regime): sizing.size(regime, intact=intact) for regime in REGIMES}


def add(store: SeriesStore, line: str, **changed: float) -> None:
    """One more night of a line, with other values."""
    rows = evidence_rows(FIRST + 21, np.zeros((1, 2, 4, 3))).assign(**changed)
    store.append("evidence", rows[rows["line"] == line])


def test_a_champion_that_is_better_than_flat_and_within_its_guardrails_is_traded(
    store: SeriesStore,
) -> None:
    assert set(sizes(store).values()) == {Size(1.0)}


def test_one_that_is_not_better_than_flat_abstains(store: SeriesStore) -> None:
    places = {cell: replace(place, better=place.line == LSTM) for cell, place in PLACES.items()}
    found = sizes(store, places)
    assert found.pop("high") == Size(1.0)
    assert set(found.values()) == {Size(0.0, "abstain: not credibly better than flat")}


def test_a_cell_that_no_contest_knows_abstains_and_another_policy_judges_none(
    store: SeriesStore,
) -> None:
    assert set(sizes(store, {}).values()) == {UNJUDGED}
    places = {cell: replace(place, better=None) for cell, place in PLACES.items()}
    assert set(sizes(store, places).values()) == {Size(None)}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"profit": -30.0}, "look: drawdown "),
        ({"missing": 0.5}, "look: missing share 0.5 is above 0.1"),
        ({"turnover": 1.01}, "look: turnover 3.03 is above 3"),
    ],
)
def test_a_guardrail_stops_the_lines_cells_at_once(
    store: SeriesStore, changed: dict[str, float], reason: str
) -> None:
    add(store, XGBOOST, **changed)
    found = sizes(store)
    assert found.pop("high") == Size(1.0)
    for size in found.values():
        assert size.value == 0.0
        assert size.reason.startswith(reason)


def test_files_that_differ_stop_it_too(store: SeriesStore) -> None:
    assert set(sizes(store, intact=False).values()) == {Size(0.0, "look: integrity files differ")}


def test_a_fall_before_the_promotion_does_not_count(store: SeriesStore) -> None:
    add(store, XGBOOST, profit=-30.0)
    places = {cell: replace(place, since=FIRST + 21) for cell, place in PLACES.items()}
    assert set(sizes(store, places).values()) == {Size(1.0)}


def test_without_any_live_night_guardrails_are_unknown_and_hold_nobody_back(
    tmp_path: Path,
) -> None:
    store = SeriesStore(tmp_path / "empty")
    assert set(sizes(store).values()) == {Size(1.0)}
    store.append("evidence", evidence_rows(FIRST - 9, live(10), lines=LINES, source="backtest"))
    assert set(sizes(store).values()) == {Size(1.0)}
