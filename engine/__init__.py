"""Bars → features, labels, regimes → models that were judged out of sample. Imports registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry._lazy import face

if TYPE_CHECKING:
    from engine.datasets import Dataset as Dataset, make_dataset as make_dataset
    from engine.frames import (
        feature_frame as feature_frame,
        label_frame as label_frame,
        regime_series as regime_series,
    )
    from engine.judging import Estimate as Estimate, Judgement as Judgement, judge as judge
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
        "engine.datasets": "Dataset make_dataset",
        "engine.frames": "feature_frame label_frame regime_series",
        "engine.judging": "Estimate Judgement judge",
        "engine.night": "SymbolResult train_symbols tune_symbols",
        "engine.recipes": "Recipe",
        "engine.regimes": "RegimeDefinition RegimeState",
        "engine.validation": "Plan out_of_sample",
    },
)
