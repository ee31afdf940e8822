"""Bars → features, labels, regimes → models that were judged out of sample. Imports registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry._lazy import face

if TYPE_CHECKING:
    from engine.champions import (
        Cell as Cell,
        choose_champions as choose_champions,
        chosen_models as chosen_models,
        name_champions as name_champions,
    )
    from engine.datasets import Dataset as Dataset, make_dataset as make_dataset
    from engine.frames import (
        feature_frame as feature_frame,
        label_frame as label_frame,
        regime_series as regime_series,
    )
    from engine.judging import Estimate as Estimate, Judgement as Judgement, judge as judge
    from engine.market_data import (
        MarketSeries as MarketSeries,
        read_market_series as read_market_series,
    )
    from engine.night import (
        SymbolResult as SymbolResult,
        train_symbols as train_symbols,
        tune_symbols as tune_symbols,
    )
    from engine.recipes import Recipe as Recipe
    from engine.regimes import RegimeDefinition as RegimeDefinition, RegimeState as RegimeState
    from engine.validation import Plan as Plan, out_of_sample as out_of_sample

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "engine.champions": "Cell choose_champions chosen_models name_champions",
        "engine.datasets": "Dataset make_dataset",
        "engine.frames": "feature_frame label_frame regime_series",
        "engine.judging": "Estimate Judgement judge",
        "engine.market_data": "MarketSeries read_market_series",
        "engine.night": "SymbolResult train_symbols tune_symbols",
        "engine.recipes": "Recipe",
        "engine.regimes": "RegimeDefinition RegimeState",
        "engine.validation": "Plan out_of_sample",
    },
)
