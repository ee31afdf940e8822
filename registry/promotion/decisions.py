"""Decisions as records: what was decided at a night's start, and every number that it rests on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from brain.brief import Brief
from brain.errors import LibraryError
from brain.text import finite
from registry.promotion.boundary import Look, Rule
from registry.promotion.groups import Floats, Groups
from registry.promotion.trial import Trial

__all__ = ["Decision", "GroupFigures", "Outcome", "group_figures", "trial_reason"]


class Outcome(StrEnum):
    """What a decision says."""

    PROMOTED = "promoted"
    ON_TRIAL = "on trial"
    WAITS = "waits"
    DISMISSED = "dismissed"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True)
class GroupFigures:
    """A group's figures in a decision; None is unknown.

    Attributes:
        group: its name.
        nights: on which it was known, live.
        score, boundary: of the trial (or of the sum that rolls back).
        live, live_squares: ΣX and ΣX² of live nights.
        backtest, backtest_squares: of the backtest's nights, which count ``weight`` times.
        variance: V.
        presence: share of nights on which the group is present.
        quantile: Φ⁻¹(1 − a/2) of the group's level a.
        ratio, confirmation: ΣX over √ΣX² of live nights, and what it has to be where a backtest
            counts.
    """

    group: str
    nights: int
    score: float
    boundary: float
    live: float
    live_squares: float
    backtest: float | None
    backtest_squares: float | None
    variance: float | None
    presence: float | None
    quantile: float | None
    ratio: float | None
    confirmation: float | None


@dataclass(frozen=True, repr=False)
class Decision(Brief):
    """A decision about a challenger line, or about a champion under watch.

    Attributes:
        day: number of the night whose evidence was the last.
        outcome: of the decision.
        line: that it is about.
        group: that changed hands; empty if none.
        against: lines that were champions of its cells.
        night: nights of the trial or the watch so far.
        level, recipes, weight: of the trial: its level, K and the weight of its backtest; None of
            a rollback.
        reason: in a sentence.
        figures: of all groups.
    """

    day: int
    outcome: Outcome
    line: str
    group: str
    against: tuple[str, ...]
    night: int
    level: float | None
    recipes: float | None
    weight: float | None
    reason: str
    figures: tuple[GroupFigures, ...]

    def to_json(self) -> str:
        """Compact JSON; numbers that are not finite become null."""

        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {k: plain(v) for k, v in value.items()}
            if isinstance(value, list | tuple):
                return [plain(v) for v in value]
            return finite(value)

        return json.dumps(plain(asdict(self)), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Decision:
        """The inverse of :meth:`registry.promotion.decisions.Decision.to_json`.

        Raises:
            LibraryError: the text is not a decision.
        """
        try:
            fields = json.loads(text)
            figures = tuple(GroupFigures(**entry) for entry in fields.pop("figures"))
            fields["outcome"] = Outcome(fields["outcome"])
            return cls(**(fields | {"against": tuple(fields["against"]), "figures": figures}))
        except (ValueError, TypeError, KeyError) as error:
            raise LibraryError(
                f"a decision can't be read ({error}): {text[:80]!r}; decide the night again"
            ) from error


def group_figures(groups: Groups, trial: Trial, look: Look) -> tuple[GroupFigures, ...]:
    """The figures of a trial's look, of one history."""
    back = trial.backtest

    def number(array: Floats | None, k: int) -> float | None:
        return None if array is None else float(array[k])

    return tuple(
        GroupFigures(
            name,
            int(trial.live.active[k]),
            float(look.score[k]),
            float(look.boundary[k]),
            float(trial.live.total[k]),
            float(trial.live.variance[k]),
            number(back.total if back else None, k),
            number(back.variance if back else None, k),
            float(look.variance[k]),
            float(look.presence[k]),
            float(trial.z[k]),
            finite(float(look.live[k])),
            float(trial.confirmation[k]) if trial.weight else None,
        )
        for k, name in enumerate(groups.names)
    )


def trial_reason(
    rule: Rule, groups: Groups, trial: Trial, look: Look, outcome: Outcome, group: int
) -> str:
    """Why a trial's decision is as it is, in a sentence."""
    if outcome is Outcome.PROMOTED:
        return (
            f"takes {groups.names[group]}: its score {look.score[group]:.1f} reached the boundary "
            f"{look.boundary[group]:.1f} at night {trial.live.nights} of {rule.nights}"
        )
    # A group of which nothing is known has a score of 0, which may be more than the others have.
    active = trial.live.active + (trial.backtest.active if trial.backtest else 0.0)
    best = int(np.where(active > 0, look.score / look.boundary, -np.inf).argmax())
    where = f"{groups.names[best]}, {look.score[best]:.1f} of {look.boundary[best]:.1f}"
    if outcome is Outcome.DISMISSED:
        return f"dismissed: no boundary was crossed in {rule.nights} nights; nearest was {where}"
    return f"on trial, night {trial.live.nights} of {rule.nights}; nearest is {where}"
