"""The course of a contest in the store: nights that are closed go in, decisions are kept for ever.

A closed night is decided once, at the start of a later night. Decisions follow from closings and
frozen evidence alone: nights one by one and several at once give the same, and of two that decide
at once both store the same.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from brain.brief import Brief
from brain.errors import LibraryError
from brain.lines import Line
from brain.naming import PRIOR, REGIMES, STAND_INS, Regime
from brain.series.store.store import SeriesStore
from registry.promotion.budget import share
from registry.promotion.closings import Closing, day_start, read_closings
from registry.promotion.contest import Contest
from registry.promotion.decisions import Decision, Outcome
from registry.promotion.groups import Floats, Groups, Indices
from registry.promotion.history import History, read_history
from registry.promotion.state import from_json, to_json

__all__ = [
    "DESIGN_CHOICES",
    "Course",
    "decide",
    "prior_line",
    "read_course",
    "read_decisions",
    "read_verdicts",
    "tried_recipes",
]

logger = logging.getLogger(__name__)

#: What was tried on the packaged bars before any search, and stays in every model: 12 targets
#: (decision 3) and 20 alternatives (decision 13), by the walk-forward of decision 4. Each line's K
#: begins with it.
DESIGN_CHOICES = 32

_CONTESTS, _STEP = "contests", "decided"


@dataclass(frozen=True, repr=False)
class Course(Brief):
    """A contest after the last night that was decided.

    Attributes:
        name: of the contest, ``1h.6``.
        contest: its state.
        decisions: of that night.
        closings: that were decided, oldest first.
        late: live rows that came after their night was closed, since the night decided before.
        mismatched: cells of these nights that lines have on other bars than one another.
        unknown: share of these nights' values, of every cell and line, that are not known.
    """

    name: str
    contest: Contest
    decisions: tuple[Decision, ...]
    closings: tuple[Closing, ...]
    late: int = 0
    mismatched: int = 0
    unknown: float = 0.0

    @property
    def timeframe(self) -> str:
        """Of the contest's bars."""
        return self.name.rpartition(".")[0]

    def to_json(self) -> str:
        """State and decisions, as compact JSON."""
        document = {
            "state": json.loads(to_json(self.contest)),
            "decisions": [json.loads(decision.to_json()) for decision in self.decisions],
            "late": self.late,
            "mismatched": self.mismatched,
            "unknown": self.unknown,
        }
        return json.dumps(document, separators=(",", ":"), allow_nan=False)


def prior_line(regime: Regime, lines: Sequence[str], definitions: Mapping[str, Line]) -> str:
    """The line that is champion of a symbol's regime without any evidence.

    That of the prior's family; where the symbol has none, of the first family that it has. Among
    several of a family it is the first by name.

    Args:
        regime: of the cell.
        lines: of the symbol, ids; at least one.
        definitions: of the lines.
    """
    order = [PRIOR[regime], *STAND_INS]
    return min(lines, key=lambda name: (order.index(definitions[name].family), name))


def read_course(store: SeriesStore, name: str) -> Course | None:
    """A contest as it was decided last; None before its first decision.

    Raises:
        LibraryError: its closings or its state can't be read.
        SeriesStoreError: the store can't be.
    """
    rows = store.read(_CONTESTS, where={"contest": name, "step": _STEP}).tail(1)
    if rows.empty:
        return None
    text = rows["document"].iloc[0]
    try:
        document = json.loads(text)
        contest = from_json(json.dumps(document["state"]))
        decisions = _decisions(document)
        counts = document["late"], document["mismatched"], document["unknown"]
    except (ValueError, TypeError, KeyError) as error:
        raise LibraryError(
            f"the state of contest {name} can't be read ({error}): {text[:80]!r}; nothing is "
            "decided until it is mended"
        ) from error
    closings = [c for c in read_closings(store, name) if c.day <= contest.day]
    return Course(name, contest, tuple(decisions), tuple(closings), *counts)


def read_decisions(store: SeriesStore, name: str, day: int) -> tuple[Decision, ...]:
    """The decisions that were stored with a closed night of a contest, those of missed ones too.

    Args:
        store: of the contest.
        name: of the contest.
        day: number of the closed night.

    Raises:
        LibraryError: they can't be read.
        SeriesStoreError: the store can't be.
    """
    where = {"contest": name, "step": _STEP}
    rows = store.read(_CONTESTS, where=where, start=day_start(day), end=day_start(day + 1))
    return tuple(d for text in rows["document"] for d in _decisions_of(name, text))


