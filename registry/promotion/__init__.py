"""Promotion: which version becomes the champion of a cell, and which family to expect there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from registry.promotion.advice import advise_family as advise_family
    from registry.promotion.rule import (
        Choice as Choice,
        provisional_choice as provisional_choice,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "registry.promotion.advice": "advise_family",
        "registry.promotion.rule": "Choice provisional_choice",
    },
)
