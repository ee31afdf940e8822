"""Live streams: all that exchanges push, stored, and what of the time was listened to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from market.streams.pace import Pace as Pace
    from market.streams.stream import Source as Source, Stream as Stream

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "market.streams.pace": "Pace",
        "market.streams.stream": "Source Stream",
    },
)
