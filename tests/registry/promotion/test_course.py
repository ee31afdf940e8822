"""A contest through the store: nights one by one and all at once, late rows, kills and faults."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.errors import InputError, LibraryError
from brain.lines import Line
from brain.naming import PRIOR, REGIMES
from brain.series.store.store import SeriesStore
from registry.promotion.closings import day_start, read_closings
from registry.promotion.course import DESIGN_CHOICES, Course, decide, read_course
from registry.promotion.history import read_history
from registry.promotion.state import to_json
from tests.registry.promotion.evidence import Array
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

ROOT = Path(__file__).parents[3]
#: Live nights that are closed at once.
START = 55


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    return SeriesStore(tmp_path / "series")


def documents(store: SeriesStore) -> list[str]:
    return list(store.read("contests", where={"contest": NAME, "step": "decided"})["document"])


def night(store: SeriesStore, day: int, values: Array, **keywords: object) -> None:
    """A night's evidence, and its end."""
    symbols = keywords.get("symbols", SYMBOLS)
    store.append("evidence", evidence_rows(day, values[None], **keywords))  # type: ignore[arg-type]
    close(store, day, symbols)  # type: ignore[arg-type]


def decided(store: SeriesStore) -> Course:
    course = decide(store, NAME)
    assert course is not None
    return course


def test_before_a_night_is_closed_there_is_no_contest(store: SeriesStore) -> None:
    store.append("evidence", evidence_rows(FIRST, live(3)))
    assert decide(store, NAME) is None
    assert read_course(store, NAME) is None
    assert documents(store) == []


def test_the_priors_lines_are_champions_at_first_and_the_others_on_trial(
    store: SeriesStore,
) -> None:
    back = live(300, seed=1)
    store.append("evidence", evidence_rows(FIRST - 299, back, source="backtest", tried=3.0))
    close(store, FIRST)
    contest = decided(store).contest
    assert contest.lines == (LIGHTGBM, LSTM, XGBOOST)
    champions = [contest.lines[k].partition("-")[0] for k in contest.champions[0]]
    assert champions == [str(PRIOR[regime]) for regime in REGIMES]
    assert (contest.champions[0] == contest.champions[1]).all()
    assert {trial.recipes for trial in contest.trials} == {DESIGN_CHOICES + 3.0}
    assert sum(trial.level for trial in contest.trials) == pytest.approx(0.04)
    by_hand = replace(contest, trials=(), starts=()).start(
        contest.lines, recipes=dict.fromkeys(contest.lines, 35.0), backtests=back
    )
    assert to_json(by_hand) == to_json(contest)
    assert decided(store).contest.day == FIRST
    assert len(documents(store)) == 1


def test_a_symbol_without_the_priors_family_has_another_line(store: SeriesStore) -> None:
    close(store, FIRST, lines={"AAA/USD": LINES, "BBB/USD": LINES[1:]})
    contest = decided(store).contest
    assert [contest.lines[k] for k in contest.champions[1]] == [XGBOOST, XGBOOST, LSTM, XGBOOST]


def nights_of(tmp_path: Path, decide_at: set[int], values: Array) -> SeriesStore:
    """Nights, of which some are decided at once; a symbol and a line come later, a night lacks."""
    store = SeriesStore(tmp_path)
    back = live(200, seed=2)
    store.append("evidence", evidence_rows(FIRST - 199, back, source="backtest"))
    close(store, FIRST)
    store.append("evidence", evidence_rows(FIRST + 1, values[:START, :2, :, :3]))
    close(store, FIRST + START)
    later = replace(LINES[0], feature_set="bars-2")
    for k in range(START + 1, len(values) + 1):
        n = k - START
        symbols = SYMBOLS if n < 10 else (*SYMBOLS, "CCC/USD")
        lines = LINES if n < 15 else (*LINES, later)
        if n == 15:
            again = evidence_rows(FIRST - 9, back[:9, :, :, :1], lines=[later], source="backtest")
            store.append("evidence", again)
        if n == 20:
            continue  # no night ran; its evidence is made up in the next one
        for j in [k - 1, k] if n == 21 else [k]:
            rows = evidence_rows(
                FIRST + j, values[j - 1 : j, : len(symbols), :, : len(lines)],
                symbols=symbols, lines=lines,
            )  # fmt: skip
            store.append("evidence", rows[rows["symbol"] != "BBB/USD"] if n == 25 else rows)
        close(store, FIRST + k, symbols, lines)
        if n == 28:  # of a night that was closed, and other values of it
            late = evidence_rows(FIRST + k - 3, values[k - 4 : k - 3, :2, :, :3] + 5.0)
            assert store.append("evidence", late).inserted == 4 * 3
        if n in decide_at:
            decided(store)
    decided(store)
    return store


