"""Market series as Delta tables: the store, its layout, its reading and writing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry._lazy import face

if TYPE_CHECKING:
    from registry.series.store import SeriesStore as SeriesStore, Upserted as Upserted

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "registry.series.store": "SeriesStore Upserted",
    },
)
