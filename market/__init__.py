"""Where market data comes from: exchanges, folders of files, the packaged sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from brain.series.files import (
        BarSet as BarSet,
        read_folder as read_folder,
        sample_folder as sample_folder,
    )
    from market.collection.collector import DataCollector as DataCollector
    from market.collection.gaps import open_gaps as open_gaps
    from market.collection.results import (
        CollectionResult as CollectionResult,
        Gap as Gap,
        SeriesResult as SeriesResult,
    )
    from market.exchanges.base import Exchange as Exchange, Instrument as Instrument, Probe as Probe
    from market.exchanges.catalogue import EXCHANGES as EXCHANGES, open_exchange as open_exchange

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "market.collection.results": "CollectionResult Gap SeriesResult",
        "market.collection.collector": "DataCollector",
        "brain.series.files": "BarSet read_folder sample_folder",
        "market.collection.gaps": "open_gaps",
        "market.exchanges.base": "Instrument Probe Exchange",
        "market.exchanges.catalogue": "EXCHANGES open_exchange",
    },
)