def _decisions_of(name: str, text: str) -> list[Decision]:
    """The decisions of a decided night's document."""
    try:
        return _decisions(json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise LibraryError(
            f"a decided night of contest {name} can't be read ({error}): {text[:80]!r}; restore "
            "the store"
        ) from error


def _decisions(document: Mapping[str, Any]) -> list[Decision]:
    return [Decision.from_json(json.dumps(entry)) for entry in document["decisions"]]


def decide(store: SeriesStore, name: str) -> Course | None:
    """Decide all nights of a contest that are closed and not decided yet, oldest first.

    Args:
        store: of closings, evidence and decisions.
        name: of the contest.

    Returns:
        The contest after the last closed night; None if none is closed.

    Raises:
        LibraryError: closings, evidence or state can't be read; nothing is written then.
        SeriesStoreError: the store can't be read or written.
    """
    closings = read_closings(store, name)
    course = read_course(store, name)
    last = course.contest.day if course else -1
    new = [closing for closing in closings if closing.day > last]
    if not new:
        return course
    lines = sorted({line for closing in closings for line in closing.lines})
    history = read_history(store, name.rpartition(".")[0], lines=lines)
    decided = []
    for closing in new:
        before = tuple(c for c in closings if c.day <= closing.day)
        course = (
            _begin(name, closing, history) if course is None else _go_on(course, history, before)
        )
        decided.append(course)
    _store(store, decided)
    return read_course(store, name)


def read_verdicts(store: SeriesStore) -> list[tuple[str, Decision]]:
    """Every decision of every contest but those that leave a line on trial, with the contest.

    Oldest first.

    Raises:
        LibraryError: one can't be read.
        SeriesStoreError: the store can't be.
    """
    rows = store.read("contests", where={"step": _STEP}, columns=["contest", "document"])
    verdicts = []
    for name, text in zip(rows["contest"], rows["document"], strict=True):
        decisions = _decisions_of(name, text)
        verdicts += [(name, d) for d in decisions if d.outcome is not Outcome.ON_TRIAL]
    return sorted(verdicts, key=lambda verdict: (verdict[1].day, verdict[0]))


def _store(store: SeriesStore, decided: Sequence[Course]) -> None:
    frame = pd.DataFrame(
        {
            "contest": [course.name for course in decided],
            "step": _STEP,
            "time": pd.Series(
                [day_start(course.contest.day) for course in decided],
                dtype="datetime64[us, UTC]",
            ),
            "document": [course.to_json() for course in decided],
        }
    )
    if different := store.append(_CONTESTS, frame).different:
        logger.warning(
            "%d nights were decided at the same time on other evidence; those decisions stay",
            different,
        )


def _begin(name: str, closing: Closing, history: History) -> Course:
    """The first night: the prior's lines are champions, and the others go on trial."""
    symbols = tuple(sorted(closing.symbols))
    lines = tuple(sorted(closing.lines))
    contest = Contest(Groups(symbols), lines, _priors(closing, symbols, lines), closing.day)
    known = history.at([closing])
    return Course(name, _started(contest, closing, known), (), (closing,))


def _go_on(course: Course, history: History, closings: tuple[Closing, ...]) -> Course:
    """The nights until the last closing, then its new symbols and lines."""
    closing, contest = closings[-1], course.contest
    known = history.at(closings)
    days = range(contest.day + 1, closing.day + 1)
    values = known.nights(days, contest.groups.symbols, contest.lines)
    contest, decisions, _ = contest.add_all(days, values)
    contest = replace(
        contest,
        lines=(
            *contest.lines,
            *(line for line in sorted(closing.lines) if line not in contest.lines),
        ),
    )
    if new := sorted(set(closing.symbols) - set(contest.groups.symbols)):
        contest = contest.extended(new, _priors(closing, new, contest.lines))
    since, until = course.closings[-1].stored.value, closing.stored.value
    late = history.late(closings) & (history.stored > since) & (history.stored <= until)
    place = np.isin(known.days, days)
    return Course(
        course.name,
        _started(contest, closing, known),
        tuple(d for d in decisions if d.day == closing.day or d.outcome is not Outcome.ON_TRIAL),
        closings,
        int(late.sum()),
        int(known.mismatched[place].sum()),
        float(np.isnan(values).mean()),
    )


def _priors(closing: Closing, symbols: Sequence[str], lines: Sequence[str]) -> Indices:
    return np.array(
        [
            [lines.index(prior_line(r, closing.symbols[s], closing.lines)) for r in REGIMES]
            for s in symbols
        ],
        dtype=np.int64,
    )


def _started(contest: Contest, closing: Closing, history: History) -> Contest:
    """With trials of the lines that are neither on trial nor champion of all cells.

    A line has its backtest in its first trial alone. Where too little of the level is left, lines
    wait for a later night.
    """
    running = {contest.lines[trial.line] for trial in contest.trials}
    idle = [
        name
        for name in sorted(closing.lines)
        if name not in running and (contest.champions != contest.lines.index(name)).any()
    ]
    level = share(contest.rule, contest.starts, contest.day, len(idle)) if idle else 0.0
    if level < contest.rule.least:
        return contest
    again = [name for name in idle if name in {start.line for start in contest.starts}]
    first = [name for name in idle if name not in again]
    recipes, backtests = _backtests(contest, history, first)
    return contest.start(idle, recipes=recipes, backtests=backtests, alone=again)


def _backtests(
    contest: Contest, history: History, names: Sequence[str]
) -> tuple[dict[str, float], Floats | None]:
    """K of each line, and the nights before its trial as they were frozen; None if there are none.

    A night whose K is unknown is unknown.
    """
    days = range(history.first, contest.day + 1)
    known = replace(history, profit=np.where(np.isfinite(history.tried), history.profit, np.nan))
    values = known.nights(days, contest.groups.symbols, contest.lines)
    own = [contest.lines.index(name) for name in names]
    judged = np.isfinite(values[..., own]).any(axis=(1, 2, 3))
    if not judged.any():
        return {}, None
    recipes = {name: tried_recipes(history, name) for name in names}
    return recipes, values[int(judged.argmax()) :]


def tried_recipes(history: History, line: str) -> float:
    """K of a line's backtest: the design choices, and the most that was tried on a symbol."""
    tried = history.tried[..., history.lines.index(line)]
    return DESIGN_CHOICES + float(np.where(np.isfinite(tried), tried, 1.0).max(initial=1.0))
