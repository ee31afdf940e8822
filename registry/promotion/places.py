"""What a policy says of every cell: its champion's line and why, its challenger, and its size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from brain.brief import Brief
from brain.naming import PRIOR, REGIMES
from registry.promotion.boundary import Rule, backtest_weight
from registry.promotion.course import Course, tried_recipes
from registry.promotion.groups import Booleans, Groups
from registry.promotion.guardrails import better_than_flat
from registry.promotion.history import History
from registry.promotion.sums import Sums

__all__ = ["Place", "Places", "trial_places"]


@dataclass(frozen=True, repr=False)
class Place(Brief):
    """A cell by a policy.

    Attributes:
        line: of the champion, its id.
        reason: why it is, in a sentence.
        by_evidence: whether another family than the prior's won the cell.
        since: number of the night that gave it the cell; the contest's first if it has it from
            then on.
        challenger: line of the challenger; empty if there is none.
        before: line of the champion before, while that is watched beside the champion; else empty.
        better: whether the champion is credibly better than flat; None if it was not judged.
    """

    line: str
    reason: str
    by_evidence: bool
    since: int
    challenger: str = ""
    before: str = ""
    better: bool | None = None


#: By symbol and regime.
Places = Mapping[tuple[str, str], Place]


def trial_places(course: Course, history: History) -> Places:
    """The places of a contest.

    Args:
        course: of the contest.
        history: of its lines, all symbols.
    """
    contest, first = course.contest, course.closings[0].day
    known = history.at(course.closings)
    better = {
        k: _better(contest.rule, contest.groups, name, known)
        for k, name in enumerate(contest.lines)
        if (contest.champions == k).any()
    }
    challengers = contest.nearest()
    families = {n: line.family for closing in course.closings for n, line in closing.lines.items()}
    places = {}
    for i, symbol in enumerate(contest.groups.symbols):
        for j, regime in enumerate(REGIMES):
            line = int(contest.champions[i, j])
            term, nearest = contest.term(symbol, regime), challengers.get((symbol, str(regime)))
            parts = [term.reason if term else "prior"]
            if nearest is not None:
                parts.append(
                    f"{nearest.line} on trial, night {nearest.night} of {contest.rule.nights}, "
                    f"nearest in {nearest.group}: {nearest.score:.1f} of {nearest.boundary:.1f}"
                )
            places[symbol, str(regime)] = Place(
                contest.lines[line],
                "; ".join(parts),
                by_evidence=term is not None and families[contest.lines[line]] != PRIOR[regime],
                since=term.day if term else first,
                challenger=nearest.line if nearest else "",
                before=next(
                    (contest.lines[p.before[i, j]] for p in contest.posts if p.cells[i, j]), ""
                ),
                better=bool(better[line][i, j]),
            )
    return places


def _better(rule: Rule, groups: Groups, line: str, history: History) -> Booleans:
    """Cells in which a line's own evidence is credibly better than flat, (symbols, regimes)."""
    means = {}
    for live in (False, True):
        own = replace(history, profit=np.where(history.live == live, history.profit, np.nan))
        means[live] = groups.means(own.nights(history.days, groups.symbols, [line])[..., 0])
    back = Sums.empty(len(groups.names)).add_all(means[False], rule.limit)
    live_sums = back.successor().add_all(means[True], rule.limit)
    recipes = tried_recipes(history, line)
    nights = float(np.isfinite(means[False]).any(axis=-1).sum())
    level = rule.level * float(groups.shares(rule.weights)[0])
    weight = backtest_weight(rule, nights, level, recipes)
    return better_than_flat(
        rule, groups, live_sums, back, weight=weight, recipes=recipes if weight else 1.0
    )
