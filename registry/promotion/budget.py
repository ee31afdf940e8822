"""The level of significance of trials: one for all that are started within 180 nights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from brain.errors import InputError
from registry.promotion.boundary import Rule

__all__ = ["Start", "available", "share"]


@dataclass(frozen=True)
class Start:
    """A trial's start.

    Attributes:
        day: number of the night (days since any one day).
        level: that the trial has.
        line: name of the line on trial.
    """

    day: int
    level: float
    line: str = ""


def available(rule: Rule, starts: Sequence[Start], day: int) -> float:
    """What is left of the level at a night: less that of the trials started in the last nights."""
    if any(start.day > day for start in starts):
        raise InputError(f"night {day} is before a trial's start; start trials in their order")
    return rule.level - sum(s.level for s in starts if s.day > day - rule.nights)


def share(rule: Rule, starts: Sequence[Start], day: int, lines: int) -> float:
    """The level of each of the trials that are started together.

    They get 80 % of what is left, in equal parts. So the levels of all trials that start within
    any 180 nights sum to no more than 5 %, however many there are, and a later line still has
    something, until it is less than the rule's least. Each trial's chance of a wrong promotion is
    at most its level.

    Args:
        rule: of the trials.
        starts: of all trials before.
        day: number of the night.
        lines: that are started together.
    """
    if lines < 1:
        raise InputError(f"{lines} lines can't start; name at least one")
    return rule.batch * available(rule, starts, day) / lines
