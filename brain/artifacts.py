"""Where everything is among a run's artifacts, and among a model's files: each path once."""

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

#: On a night's run: the night as JSON, and the folder of the quality report.
SUMMARY = "summary.json"
MARKET = "market"

#: On the run of a symbol's analysis.
RANKINGS = "rankings.json"

#: On a version's run: the folders of its explanation and of its data's drift, and the two files in
#: them that links lead to.
EXPLANATION = "explanation"
DRIFT = "drift"
BEESWARM = f"{EXPLANATION}/beeswarm.png"
DRIFT_REPORT = f"{DRIFT}/evidently.html"

#: Among a model's files: every file's hash, what it was made by, and what classifies the present
#: as its past was classified.
MANIFEST = "manifest.json"
RECIPE = "recipe.json"
REGIMES = "regimes.json"
