"""The promotions of a night: decided at its start on closed nights, of which its end adds one."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from brain.errors import BrainError, TrackingUnreachableError
from brain.lines import Line
from brain.model_keys import ModelKey
from brain.naming import REGIMES, Policy
from brain.work import Failure
from engine.evaluation.nights import complete_days
from engine.night.sizes import Sizing, symbol_sizing
from registry.promotion.cell_posteriors import CellPosteriors, cell_posteriors
from registry.promotion.certificates import Certificates, read_appointments
from registry.promotion.closings import Closing, close_night, contest_name, day_start, read_closings
from registry.promotion.composite import composite_places
from registry.promotion.course import Course, decide, read_course
from registry.promotion.history import last_days, read_history
from registry.promotion.places import Places, trial_places

if TYPE_CHECKING:
    from brain.settings import Settings
    from registry.library import BrainLibrary

__all__ = ["Promotion"]

logger = logging.getLogger(__name__)

#: Days for which a night waits for a symbol whose bars are behind; then it is closed without it.
_PATIENCE = 7


class Promotion:
    """What the policy of a night says of every cell.

    A contest that can't be read is a failure: its cells keep their champions, and nothing of it is
    written.

    Args:
        library: whose series store has evidence and contests.
        settings: of the night.
        moment: of the night.
        continued: whether the night continues a stopped one, and decides nothing anew.

    Attributes:
        policy, moment: of the night.
        failures: of contests.
    """

    def __init__(
        self,
        library: BrainLibrary,
        settings: Settings,
        moment: datetime,
        *,
        continued: bool = False,
    ) -> None:
        self.policy = settings.promotion
        self.moment = moment
        self.failures: list[Failure] = []
        self._library = library
        self._horizon = settings.bars_ahead
        self._courses: list[Course] = []
        self._places: dict[str, Places | None] = {}
        self._posteriors: dict[str, CellPosteriors] = {}
        self._lines: dict[str, dict[str, Line]] = {}
        self._certificates: dict[str, Certificates] = {}
        self._done: dict[ModelKey, tuple[int, tuple[str, ...]]] = {}
        for name in self._contests(settings.timeframe):
            self._decide(name, continued)

    def places(self, key: ModelKey) -> Places | None:
        """What the policy says of the cells of a model's contest; None if that can't be read."""
        return self._places.get(self._contest(key), {})

    def posteriors(self, key: ModelKey) -> CellPosteriors:
        """What the closed nights of a model's contest say of every cell and line.

        Nothing before the first is closed, and where the contest can't be read.
        """
        return self._posteriors.get(self._contest(key), CellPosteriors())

    def champion_lines(self, key: ModelKey) -> list[Line]:
        """The lines of a model's champions, and of those before them that are still watched."""
        places, lines = self.places(key) or {}, self._lines.get(self._contest(key), {})
        cells = [place for (symbol, _), place in places.items() if symbol == key.symbol]
        names = {name for place in cells for name in (place.line, place.before)}
        return [lines[name] for name in sorted(names) if name in lines]

    def sizing(self, key: ModelKey) -> Sizing | None:
        """Judges the sizes of a model's champions, by the evidence stored by now.

        None where the policy judges none, or the contest can't be read.
        """
        places = self.places(key)
        if self.policy is not Policy.TRIAL or places is None:
            return None
        return symbol_sizing(self._library.series, key, places)

    def certificate(self, key: ModelKey, line: str) -> dict[str, Any] | None:
        """What the trial's last closed night decided of a line on a model's symbol.

        See :meth:`registry.promotion.certificates.Certificates.of`. None where another policy
        names the champions, no night with this symbol and line is closed, or the contest can't be
        read.
        """
        certificates = self._certificates.get(self._contest(key))
        return None if certificates is None else certificates.of(key.symbol, line)

    def done(self, key: ModelKey, closes: pd.DatetimeIndex, lines: Collection[str]) -> None:
        """Note that a symbol's part of the night is stored.

        Args:
            key: of the symbol's model.
            closes: of its bars.
            lines: ids of the lines that it has versions of.
        """
        days = complete_days(closes.as_unit("ns").asi8)
        if len(days) and lines:
            self._done[key] = int(days[-1]), tuple(lines)

    def close(self) -> None:
        """Close the night: up to the last day that every symbol has reached.

        A symbol that failed tonight, or whose bars are behind, is waited for, at most a week: then
        the night is closed without it. Nothing is closed where that day was closed before. A
        contest that can't be closed is a failure.

        Raises:
            TrackingUnreachableError: the tracking server does not answer.
        """
        try:
            recipes = self._library.lines()
            for name in sorted(set(map(self._contest, self._done))):
                self._close(name, recipes)
        except TrackingUnreachableError:
            raise
        except BrainError as error:
            self.failures.append(Failure("the night's closing", error))

    def document(self) -> dict[str, Any]:
        """The decisions of the last night of every contest, for the night's run."""
        return {
            "policy": str(self.policy),
            "contests": [_course_document(course) for course in self._courses],
        }

    @staticmethod
    def _contest(key: ModelKey) -> str:
        return contest_name(key.timeframe, key.horizon)

    def _contests(self, timeframe: str | None) -> list[str]:
        """The contests of the night's horizon that have a closed night."""
        rows = self._library.series.read("contests", columns=["contest"], where={"step": "closed"})
        names = sorted(rows["contest"].unique())
        parts = [name.rpartition(".") for name in names]
        return [
            ".".join((of, horizon))
            for of, _, horizon in parts
            if horizon == str(self._horizon) and timeframe in (None, of)
        ]

    def _close(self, name: str, recipes: Mapping[ModelKey, Sequence[Line]]) -> None:
        """Close a contest's night; symbols of the night before count by their stored evidence."""
        store = self._library.series
        reached, symbols = dict[str, int](), dict[str, list[Line]]()
        for key, (day, names) in self._done.items():
            lines = [line for line in recipes.get(key, ()) if line.id in names]
            if self._contest(key) == name and lines:
                reached[key.symbol], symbols[key.symbol] = day, lines
        if not reached:
            return
        last = read_closings(store, name)[-1:]
        newest = max(*reached.values(), *(closing.day for closing in last), 0)
        for closing in last:
            stored = last_days(store, name.rpartition(".")[0], newest - _PATIENCE)
            for symbol in closing.symbols.keys() & stored.keys() - reached.keys():
                reached[symbol] = stored[symbol]
                symbols[symbol] = [closing.lines[line] for line in closing.symbols[symbol]]
        late = newest - _PATIENCE
        symbols = {symbol: lines for symbol, lines in symbols.items() if reached[symbol] >= late}
        day = min((reached[symbol] for symbol in symbols), default=-1)
        before = max((closing.day for closing in last), default=-1)
        if day > before and close_night(store, name, day, symbols):
            logger.info("%s: night %s is closed", name, f"{day_start(day):%Y-%m-%d}")

    def _decide(self, name: str, continued: bool) -> None:
        by_trial = self.policy is Policy.TRIAL
        try:
            self._places[name] = (
                self._by_trial(name, continued) if by_trial else self._by_closings(name)
            )
        except TrackingUnreachableError:
            raise
        except BrainError as error:
            self._places[name] = None
            self.failures.append(Failure(f"contest {name}", error))

    def _by_trial(self, name: str, continued: bool) -> Places:
        store = self._library.series
        before = read_course(store, name)
        course = before if continued else decide(store, name)
        if course is None:
            return {}
        if before is None or course.contest.day > before.contest.day:
            _log(course)
        self._courses.append(course)
        self._lines[name] = _definitions(course.closings)
        history = read_history(store, course.timeframe, lines=course.contest.lines)
        known = history.at(course.closings)
        self._posteriors[name] = cell_posteriors(known)
        appointments = read_appointments(store, course)
        self._certificates[name] = Certificates(course, known, appointments)
        return trial_places(course, history)

    def _by_closings(self, name: str) -> Places:
        """By the composite score; the provisional policy has no places, and posteriors alone."""
        store = self._library.series
        closings = read_closings(store, name)
        definitions = _definitions(closings)
        timeframe = name.rpartition(".")[0]
        history = read_history(store, timeframe, lines=sorted(definitions))
        self._posteriors[name] = cell_posteriors(history.at(closings))
        if self.policy is Policy.PROVISIONAL:
            return {}
        self._lines[name] = definitions
        return composite_places(closings, history)


