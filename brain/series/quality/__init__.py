"""Prices to mistrust: rules on a series of candles or bars, wherever it is kept.

What a rule flags is told; nothing is altered or left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from brain.series.quality.candles import candle_findings as candle_findings
    from brain.series.quality.findings import Finding as Finding, Findings as Findings

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "brain.series.quality.candles": "candle_findings",
        "brain.series.quality.findings": "Finding Findings",
    },
)
