"""Paths among the artifacts of runs and the files of models."""

from __future__ import annotations

__all__ = [
    "BEESWARM",
    "DRIFT",
    "DRIFT_REPORT",
    "EXPLANATION",
    "MANIFEST",
    "MARKET",
    "RANKINGS",
    "RECIPE",
    "REGIMES",
    "SUMMARY",
]

#: On a night's run: its document, and the folder of the quality report.
SUMMARY = "summary.json"
MARKET = "market"

#: On the run of a symbol's analysis.
RANKINGS = "rankings.json"

#: On a version's run: the folders of its explanation and of its data's drift, and a file of each
#: that descriptions link to.
EXPLANATION = "explanation"
DRIFT = "drift"
BEESWARM = f"{EXPLANATION}/beeswarm.png"
DRIFT_REPORT = f"{DRIFT}/evidently.html"

#: Among a model's files: the hash of every file; the recipe; the definition and state by which new
#: bars are classified into regimes as the bars of the training were.
MANIFEST = "manifest.json"
RECIPE = "recipe.json"
REGIMES = "regimes.json"