def _definitions(closings: Sequence[Closing]) -> dict[str, Line]:
    return {name: line for closing in closings for name, line in closing.lines.items()}


def _log(course: Course) -> None:
    """A line for the night and one for every decision."""
    night = f"{day_start(course.contest.day):%Y-%m-%d}"
    logger.info(
        "%s: night %s decided; %.0f %% of its evidence is unknown",
        course.name, night, 100 * course.unknown,
    )  # fmt: skip
    for decision in course.decisions:
        logger.info("%s: %s %s", course.name, decision.line, decision.reason)
    if course.late:
        logger.warning(
            "%s: %d rows of evidence came after their night was closed, and don't count",
            course.name, course.late,
        )  # fmt: skip
    if course.mismatched:
        logger.warning(
            "%s: %d cells of night %s are on other bars for one line than for another, and don't "
            "count", course.name, course.mismatched, night,
        )  # fmt: skip


def _course_document(course: Course) -> dict[str, Any]:
    contest = course.contest
    names = np.array(contest.lines)[contest.champions]
    return {
        "contest": course.name,
        "night": f"{day_start(contest.day):%Y-%m-%d}",
        "champions": {
            symbol: dict(zip(map(str, REGIMES), row, strict=True))
            for symbol, row in zip(contest.groups.symbols, names.tolist(), strict=True)
        },
        "unknown": course.unknown,
        "late": course.late,
        "mismatched": course.mismatched,
        "decisions": [json.loads(decision.to_json()) for decision in course.decisions],
    }
