"""Promotion: which line or version becomes the champion of a cell, and which family to expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from registry.promotion.advice import advise_family as advise_family
    from registry.promotion.boundary import Rule as Rule
    from registry.promotion.contest import Contest as Contest
    from registry.promotion.decisions import Decision as Decision
    from registry.promotion.groups import Groups as Groups
    from registry.promotion.rule import (
        Choice as Choice,
        provisional_choice as provisional_choice,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "registry.promotion.advice": "advise_family",
        "registry.promotion.boundary": "Rule",
        "registry.promotion.contest": "Contest",
        "registry.promotion.decisions": "Decision",
        "registry.promotion.groups": "Groups",
        "registry.promotion.rule": "Choice provisional_choice",
    },
)
