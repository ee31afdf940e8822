"""Exporting series: Parquet, CSV and freqtrade's data directory, which imports read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from market.exports.exporter import (
        ExportedSeries as ExportedSeries,
        ExportResult as ExportResult,
        export_series as export_series,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {"market.exports.exporter": "ExportResult ExportedSeries export_series"},
)
