"""What a night has shown, for people. Imports registry and engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry._lazy import face

if TYPE_CHECKING:
    from analysis.summary import (
        champions_table as champions_table,
        night_document as night_document,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "analysis.summary": "champions_table night_document",
    },
)
