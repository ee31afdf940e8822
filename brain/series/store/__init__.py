"""Market series as Delta tables: the store, its layout, its queries and commits, its checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from brain.series.store.checks import check_series as check_series
    from brain.series.store.store import SeriesStore as SeriesStore, UpsertCounts as UpsertCounts

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "brain.series.store.checks": "check_series",
        "brain.series.store.store": "SeriesStore UpsertCounts",
    },
)
