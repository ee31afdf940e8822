"""The kernels a bar at a time, for a live executor: the bits of the batch without its history.

Each has ``push`` of the next bar, on the full time grid (NaN prices are a missing bar), and
``arrays`` and ``from_arrays``, after which it goes on as if it had never stopped. None is safe from
several threads at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from engine.kernels.incremental.features import IncrementalFeatures as IncrementalFeatures
    from engine.kernels.incremental.liquidations import (
        IncrementalLiquidations as IncrementalLiquidations,
    )
    from engine.kernels.incremental.market_features import (
        IncrementalMarketFeatures as IncrementalMarketFeatures,
    )
    from engine.kernels.incremental.positions import IncrementalPositions as IncrementalPositions
    from engine.kernels.incremental.profit import (
        BarProfit as BarProfit,
        IncrementalProfit as IncrementalProfit,
    )
    from engine.kernels.incremental.regimes import IncrementalRegimes as IncrementalRegimes
    from engine.kernels.incremental.sentiment import IncrementalSentiment as IncrementalSentiment
    from engine.kernels.incremental.settlements import (
        IncrementalSettlements as IncrementalSettlements,
        PaidBar as PaidBar,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "engine.kernels.incremental.features": "IncrementalFeatures",
        "engine.kernels.incremental.liquidations": "IncrementalLiquidations",
        "engine.kernels.incremental.market_features": "IncrementalMarketFeatures",
        "engine.kernels.incremental.positions": "IncrementalPositions",
        "engine.kernels.incremental.profit": "BarProfit IncrementalProfit",
        "engine.kernels.incremental.regimes": "IncrementalRegimes",
        "engine.kernels.incremental.sentiment": "IncrementalSentiment",
        "engine.kernels.incremental.settlements": "IncrementalSettlements PaidBar",
    },
)