def test_nights_one_by_one_and_all_at_once_are_decided_alike(tmp_path: Path) -> None:
    values = np.concatenate([live(START + 32, edge=2.0, symbols=3, seed=4)] * 2, axis=-1)[..., :4]
    together = nights_of(tmp_path / "together", set(), values)
    rng = np.random.default_rng(0)
    each = nights_of(tmp_path / "each", set(rng.choice(32, 20, replace=False).tolist()), values)
    assert len(documents(together)) == 33
    assert documents(each) == documents(together)
    contest = decided(together).contest
    assert contest.groups.symbols == (*SYMBOLS, "CCC/USD")
    assert len(contest.lines) == 4
    made = [json.loads(text) for text in documents(together)]
    outcomes = {d["outcome"] for document in made for d in document["decisions"]}
    assert "promoted" in outcomes
    late = {k: document["late"] for k, document in enumerate(made) if document["late"]}
    assert sum(late.values()) == 12


def test_a_late_row_never_enters(store: SeriesStore, tmp_path: Path) -> None:
    values = live(12, seed=6)
    other = SeriesStore(tmp_path / "other")
    for target in (store, other):
        close(target, FIRST)
        for k, value in enumerate(values, 1):
            if k != 5:
                night(target, FIRST + k, value)
            else:
                close(target, FIRST + k)
        if target is store:
            target.append("evidence", evidence_rows(FIRST + 5, values[4:5] + 100.0))
        close(target, FIRST + 13)
    assert to_json(decided(store).contest) == to_json(decided(other).contest)
    assert (decided(store).late, decided(other).late) == (24, 0)


def test_a_line_with_an_edge_wins_and_is_rolled_back_when_it_loses_it(store: SeriesStore) -> None:
    values = live(200, edge=1.5, seed=7)
    values[90:, ..., 2] -= 3.0
    close(store, FIRST)
    store.append("evidence", evidence_rows(FIRST + 1, values))
    made: list[tuple[int, str, str]] = []
    for k in range(20, 201, 20):
        close(store, FIRST + k)
    decided(store)
    for text in documents(store):
        made += [
            (d["day"], d["outcome"], d["line"])
            for d in json.loads(text)["decisions"]
            if d["outcome"] in ("promoted", "rolled back")
        ]
    won, lost = (next(m for m in made if m[1] == o) for o in ("promoted", "rolled back"))
    assert (won[2], lost[2]) == (XGBOOST, XGBOOST)
    assert won[0] < FIRST + 90 < lost[0] < FIRST + 150


def test_lines_wait_for_what_is_left_and_stand_again_without_their_backtest(
    store: SeriesStore,
) -> None:
    more = [replace(LINES[0], feature_set=f"bars-{k}") for k in range(2, 6)]
    store.append("evidence", evidence_rows(FIRST - 99, live(100), source="backtest"))
    close(store, FIRST)
    for k in range(1, len(more) + 1):
        close(store, FIRST + k, lines=(*LINES, *more[:k]))
    contest = decided(store).contest
    assert [contest.lines[t.line] for t in contest.trials[3:]] == [line.id for line in more[:2]]
    assert [t.level for t in contest.trials[3:]] == pytest.approx([0.008, 0.0016])
    assert all(t.backtest is not None for t in contest.trials[:3])
    close(store, FIRST + 180, lines=(*LINES, *more))
    contest = decided(store).contest
    started = [start.line for start in contest.starts if start.day == FIRST + 180]
    assert set(started) == {line.id for line in (*LINES, *more[2:])}
    assert all(t.backtest is None for t in contest.trials if contest.lines[t.line] in started)
    recent = [s.level for s in contest.starts if s.day > FIRST]
    assert sum(recent) <= 0.05


