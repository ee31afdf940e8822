"""Collecting from exchanges: what is missing, fetched and stored, or on record as a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from market.collection.collector import DataCollector as DataCollector
    from market.collection.gaps import open_gaps as open_gaps
    from market.collection.results import (
        CollectionResult as CollectionResult,
        Gap as Gap,
        SeriesResult as SeriesResult,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "market.collection.results": "CollectionResult Gap SeriesResult",
        "market.collection.collector": "DataCollector",
        "market.collection.gaps": "open_gaps",
    },
)
