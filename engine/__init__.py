"""Bars → features, targets, regimes → models with an evaluation out of sample.

Imports brain and registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from brain.recipes import Recipe as Recipe
    from engine.data.dataset import Dataset as Dataset, make_dataset as make_dataset
    from engine.data.frames import (
        feature_frame as feature_frame,
        regime_series as regime_series,
        target_frame as target_frame,
    )
    from engine.data.market_series import (
        MarketSeries as MarketSeries,
        read_market_series as read_market_series,
    )
    from engine.data.sentiment_series import (
        SentimentSeries as SentimentSeries,
        read_sentiment as read_sentiment,
    )
    from engine.evaluation.metrics import evaluate as evaluate
    from engine.evaluation.walk_forward import (
        TrainingPlan as TrainingPlan,
        out_of_sample as out_of_sample,
    )
    from engine.kernels.regime_state import (
        RegimeDefinition as RegimeDefinition,
        RegimeState as RegimeState,
    )
    from engine.night.champions import (
        CellChoice as CellChoice,
        champion_models as champion_models,
        choose_champions as choose_champions,
        name_champions as name_champions,
    )
    from engine.night.symbols import (
        SymbolResult as SymbolResult,
        train_symbols as train_symbols,
        tune_symbols as tune_symbols,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "engine.night.champions": "CellChoice champion_models choose_champions name_champions",
        "engine.data.dataset": "Dataset make_dataset",
        "engine.data.frames": "feature_frame target_frame regime_series",
        "engine.evaluation.metrics": "evaluate",
        "engine.data.market_series": "MarketSeries read_market_series",
        "engine.data.sentiment_series": "SentimentSeries read_sentiment",
        "engine.night.symbols": "SymbolResult train_symbols tune_symbols",
        "brain.recipes": "Recipe",
        "engine.kernels.regime_state": "RegimeDefinition RegimeState",
        "engine.evaluation.walk_forward": "TrainingPlan out_of_sample",
    },
)
