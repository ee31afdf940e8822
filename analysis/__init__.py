"""Explanations of models, drift of their data, and a night as tables and documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from analysis.documents import night_document as night_document
    from analysis.drift import ColumnDrift as ColumnDrift, DriftAnalysis as DriftAnalysis
    from analysis.failures import Stage as Stage
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
        NoteReason as NoteReason,
        Ranking as Ranking,
    )
    from analysis.tables import champions_table as champions_table
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
        "analysis.documents": "night_document",
        "analysis.drift": "ColumnDrift DriftAnalysis",
        "analysis.failures": "Stage",
        "analysis.nightly": "NightlyFeatureAnalysis run_nightly_feature_analysis",
        "analysis.rankings": "Rankings",
        "analysis.results": (
            "Additivity FeatureImportance FeatureNote Method ModelAnalysis "
            "NightlyAnalysis NoteReason Ranking"
        ),
        "analysis.tables": "champions_table",
        "analysis.trends": (
            "FamilyShifts FeatureShift FeatureShifts FeatureTrend FeatureTrends History"
        ),
    },
)
