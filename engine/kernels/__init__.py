"""Features, regimes and targets of bars, on NumPy arrays: for training and for a live executor.

The same bits on the last few bars as on the whole history. Needs NumPy and the standard-library
part of brain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from engine.kernels.features import (
        FEATURE_SET as FEATURE_SET,
        FEATURES as FEATURES,
        LOOK_BACK as LOOK_BACK,
        bar_features as bar_features,
    )
    from engine.kernels.fills import choose_fill as choose_fill, fill_prices as fill_prices
    from engine.kernels.liquidations import (
        LIQUIDATION_FEATURE_SET as LIQUIDATION_FEATURE_SET,
        LIQUIDATION_FEATURES as LIQUIDATION_FEATURES,
        MinuteRows as MinuteRows,
        liquidation_features as liquidation_features,
    )
    from engine.kernels.market_features import (
        MARKET_FEATURE_SET as MARKET_FEATURE_SET,
        MARKET_FEATURES as MARKET_FEATURES,
        MARKET_LOOK_BACK as MARKET_LOOK_BACK,
        FundingRows as FundingRows,
        OpenInterestRows as OpenInterestRows,
        perpetual_features as perpetual_features,
    )
    from engine.kernels.payments import Funding as Funding, funding_payments as funding_payments
    from engine.kernels.position import PositionRule as PositionRule
    from engine.kernels.profit import Profit as Profit, position_profit as position_profit
    from engine.kernels.regime_state import (
        UNKNOWN as UNKNOWN,
        RegimeDefinition as RegimeDefinition,
        RegimeState as RegimeState,
    )
    from engine.kernels.regimes import (
        catch_up as catch_up,
        classify as classify,
        volatility as volatility,
    )
    from engine.kernels.sentiment import (
        SENTIMENT_FEATURE_SET as SENTIMENT_FEATURE_SET,
        SENTIMENT_FEATURES as SENTIMENT_FEATURES,
        IndexRows as IndexRows,
        PostRows as PostRows,
        sentiment_features as sentiment_features,
    )
    from engine.kernels.spread import Spread as Spread, half_spread as half_spread
    from engine.kernels.targets import (
        forward_return as forward_return,
        scaled_target as scaled_target,
        target_name as target_name,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "engine.kernels.features": "FEATURES FEATURE_SET LOOK_BACK bar_features",
        "engine.kernels.liquidations": (
            "LIQUIDATION_FEATURES LIQUIDATION_FEATURE_SET MinuteRows liquidation_features"
        ),
        "engine.kernels.market_features": (
            "FundingRows MARKET_FEATURES MARKET_FEATURE_SET MARKET_LOOK_BACK OpenInterestRows "
            "perpetual_features"
        ),
        "engine.kernels.fills": "choose_fill fill_prices",
        "engine.kernels.payments": "Funding funding_payments",
        "engine.kernels.position": "PositionRule",
        "engine.kernels.profit": "Profit position_profit",
        "engine.kernels.regime_state": "RegimeDefinition RegimeState UNKNOWN",
        "engine.kernels.regimes": "catch_up classify volatility",
        "engine.kernels.sentiment": (
            "IndexRows PostRows SENTIMENT_FEATURES SENTIMENT_FEATURE_SET sentiment_features"
        ),
        "engine.kernels.spread": "Spread half_spread",
        "engine.kernels.targets": "forward_return scaled_target target_name",
    },
)
