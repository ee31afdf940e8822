"""What the policies say of every cell, by the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from brain.naming import PRIOR, REGIMES
from brain.series.store.store import SeriesStore
from registry.promotion.closings import read_closings
from registry.promotion.composite import composite_places
from registry.promotion.course import decide
from registry.promotion.history import read_history
from registry.promotion.places import Places, trial_places
from registry.promotion.policies import composite_score
from registry.promotion.sums import Sums
from tests.registry.promotion.nights import (
    FIRST,
    LIGHTGBM,
    LINES,
    LSTM,
    NAME,
    SYMBOLS,
    XGBOOST,
    close,
    evidence_rows,
    live,
)

IDS = (LIGHTGBM, LSTM, XGBOOST)


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    return SeriesStore(tmp_path / "series")


def by_trial(store: SeriesStore) -> Places:
    course = decide(store, NAME)
    assert course is not None
    return trial_places(course, read_history(store, "1h", lines=course.contest.lines))


def test_at_first_the_prior_has_every_cell_and_the_nearest_line_challenges(
    store: SeriesStore,
) -> None:
    close(store, FIRST)
    store.append("evidence", evidence_rows(FIRST + 1, live(3, edge=3.0)))
    close(store, FIRST + 3)
    places = by_trial(store)
    assert len(places) == 8
    for (_, regime), place in places.items():
        prior = PRIOR[next(r for r in REGIMES if r == regime)]
        assert place.line.startswith(prior)
        assert (place.by_evidence, place.since, place.better) == (False, FIRST, False)
        assert place.challenger in set(IDS) - {place.line}
        assert place.reason.startswith(f"prior; {place.challenger} on trial, night 3 of 180, ")


def test_a_line_that_won_is_by_evidence_and_credibly_better_than_flat(store: SeriesStore) -> None:
    values = live(80, edge=1.5, seed=2)
    close(store, FIRST)
    store.append("evidence", evidence_rows(FIRST + 1, values))
    close(store, FIRST + 80)
    places = by_trial(store)
    assert {place.line for place in places.values()} == {XGBOOST}
    low, high = places["AAA/USD", "low"], places["AAA/USD", "high"]
    assert (low.by_evidence, high.by_evidence) == (False, True)  # it is low's prior
    assert high.reason.startswith("takes all: its score")
    assert FIRST < high.since <= FIRST + 80
    assert high.better
    assert high.challenger in (LIGHTGBM, LSTM)


def test_flat_or_better_is_judged_on_a_lines_own_nights(store: SeriesStore) -> None:
    """By the sums of a loop: what comes late does not count."""
    values = live(60, seed=3)
    values[..., 0] += 1.0
    close(store, FIRST)
    store.append("evidence", evidence_rows(FIRST + 1, values))
    close(store, FIRST + 60)
    store.append("evidence", evidence_rows(FIRST + 60, values[:1] - 1e3, lines=LINES[:3]))
    course = decide(store, NAME)
    assert course is not None
    groups, rule = course.contest.groups, course.contest.rule
    expected = {}
    for k, line in enumerate(IDS):
        sums = Sums.empty(len(groups.names)).add_all(groups.means(values[..., k]), rule.limit)
        expected[line] = bool(sums.total[0] > 2.0 * np.sqrt(60))
    assert expected == {LIGHTGBM: True, LSTM: False, XGBOOST: False}
    places = by_trial(store)
    champions = {place.line: place.better for place in places.values()}
    assert champions == {line: expected[line] for line in champions}
    assert LIGHTGBM in champions


def slow_composite(values: np.ndarray, closed: list[int]) -> list[int]:
    """Champion of a cell after each closing; values (nights, lines) from the first night."""
    champion, previous, promised, result = 2, -1, np.nan, []
    for night in closed:
        scores = composite_score(values[: night + 1].T)
        best = int(np.where(np.isfinite(scores), scores, -np.inf).argmax())
        if previous >= 0 and scores[champion] < promised - 0.05 * abs(promised):
            new = previous
        else:
            new = best if scores[best] > scores[champion] else champion
        if new != champion:
            champion, previous, promised = new, champion, scores[new]
        result.append(champion)
    return result


def test_the_composite_policy_is_that_of_a_loop_over_closed_nights(store: SeriesStore) -> None:
    values = live(70, seed=5)
    store.append("evidence", evidence_rows(FIRST - 29, values[:30], source="backtest"))
    closed = [29, 40, 41, 50, 55, 60, 69]
    changes = 0
    close(store, FIRST)
    store.append("evidence", evidence_rows(FIRST + 1, values[30:]))
    for n, night in enumerate(closed):
        close(store, FIRST + night - 29)
        closings = read_closings(store, NAME)
        places = composite_places(closings, read_history(store, "1h", lines=IDS))
        for i, symbol in enumerate(SYMBOLS):
            path = slow_composite(values[:, i, 0], closed[: n + 1])
            place = places[symbol, "low"]
            assert place.line == IDS[path[-1]]
            changes += len(path) > 1 and path[-1] != path[-2]
            assert place.better is None
            assert place.challenger != place.line
            assert place.reason.startswith("composite score ")
    assert changes >= 2
