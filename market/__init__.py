"""Where market data comes from: exchanges, folders of files, the packaged sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry._lazy import face

if TYPE_CHECKING:
    from market.collection.collected import (
        Collected as Collected,
        Gap as Gap,
        SeriesResult as SeriesResult,
    )
    from market.collection.collector import DataCollector as DataCollector
    from market.collection.gap_record import open_gaps as open_gaps
    from market.files import (
        FolderBars as FolderBars,
        read_folder as read_folder,
        sample_folder as sample_folder,
    )
    from market.venues.base import Instrument as Instrument, Probe as Probe, Venue as Venue
    from market.venues.opening import VENUES as VENUES, open_venue as open_venue

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "market.collection.collected": "Collected Gap SeriesResult",
        "market.collection.collector": "DataCollector",
        "market.files": "FolderBars read_folder sample_folder",
        "market.collection.gap_record": "open_gaps",
        "market.venues.base": "Instrument Probe Venue",
        "market.venues.opening": "VENUES open_venue",
    },
)
