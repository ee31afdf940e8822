"""The contest of lines for the champions' places: its state goes in with a night, and comes out.

A night is added once and in order. Rows of nights that were already added never enter, however
late they arrive; nights between that are missing count as unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from brain.brief import Brief
from brain.errors import InputError
from registry.promotion.boundary import Rule
from registry.promotion.budget import Start, share
from registry.promotion.decisions import (
    Decision,
    GroupFigures,
    Outcome,
    group_figures,
    trial_reason,
)
from registry.promotion.groups import Floats, Groups, Indices
from registry.promotion.posts import Post, Term, successors
from registry.promotion.rollback import PROMISE_NIGHTS, RIVAL_NIGHTS, Watch
from registry.promotion.trial import Night, Trial, advance, begin, difference

__all__ = ["Contest", "Nearest"]


@dataclass(frozen=True)
class Nearest:
    """The challenger of a cell that is nearest to a boundary.

    Attributes:
        line: its name.
        night: of its trial.
        group: with the cell, whose boundary is nearest.
        score, boundary: of the group.
    """

    line: str
    night: int
    group: str
    score: float
    boundary: float


@dataclass(frozen=True, repr=False)
class Contest(Brief):
    """Champions, trials and watches of one history.

    Attributes:
        groups: of the cells.
        lines: names, in the order of the evidence.
        champions: (symbols, regimes) indices of lines.
        day: number of the last night that was added (days since any one day).
        rule: of the trials.
        trials, posts: that are running.
        starts: of all trials.
        terms: of cells that have changed, oldest first.
    """

    groups: Groups
    lines: tuple[str, ...]
    champions: Indices
    day: int
    rule: Rule = field(default_factory=Rule)
    trials: tuple[Trial, ...] = ()
    posts: tuple[Post, ...] = ()
    starts: tuple[Start, ...] = ()
    terms: tuple[Term, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.lines)) < len(self.lines):
            raise InputError(f"lines {self.lines!r} must differ; a changed line is another line")
        shape = (len(self.groups.symbols), len(self.groups.regimes))
        if self.champions.shape != shape or not np.isin(self.champions, self._numbers).all():
            raise InputError(
                f"champions of shape {self.champions.shape} must be {shape} indices of "
                f"{len(self.lines)} lines"
            )

    @property
    def _numbers(self) -> Indices:
        return np.arange(len(self.lines))

    def start(
        self,
        lines: Sequence[str],
        *,
        recipes: Mapping[str, float] | None = None,
        backtests: Floats | None = None,
        alone: Collection[str] = (),
    ) -> Contest:
        """Put lines on trial from the next night on.

        Args:
            lines: names; a name that is new is appended, and its evidence with it.
            recipes: K by line; 1 if absent.
            backtests: (nights, symbols, regimes, lines) of all lines, oldest first, as they were
                frozen; None for live nights alone.
            alone: lines for which live nights alone count, though there are backtests.

        Raises:
            InputError: a line is on trial already or champion of all cells, or the level of these
                nights is used up.
        """
        names = (*self.lines, *(name for name in lines if name not in self.lines))
        numbers = [names.index(name) for name in lines]
        running = {trial.line for trial in self.trials}
        for name, number in zip(lines, numbers, strict=True):
            if number in running or (self.champions == number).all():
                state = "on trial" if number in running else "champion of all cells"
                raise InputError(f"line {name} is {state}; start one that isn't")
        if backtests is not None:
            self._check(backtests, len(names), nights=True)
        level = share(self.rule, self.starts, self.day, len(lines))
        trials = [
            begin(
                self.rule,
                self.groups,
                number,
                level,
                recipes=(recipes or {}).get(names[number], 1.0),
                backtest=self._backtest(None if names[number] in alone else backtests, number),
            )
            for number in numbers
        ]
        return replace(
            self,
            lines=names,
            trials=(*self.trials, *trials),
            starts=(*self.starts, *(Start(self.day, level, name) for name in lines)),
        )

    def extended(self, symbols: Sequence[str], champions: Indices) -> Contest:
        """With symbols that appear later: unknown till now, and groups of their own from now on.

        Sums of the other groups go on. All groups share each trial's level anew.

        Args:
            symbols: new ones.
            champions: that they would have had from the first, (new, regimes); what has won all
                cells or a regime since then takes theirs too.

        Raises:
            InputError: a symbol is not new, or the champions are not these symbols'.
        """
        before, groups = self.groups, Groups((*self.groups.symbols, *symbols), self.groups.regimes)
        former = [before.names.index(n) if n in before.names else -1 for n in groups.names]
        rows = np.concatenate([self.champions, champions])
        known = len(before.symbols)
        rows, posts, cells = successors(self.posts, self.terms, groups, rows, known)
        joined = rows[known:] != champions
        terms = [replace(term, cells=c) for term, c in zip(self.terms, cells, strict=True)]
        if joined.any():
            everywhere = np.concatenate([np.zeros_like(self.champions, dtype=bool), joined])
            terms.append(Term(self.day, "its line had won these cells of all symbols", everywhere))
        return replace(
            self,
            groups=groups,
            champions=rows,
            trials=tuple(t.extended(self.rule, groups, np.array(former)) for t in self.trials),
            posts=posts,
            terms=tuple(terms),
        )

    def term(self, symbol: str, regime: str) -> Term | None:
        """The term of a cell's champion; None from the first."""
        k = self.groups.cell(symbol, regime)
        return next((term for term in self.terms if term.cells[k]), None)

    def nearest(self) -> dict[tuple[str, str], Nearest]:
        """By symbol and regime the line on trial that is nearest to a boundary with the cell.

        Cells without a challenger are left out.
        """
        looks = [trial.look(self.rule) for trial in self.trials]
        shares = [
            (trial, look, look.score / look.boundary)
            for trial, look in zip(self.trials, looks, strict=True)
        ]
        names = self.groups.names
        places = {name: g for g, name in enumerate(names)}
        nearest = {}
        for (i, j), champion in np.ndenumerate(self.champions):
            cell = self.groups.symbols[i], self.groups.regimes[j]
            groups = [places[name] for name in ("all", *cell) if name in places]
            best = max(
                (
                    (float(share[g]), k, g)
                    for k, (trial, _, share) in enumerate(shares)
                    if trial.line != champion
                    for g in groups
                ),
                default=None,
            )
            if best is not None:
                (trial, look, _), g = shares[best[1]], best[2]
                nearest[cell] = Nearest(
                    self.lines[trial.line],
                    trial.live.nights,
                    names[g],
                    float(look.score[g]),
                    float(look.boundary[g]),
                )
        return nearest

    def add(self, day: int, values: Floats) -> tuple[Contest, tuple[Decision, ...]]:
        """Add a complete night, and decide.

        Args:
            day: of the night; nights between the last one and this are missing, so unknown.
            values: (symbols, regimes, lines) net profit over known volatility; NaN unknown.

        Raises:
            InputError: the night was added before, or its evidence has another shape or is
                infinite.
        """
        self._check(values, len(self.lines))
        if day <= self.day:
            raise InputError(
                f"night {day} can't be added after night {self.day}; late rows don't count"
            )
        contest, decisions = self, list[Decision]()
        for between in range(self.day + 1, day + 1):
            tonight = values if between == day else np.full_like(values, np.nan)
            contest, news = contest._next(between, tonight)
            decisions += news
        return contest, tuple(decisions)

    def add_all(
        self, days: Sequence[int], values: Floats
    ) -> tuple[Contest, tuple[Decision, ...], int]:
        """Add the nights that are new, in order.

        Args:
            days: rising.
            values: (nights, symbols, regimes, lines).

        Returns:
            The contest, the decisions, and how many nights were left out as they came too late.
        """
        new = [k for k, day in enumerate(days) if day > self.day]
        contest, decisions = self, list[Decision]()
        for k in new:
            contest, news = contest.add(days[k], values[k])
            decisions += news
        return contest, tuple(decisions), len(days) - len(new)

    def _check(self, values: Floats, lines: int, nights: bool = False) -> None:
        shape = (len(self.groups.symbols), len(self.groups.regimes), lines)
        if values.shape[nights:] != shape:
            raise InputError(
                f"evidence of shape {values.shape} doesn't fit {shape[0]} symbols × {shape[1]} "
                f"regimes × {lines} lines; give one value each, NaN where it is unknown"
            )
        if np.isinf(values).any():
            raise InputError("evidence is infinite; give NaN where it is unknown")

    def _backtest(self, values: Floats | None, number: int) -> Floats | None:
        if values is None:
            return None
        return difference(values, np.broadcast_to(self.champions, values.shape[:-1]), number)

    def _next(self, day: int, values: Floats) -> tuple[Contest, list[Decision]]:
        posts, champions, decisions, changes = self._watch(day, values)
        trials = self.trials
        if (back := champions != self.champions).any():
            trials = tuple(trial.restarted(self.groups, back) for trial in trials)
        night = advance(self.rule, self.groups, champions, trials, values)
        judged = list(self._judged(day, night, champions))
        decisions += judged
        champions_now = night.champions
        if night.winner >= 0:
            posts = [*posts, self._post(night, champions)]
            changes.append(Term(day, judged[int(night.winner)].reason, night.cells))
        going = tuple(
            trial
            for trial in night.trials
            if trial.live.nights < self.rule.nights and (champions_now != trial.line).any()
        )
        current = [replace(p, cells=p.cells & (champions_now == p.line)) for p in posts]
        posts = [p for p in current if p.cells.any()]
        contest = replace(
            self,
            day=day,
            champions=champions_now,
            trials=going,
            posts=tuple(posts),
            terms=_renewed(self.terms, changes),
        )
        return contest, decisions

    def _judged(self, day: int, night: Night, champions: Indices) -> Iterator[Decision]:
        for k, (trial, look) in enumerate(zip(night.trials, night.looks, strict=True)):
            group = int(night.group) if night.winner == k else -1
            outcome = Outcome.ON_TRIAL
            if group >= 0:
                outcome = Outcome.PROMOTED
            elif trial.live.nights >= self.rule.nights:
                outcome = Outcome.DISMISSED
            cells = night.cells if group >= 0 else champions != trial.line
            yield Decision(
                day,
                outcome,
                self.lines[trial.line],
                self.groups.names[group] if group >= 0 else "",
                self._names(champions[cells]),
                trial.live.nights,
                trial.level,
                trial.recipes,
                trial.weight,
                trial_reason(self.rule, self.groups, trial, look, outcome, group),
                group_figures(self.groups, trial, look),
            )

    def _names(self, numbers: Indices) -> tuple[str, ...]:
        return tuple(self.lines[k] for k in np.unique(numbers))

    def _post(self, night: Night, before: Indices) -> Post:
        k = int(night.group)
        trial = night.trials[int(night.winner)]
        sums = trial.live.only(k)
        promise = sums.total / np.maximum(sums.active, 1.0)
        name = self.groups.names[k]
        return Post(trial.line, name, before, night.cells, Watch.begin(sums, promise))

    def _watch(
        self, day: int, values: Floats
    ) -> tuple[list[Post], Indices, list[Decision], list[Term]]:
        champions, posts = self.champions, list[Post]()
        decisions, changes = list[Decision](), list[Term]()
        for post in self.posts:
            k = self.groups.names.index(post.group)
            cells = np.where(post.cells, difference(values, post.before, post.line), np.nan)
            watch = post.watch.add(self.groups.means(cells)[k : k + 1], self.rule.limit)
            watched = replace(post, watch=watch)
            if watch.worse()[0] or watch.disappointing()[0]:
                champions = np.where(post.cells, post.before, champions)
                decisions.append(self._rolled_back(day, watched))
                reason = f"{self.lines[post.line]} was {decisions[-1].reason}"
                changes.append(Term(day, reason, post.cells))
            else:
                posts.append(watched)
        return posts, champions, decisions, changes

    def _rolled_back(self, day: int, post: Post) -> Decision:
        watch, sums = post.watch, post.watch.sums
        worse = bool(watch.worse()[0])
        fall = watch.fall if worse else watch.shortfall
        boundary = watch.boundary(RIVAL_NIGHTS if worse else PROMISE_NIGHTS)
        against = "the line before it" if worse else "half of its promise"
        figures = GroupFigures(
            post.group,
            int(sums.active[0]),
            float(fall[0]),
            float(boundary[0]),
            float(sums.total[0]),
            float(sums.variance[0]),
            *(None,) * 7,
        )
        return Decision(
            day,
            Outcome.ROLLED_BACK,
            self.lines[post.line],
            post.group,
            self._names(post.before[post.cells]),
            sums.nights,
            None,
            None,
            None,
            f"rolled back in {post.group}: its fall against {against}, {fall[0]:.1f}, reached the "
            f"boundary {boundary[0]:.1f}",
            (figures,),
        )


def _renewed(terms: Sequence[Term], changes: Sequence[Term]) -> tuple[Term, ...]:
    """Terms after these changes, which end those of their cells; the ones without a cell go."""
    now = list(terms)
    for change in changes:
        now = [replace(term, cells=term.cells & ~change.cells) for term in now] + [change]
    return tuple(term for term in now if term.cells.any())
