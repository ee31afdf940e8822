"""Exchanges that market data is collected from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry._lazy import face

if TYPE_CHECKING:
    from market.venues.base import (
        Instrument as Instrument,
        Probe as Probe,
        Venue as Venue,
    )
    from market.venues.opening import (
        VENUES as VENUES,
        open_venue as open_venue,
        venue_of as venue_of,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "market.venues.base": "Instrument Probe Venue",
        "market.venues.opening": "VENUES open_venue venue_of",
    },
)
