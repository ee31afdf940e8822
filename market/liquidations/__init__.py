"""Liquidations: sums by bar where it was listened to, cascades, clusters of volatility."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from market.liquidations.collector import (
        LiquidationCollector as LiquidationCollector,
        Liquidations as Liquidations,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {"market.liquidations.collector": "LiquidationCollector Liquidations"},
)
