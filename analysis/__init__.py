"""Why models say what they say, whether their data changed, and the night in a table.

Imports registry and engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from analysis.drift import ColumnDrift as ColumnDrift, DriftAnalysis as DriftAnalysis
    from analysis.nightly import (
        NightlyFeatureAnalysis as NightlyFeatureAnalysis,
        run_nightly_feature_analysis as run_nightly_feature_analysis,
    )
    from analysis.rankings import Rankings as Rankings
    from analysis.results import (
        Additivity as Additivity,
        FeatureImportance as FeatureImportance,
        FeatureNote as FeatureNote,
        Method as Method,
        ModelAnalysis as ModelAnalysis,
        NightlyAnalysis as NightlyAnalysis,
        NoteKind as NoteKind,
        Ranking as Ranking,
        Stage as Stage,
    )
    from analysis.summary import (
        champions_table as champions_table,
        night_document as night_document,
    )
    from analysis.trends import (
        FamilyShifts as FamilyShifts,
        FeatureShift as FeatureShift,
        FeatureShifts as FeatureShifts,
        FeatureTrend as FeatureTrend,
        FeatureTrends as FeatureTrends,
        History as History,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "analysis.drift": "ColumnDrift DriftAnalysis",
        "analysis.nightly": "NightlyFeatureAnalysis run_nightly_feature_analysis",
        "analysis.rankings": "Rankings",
        "analysis.results": (
            "Additivity FeatureImportance FeatureNote Method ModelAnalysis "
            "NightlyAnalysis NoteKind Ranking Stage"
        ),
        "analysis.summary": "champions_table night_document",
        "analysis.trends": (
            "FamilyShifts FeatureShift FeatureShifts FeatureTrend FeatureTrends History"
        ),
    },
)