def test_lines_on_other_bars_than_one_another_are_unknown(store: SeriesStore) -> None:
    close(store, FIRST)
    values = live(3, edge=9.0)
    night(store, FIRST + 1, values[0])
    rows = evidence_rows(FIRST + 2, values[1:2])
    wrong = (rows["line"] == XGBOOST) & (rows["symbol"] == "AAA/USD")
    rows.loc[wrong, "bars"] = 23
    store.append("evidence", rows)
    close(store, FIRST + 2)
    course = decided(store)
    assert course.mismatched == 4
    values[1, 0] = np.nan
    history = read_history(store, "1h", lines=course.contest.lines)
    counted = history.at(course.closings)
    np.testing.assert_array_equal(counted.profit, values[:2])


def test_infinite_evidence_is_refused_and_nothing_is_written(store: SeriesStore) -> None:
    close(store, FIRST)
    decided(store)
    values = live(1)
    values[0, 1, 2, 0] = np.inf
    night(store, FIRST + 1, values[0])
    with pytest.raises(LibraryError, match=rf"{LIGHTGBM} for BBB/USD on {day_start(FIRST + 1):%F}"):
        decide(store, NAME)
    assert len(documents(store)) == 1


@pytest.mark.parametrize("what", ["id", "text", "unknown", "state"])
def test_a_document_that_is_not_as_it_was_written_is_refused(store: SeriesStore, what: str) -> None:
    close(store, FIRST)
    course = decided(store)
    closing = read_closings(store, NAME)[0]
    text = closing.to_json()
    if what == "id":
        text = text.replace("bars-1", "bars-7")
    elif what == "unknown":
        text = json.dumps({"lines": [], "symbols": {"AAA/USD": [LSTM]}})
    elif what == "text":
        text = "{"
    step = "decided" if what == "state" else "closed"
    if what == "state":
        text = course.to_json().replace('"layout":1', '"layout":0')
    store.append(
        "contests",
        pd.DataFrame(
            {
                "contest": [NAME],
                "step": step,
                "time": pd.to_datetime([day_start(FIRST + 1)], utc=True).as_unit("us"),
                "document": text,
            }
        ),
    )
    words = {
        "id": "changed under the same id", "text": "can't be read", "state": "layout 0",
        "unknown": f"line {LSTM} is not defined",
    }[what]  # fmt: skip
    with pytest.raises(LibraryError, match=words):
        decide(store, NAME)
    assert len(documents(store)) == (2 if what == "state" else 1)


def test_a_line_of_another_definition_has_another_id() -> None:
    with pytest.raises(InputError, match="changed under the same id"):
        Line.from_json(LINES[0].to_json().replace('"horizon":6', '"horizon":7'))


def test_two_that_decide_at_once_store_one_decision(store: SeriesStore) -> None:
    close(store, FIRST)
    for k, value in enumerate(live(8, seed=8), 1):
        night(store, FIRST + k, value)
    with ThreadPoolExecutor(4) as pool:
        stores = [SeriesStore(store.root) for _ in range(4)]
        courses = list(pool.map(lambda one: decide(one, NAME), stores))
    assert len({course.to_json() for course in courses if course}) == 1
    assert len(documents(store)) == 9


#: Nights of evidence, decided one by one, from the first again at every start.
PROGRAM = """
import sys
from brain.series.store.store import SeriesStore
from registry.promotion.course import decide
from tests.registry.promotion.nights import FIRST, NAME, close, evidence_rows, live
store = SeriesStore(sys.argv[1])
close(store, FIRST)
for k, value in enumerate(live(12, edge=1.0, seed=9), 1):
    store.append("evidence", evidence_rows(FIRST + k, value[None]))
    close(store, FIRST + k)
    decide(store, NAME)
    print(k, flush=True)
"""


def test_a_program_that_is_killed_anywhere_decides_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    killed, done, kills = tmp_path / "killed", False, 0
    while not done:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(killed)],
            cwd=ROOT, text=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        if kills < 4:
            for _ in range(int(rng.integers(1, 4)) + 2 * kills):
                process.stdout.readline()
            time.sleep(rng.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
            kills += 1
        done = process.wait() == 0
        process.stdout.close()
    whole = SeriesStore(tmp_path / "whole")
    close(whole, FIRST)
    for k, value in enumerate(live(12, edge=1.0, seed=9), 1):
        night(whole, FIRST + k, value)
    decided(whole)
    assert kills == 4
    assert documents(SeriesStore(killed)) == documents(whole)
