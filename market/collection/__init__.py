"""Collecting from exchanges: what is missing, fetched and stored, or on record as a gap."""

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

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "market.collection.collected": "Collected Gap SeriesResult",
        "market.collection.collector": "DataCollector",
        "market.collection.gap_record": "open_gaps",
    },
)
