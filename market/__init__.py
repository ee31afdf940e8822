"""Market data: exchanges and their clients, collection without gaps, and the series' quality."""

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
    from market.exchanges.base import Exchange as Exchange, Instrument as Instrument, Probe as Probe
    from market.exchanges.catalogue import EXCHANGES as EXCHANGES, open_exchange as open_exchange
    from market.liquidations.collector import (
        LiquidationCollector as LiquidationCollector,
        Liquidations as Liquidations,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "market.collection.collector": "DataCollector",
        "market.collection.gaps": "open_gaps",
        "market.collection.results": "CollectionResult Gap SeriesResult",
        "market.exchanges.base": "Exchange Instrument Probe",
        "market.exchanges.catalogue": "EXCHANGES open_exchange",
        "market.liquidations.collector": "LiquidationCollector Liquidations",
    },
)
