"""The quality of stored series: counts and notes; nothing is repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from market.quality.record import QualityRecord as QualityRecord
    from market.quality.report import QualityReport as QualityReport
    from market.quality.series_check import check_series as check_series
    from market.quality.store_check import check_store as check_store

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "market.quality.series_check": "check_series",
        "market.quality.record": "QualityRecord",
        "market.quality.report": "QualityReport",
        "market.quality.store_check": "check_store",
    },
)
