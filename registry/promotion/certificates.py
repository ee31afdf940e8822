"""Certificates: what a contest's last night decided of a line, and every number that it rests on.

A certificate is of a line on a symbol: the groups in it are those with cells of the symbol. "On
trial", "waits" and "dismissed" are decisions too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from brain.naming import REGIMES
from brain.series.store.store import SeriesStore
from brain.text import finite
from registry.promotion.boundary import Rule
from registry.promotion.budget import available
from registry.promotion.closings import day_start
from registry.promotion.contest import Contest
from registry.promotion.course import Course, read_decisions
from registry.promotion.decisions import (
    Decision,
    GroupFigures,
    Outcome,
    group_figures,
    trial_reason,
)
from registry.promotion.groups import Booleans
from registry.promotion.history import History
from registry.promotion.posts import Post
from registry.promotion.rollback import PROMISE_NIGHTS, RIVAL_NIGHTS
from registry.promotion.trial import Trial

__all__ = ["Certificates", "read_appointments"]

_NIGHTS_A_YEAR = 365.0


def read_appointments(store: SeriesStore, course: Course) -> dict[int, tuple[Decision, ...]]:
    """The decisions of the nights that gave cells their champions, by these nights' numbers.

    Raises:
        LibraryError: they can't be read.
        SeriesStoreError: the store can't be.
    """
    decisions = {}
    for day in {term.day for term in course.contest.terms}:
        closed = min(closing.day for closing in course.closings if closing.day >= day)
        stored = read_decisions(store, course.name, closed)
        decisions[day] = tuple(decision for decision in stored if decision.day == day)
    return decisions


class Certificates:
    """Of a contest after its last night.

    Args:
        course: of the contest.
        history: of all its lines and symbols, as its closings have it, see
            :meth:`registry.promotion.history.History.at`.
        appointments: see :func:`read_appointments`.
    """

    def __init__(
        self, course: Course, history: History, appointments: Mapping[int, Sequence[Decision]]
    ) -> None:
        self._course = course
        self._contest = course.contest
        self._appointments = appointments
        self._evidence = history
        self._digest = self._evidence.digest
        self._decisions = (*course.decisions, *_pending(course))

    def of(self, symbol: str, line: str) -> dict[str, Any] | None:
        """The certificate, with null for what is unknown; None if the contest lacks the two.

        Args:
            symbol: of the contest.
            line: its id.
        """
        contest = self._contest
        if symbol not in contest.groups.symbols or line not in contest.lines:
            return None
        cells = list(self._cells(symbol))
        return {
            "contest": self._course.name,
            "night": _date(contest.day),
            "symbol": symbol,
            "line": line,
            "decisions": [self._entry(d, symbol) for d in self._decisions if d.line == line],
            "cells": cells,
            "appointments": self._appointed(symbol, line),
            "rivals": self._rivals(symbol, line),
            "watches": [self._watch(post) for post in self._posts(symbol, line)],
            "evidence": self._counts(symbol, line),
        }

    def _rivals(self, symbol: str, line: str) -> list[dict[str, Any]]:
        """Trials of other lines against the line as champion of a cell of the symbol."""
        if not self._own(symbol, line).any():
            return []
        return [
            self._entry(decision, symbol)
            for decision in self._decisions
            if decision.line != line
            and decision.outcome is Outcome.ON_TRIAL
            and line in decision.against
        ]

    def _cells(self, symbol: str) -> Iterator[dict[str, Any]]:
        contest = self._contest
        for regime in map(str, REGIMES):
            term = contest.term(symbol, regime)
            number = contest.champions[contest.groups.cell(symbol, regime)]
            yield {
                "regime": regime,
                "champion": contest.lines[number],
                "since": _date(term.day) if term else None,
                "reason": term.reason if term else "prior",
            }

    def _entry(self, decision: Decision, symbol: str) -> dict[str, Any]:
        """A decision, of whose groups those with cells of the symbol."""
        contest, rule = self._contest, self._contest.rule
        row = contest.groups.symbols.index(symbol)
        figures = [f for f in decision.figures if contest.groups.cells(f.group)[row].any()]
        left = max(rule.nights - decision.night, 0) if decision.level is not None else 0
        return {
            "night": _date(decision.day),
            "outcome": str(decision.outcome),
            "line": decision.line,
            "group": decision.group or None,
            "against": list(decision.against),
            "nights": decision.night,
            "of_nights": rule.nights if decision.level is not None else None,
            "level": finite(decision.level),
            "recipes": finite(decision.recipes),
            "weight": finite(decision.weight),
            "reason": decision.reason,
            "groups": [_group(f, left) for f in figures],
            "change": list(_changes(rule, decision, figures, left)),
        }

    def _own(self, symbol: str, line: str) -> Booleans:
        """The regimes of the symbol whose champion the line is."""
        contest = self._contest
        row = contest.champions[contest.groups.symbols.index(symbol)]
        return np.asarray(row == contest.lines.index(line))

    def _appointed(self, symbol: str, line: str) -> list[dict[str, Any]]:
        """The decisions by which the line has cells of the symbol."""
        contest, own = self._contest, self._own(symbol, line)
        row = contest.groups.symbols.index(symbol)
        days = {term.day for term in contest.terms if (term.cells[row] & own).any()}
        return [
            self._entry(decision, symbol)
            for day in sorted(days)
            for decision in self._appointments.get(day, ())
            if _gives(decision, line)
        ]

    def _posts(self, symbol: str, line: str) -> Iterator[Post]:
        contest = self._contest
        row = contest.groups.symbols.index(symbol)
        for post in contest.posts:
            if contest.lines[post.line] == line and post.cells[row].any():
                yield post

    def _watch(self, post: Post) -> dict[str, Any]:
        watch = post.watch
        fall, shortfall = float(watch.fall[0]), float(watch.shortfall[0])
        rival = float(watch.boundary(RIVAL_NIGHTS)[0])
        promise = float(watch.boundary(PROMISE_NIGHTS)[0])
        lines = {self._contest.lines[k] for k in np.unique(post.before[post.cells])}
        return {
            "group": post.group,
            "before": sorted(lines),
            "nights": watch.sums.nights,
            "promise": float(watch.promise[0]),
            "fall": fall,
            "fall_boundary": rival,
            "shortfall": shortfall,
            "shortfall_boundary": promise,
            "change": [
                f"the line before it comes back to {post.group} when its fall, {fall:.1f}, reaches "
                f"{rival:.1f}, or its shortfall against half of its promise, {shortfall:.1f}, "
                f"reaches {promise:.1f}"
            ],
        }

    def _counts(self, symbol: str, line: str) -> dict[str, Any]:
        """How many nights of the line on the symbol count, and the digest of all that do."""
        known = self._evidence
        nights: dict[str, int | None] = {"live": None, "backtest": None}
        if symbol in known.symbols:
            cell = known.symbols.index(symbol), slice(None), known.lines.index(line)
            values = np.isfinite(known.profit[:, *cell])
            live = known.live[:, *cell]
            nights = {"live": _nights(values & live), "backtest": _nights(values & ~live)}
        return {"digest": self._digest, "until": _date(self._contest.day), "nights": nights}


def _nights(known: Booleans) -> int:
    return int(known.any(axis=1).sum())


def _pending(course: Course) -> Iterator[Decision]:
    """Lines without a decision of the last night: their trials begin, or they wait for one."""
    contest, closing = course.contest, course.closings[-1]
    decided = {decision.line for decision in course.decisions}
    for trial in contest.trials:
        if contest.lines[trial.line] not in decided:
            yield _beginning(contest, trial)
    trials = {contest.lines[trial.line] for trial in contest.trials}
    for line in sorted(set(closing.lines) - trials - decided):
        if (others := contest.champions != contest.lines.index(line)).any():
            yield _waiting(contest, line, others)


def _beginning(contest: Contest, trial: Trial) -> Decision:
    look = trial.look(contest.rule)
    others = contest.champions[contest.champions != trial.line]
    return Decision(
        contest.day,
        Outcome.ON_TRIAL,
        contest.lines[trial.line],
        "",
        tuple(contest.lines[k] for k in np.unique(others)),
        trial.live.nights,
        trial.level,
        trial.recipes,
        trial.weight,
        trial_reason(contest.rule, contest.groups, trial, look, Outcome.ON_TRIAL, -1),
        group_figures(contest.groups, trial, look),
    )


def _waiting(contest: Contest, line: str, others: Booleans) -> Decision:
    rule = contest.rule
    left = rule.batch * available(rule, contest.starts, contest.day)
    free = sorted(start.day + rule.nights for start in contest.starts)
    earliest = next(
        (
            day
            for day in free
            if day > contest.day and rule.batch * available(rule, contest.starts, day) >= rule.least
        ),
        None,
    )
    when = "" if earliest is None else f", which is free on {_date(earliest)} at the earliest"
    return Decision(
        contest.day,
        Outcome.WAITS,
        line,
        "",
        tuple(contest.lines[k] for k in np.unique(contest.champions[others])),
        0,
        None,
        None,
        None,
        f"waits for a trial: it would have a level of {left:.2g}, and needs {rule.least:g}{when}",
        (),
    )


def _gives(decision: Decision, line: str) -> bool:
    """Whether the decision made the line a champion."""
    if decision.outcome is Outcome.ROLLED_BACK:
        return line in decision.against
    return decision.outcome is Outcome.PROMOTED and decision.line == line


def _group(figures: GroupFigures, left: int) -> dict[str, Any]:
    """A group's figures, and what its score lacks; sums of no night are unknown.

    ``needed_sharpe`` is the annual Sharpe ratio of the difference that would bring the score to the
    boundary in the nights that are left: X is in units of its own root mean square, so its mean is
    the ratio of a night.
    """
    known = {k: finite(v) for k, v in asdict(figures).items()}
    if not figures.nights:
        known |= dict.fromkeys(("live", "live_squares"))
    if not figures.backtest_squares:
        known |= dict.fromkeys(("backtest", "backtest_squares"))
    short = max(figures.boundary - figures.score, 0.0)
    if known["live"] is None and known["backtest"] is None:
        known["score"], short = None, math.nan
    needed = short / left * math.sqrt(_NIGHTS_A_YEAR) if left else math.nan
    return {
        **known,
        "short": finite(short),
        "nights_left": left,
        "needed_sharpe": finite(needed),
    }


def _changes(
    rule: Rule, decision: Decision, figures: Sequence[GroupFigures], left: int
) -> Iterator[str]:
    """What would change the decision, in sentences."""
    if decision.outcome is Outcome.DISMISSED:
        yield (
            "another trial, of live nights alone: it starts as soon as enough of the level of 180 "
            "nights is free"
        )
    if decision.outcome is not Outcome.ON_TRIAL or not figures:
        return
    known = [f for f in figures if f.nights or f.backtest_squares]
    if not known:
        yield "nights on which both are known and one of them has a position: there is none yet"
        return
    best = max(known, key=lambda f: f.score / f.boundary)
    short = best.boundary - best.score
    if short > 0.0 and left:
        pace = short / left * math.sqrt(_NIGHTS_A_YEAR)
        yield (
            f"a score of {best.boundary:.1f} in {best.group}: {short:.1f} more in the {left} "
            f"nights that are left, which is a Sharpe ratio of about {pace:.1f} of the difference"
        )
    if best.confirmation is not None:
        ratio = "unknown" if best.ratio is None else f"{best.ratio:.2f}"
        yield (
            f"and live nights that confirm the backtest: from night {rule.confirmation_nights} on, "
            f"{best.confirmation:.2f} root mean squares of their sum; it is {ratio}"
        )


def _date(day: int) -> str:
    return f"{day_start(day):%Y-%m-%d}"
