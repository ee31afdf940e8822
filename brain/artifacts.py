"""Folders and files among a run's artifacts and among a model's files: each name once."""

from __future__ import annotations

__all__ = [
    "BEESWARM",
    "CERTIFICATE",
    "DRIFT",
    "DRIFT_STATISTIC",
    "EVIDENTLY",
    "EVIDENTLY_REPORT",
    "EXECUTOR",
    "EXECUTOR_FILES",
    "EXECUTOR_MODELS",
    "EXPLANATION",
    "FEATURES_PAGE",
    "IMPORTANCE",
    "IMPORTANCE_FIGURE",
    "IMPORTANCE_TABLE",
    "LIGHTGBM",
    "LSTM_SHAPE",
    "LSTM_WEIGHTS",
    "LSTM_WINDOW",
    "MANIFEST",
    "MARKET",
    "MODEL_CARD",
    "NIGHT_PAGE",
    "OUT_OF_SAMPLE",
    "POSITION",
    "PROFIT_FIGURE",
    "PROMOTION",
    "QUALITY",
    "QUALITY_REPORT",
    "QUALITY_TABLE",
    "RANKINGS",
    "RECIPE",
    "REGIMES",
    "REPLAY",
    "REPLAY_FIGURE",
    "REPLAY_NIGHTS",
    "REPLAY_PAGE",
    "SUMMARY",
    "TRIALS",
    "TRIAL_PREDICTIONS",
    "WALK_FORWARD",
    "XGBOOST",
]

# --- on a night's run ---------------------------------------------------------------------------

#: The night as JSON.
SUMMARY = "summary.json"
#: The night as a page.
NIGHT_PAGE = "night.html"
#: What was decided at the night's start.
PROMOTION = "promotion.json"
#: The folder of the quality report: a page, and the same as JSON and as a table.
MARKET = "market"
QUALITY_REPORT = "quality.html"
QUALITY = "quality.json"
QUALITY_TABLE = "quality.parquet"

# --- on a replay's run --------------------------------------------------------------------------

#: What it came to: as JSON, as a page, as a figure, and the profits of its nights.
REPLAY = "replay.json"
REPLAY_PAGE = "replay.html"
REPLAY_FIGURE = "replay.png"
REPLAY_NIGHTS = "replay.parquet"

# --- on the run of a symbol's analysis ----------------------------------------------------------

RANKINGS = "rankings.json"

# --- on a version's run -------------------------------------------------------------------------

#: Predictions, targets, positions, profits and regimes of the evaluation.
OUT_OF_SAMPLE = "out_of_sample.parquet"
#: What the last closed night decided of the version's line, with data and versions by digest; the
#: same as a page.
CERTIFICATE = "certificate.json"
MODEL_CARD = "card.html"
#: What the line's next refits go on from, where they don't walk forward anew.
WALK_FORWARD = "walk_forward.parquet"
#: A champion's profit, drawn from that table.
PROFIT_FIGURE = "profit.png"
#: A search's trials, and their predictions.
TRIALS = "trials.parquet"
TRIAL_PREDICTIONS = "trial_predictions.parquet"
#: The folder of a champion's explanation, and its files.
EXPLANATION = "explanation"
IMPORTANCE = "importance.json"
IMPORTANCE_TABLE = "importance.parquet"
IMPORTANCE_FIGURE = "importance.png"
BEESWARM = "beeswarm.png"
#: What each of the version's features is, as a page.
FEATURES_PAGE = "features.html"
#: The folder of its data's drift, and its files: our statistic, and Evidently's report.
DRIFT = "drift"
DRIFT_STATISTIC = "drift.json"
EVIDENTLY_REPORT = "evidently.html"
EVIDENTLY = "evidently.json"

# --- among a model's files ----------------------------------------------------------------------

#: Every file's hash; the recipe; the rule from predictions to positions; what classifies the
#: present as the past was classified.
MANIFEST = "manifest.json"
RECIPE = "recipe.json"
POSITION = "position.json"
REGIMES = "regimes.json"
#: What an executor goes on from after the last bar, see :mod:`engine.kernels.executor_data`.
EXECUTOR = "executor.npz"
#: The boosters, where MLflow's flavours write them.
LIGHTGBM = "model.lgb"
XGBOOST = "model.ubj"
#: The LSTM's weights and shape, and its graph of one window; its graph of rows is MLflow's own.
LSTM_WEIGHTS = "weights.safetensors"
LSTM_SHAPE = "lstm.json"
LSTM_WINDOW = "window.onnx"
#: What an executor reads of a version: of the models there is one.
EXECUTOR_MODELS = (LIGHTGBM, XGBOOST, LSTM_WINDOW)
EXECUTOR_FILES = (MANIFEST, EXECUTOR, *EXECUTOR_MODELS)
