"""The same night as the tutorials of MLflow, SHAP and Evidently do it. Frozen: not to be improved.

Bars, features, targets, search, walk-forward, evidence, hyperparameters and the rule that names
champions are ours, so that only the way of doing the rest differs. That rest is done as their pages
show it: autologging for the final fits (not in the trials), the model logged by it with inferred
requirements, a dataset made from a DataFrame, metrics and files logged as they come, TreeExplainer
on all rows, GradientExplainer for the LSTM, and Evidently's drift preset on all rows and columns.

Run by :mod:`benchmarks.nightly`, in a process and a store of its own.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from benchmarks.night import (
    BARS,
    CHAMPIONS,
    DRIFT,
    EVIDENCE,
    EXPLAIN,
    FITS,
    LOG,
    SEARCH,
    WALK_FORWARD,
    Night,
    run_night,
)
from benchmarks.stages import StageClock

__all__ = ["night"]

RECENT = 240  # bars that are compared with those before them
BACKGROUND = 100  # windows that GradientExplainer starts from
WINDOWS = 256  # windows that it explains, of all rows it would take hours


def night(given: Night, clock: StageClock) -> None:
    """Train, register, explain and compare these symbols' families."""
    import lightgbm
    import mlflow
    import pytorch_lightning
    import xgboost

    # The fits themselves, whatever autologging wraps around them, are fitting.
    clock.hang(FITS, lightgbm, "train", within=LOG)
    clock.hang(FITS, xgboost, "train", within=LOG)
    clock.hang(FITS, pytorch_lightning.Trainer, "fit", within=LOG)
    mlflow.set_experiment("nightly")
    with mlflow.start_run(run_name="night"):
        for symbol in given.symbols:
            with mlflow.start_run(run_name=symbol, nested=True):
                one_symbol(symbol, given.trials, clock)


def one_symbol(symbol: str, trials: int, clock: StageClock) -> None:
    from brain.naming import Family
    from brain.series.files import read_folder, sample_folder
    from engine.data.dataset import make_dataset

    with clock.stage(BARS):
        bars = read_folder(sample_folder(), (symbol,)).bars[symbol]
        data = make_dataset(bars, horizon=6)
    trained = {family: train(data, family, trials, clock) for family in Family}
    champions = name_champions(data, trained, clock)
    for family in sorted(set(champions.values())):
        with clock.stage(EXPLAIN):
            explain(data, family, trained[family])
    with clock.stage(DRIFT):
        report_drift(data, [trained[family]["run_id"] for family in set(champions.values())])


def train(data: Any, family: Any, trials: int, clock: StageClock) -> dict[str, Any]:
    import mlflow

    from engine import families
    from engine.evaluation.metrics import evaluate, net_returns
    from engine.evaluation.rules import decisions
    from engine.evaluation.trading import KEYS, trading_of
    from engine.evaluation.walk_forward import TrainingPlan, out_of_sample
    from engine.night.search import search

    plan = TrainingPlan(folds=5, first_test=0.5, embargo=24, trials=trials, seed=7)
    mlflow.autolog(disable=True)
    with clock.stage(SEARCH):
        found = search(data, family, plan)
    hyperparameters = dict(found.recipe.hyperparameters)
    model = families.family(family)
    with clock.stage(WALK_FORWARD):
        walk = plan.walk(len(data), data.reach)
        earlier, prediction = (
            out_of_sample(
                model,
                data.features,
                data.target,
                folds,
                hyperparameters=hyperparameters,
                seed=plan.seed,
                seeds=found.recipe.seeds,
            )
            for folds in (plan.inner_walk(len(data), data.reach), walk)
        )
    with clock.stage(EVIDENCE):
        choice = decisions(prediction, earlier, data, walk, plan)
        trading = trading_of(data, choice.cost)
        evidence = evaluate(prediction, data.target, data.forward_return, trading, choice.position)
        net = {key: net_returns(choice.position, trading, key) for key in KEYS}
    with clock.stage(LOG):
        mlflow.autolog(disable=False, silent=True)
        with mlflow.start_run(run_name=f"{data.symbol} {family}", nested=True) as run:
            fitted = model.fit(
                data.features,
                data.target,
                hyperparameters=hyperparameters,
                seed=plan.seed,
                seeds=found.recipe.seeds,
            )
            mlflow.autolog(disable=True)
            log_run(data, family, found, evidence, prediction, net)
        version = register(run.info.run_id, data, family)
    return {
        "run_id": run.info.run_id,
        "version": version,
        "fitted": fitted,
        "net": net,
        "evidence": evidence,
    }


def log_run(data: Any, family: Any, found: Any, evidence: Any, prediction: Any, net: Any) -> None:
    import mlflow
    import pandas as pd
    from mlflow.data.pandas_dataset import from_pandas

    mlflow.set_tags({"symbol": data.symbol, "family": str(family), "timeframe": data.timeframe})
    mlflow.log_params({f"hp.{k}": v for k, v in found.recipe.hyperparameters.items()})
    frame = features_frame(data)
    frame["target"] = data.target
    dataset = from_pandas(frame, name=data.symbol, targets="target")
    mlflow.log_input(dataset, context="training")
    for regime, one in evidence.items():
        mlflow.log_metric(f"{regime}/bars", one.bars)
        mlflow.log_metric(f"{regime}/episodes", one.episodes)
        for name, estimate in one.estimates().items():
            for key, value in ((name, estimate.value), (f"{name}_error", estimate.error)):
                if math.isfinite(value):
                    mlflow.log_metric(f"{regime}/{key}", value)
    series = pd.DataFrame(
        {"prediction": prediction, "target": data.target, "net": net}, index=data.close_time
    )
    series.to_parquet("out_of_sample.parquet")
    found.trials.to_parquet("trials.parquet")
    found.predictions.to_parquet("trial_predictions.parquet")
    for file in ("out_of_sample.parquet", "trials.parquet", "trial_predictions.parquet"):
        mlflow.log_artifact(file)


def register(run_id: str, data: Any, family: Any) -> int:
    import mlflow

    tags = {"symbol": data.symbol, "family": str(family), "timeframe": data.timeframe}
    name = data.symbol.replace("/", "-")
    return int(mlflow.register_model(f"runs:/{run_id}/model", name, tags=tags).version)


def name_champions(data: Any, trained: dict[Any, Any], clock: StageClock) -> dict[Any, Any]:
    from mlflow import MlflowClient

    from brain.naming import PRIOR, REGIMES
    from engine.evaluation.metrics import paired_difference
    from registry.promotion.rule import provisional_choice

    champions = {}
    client = MlflowClient()
    with clock.stage(CHAMPIONS):
        for regime in REGIMES:
            prior = PRIOR[regime]
            differences = {}
            for family, one in trained.items():
                if family != prior:
                    differences[family] = paired_difference(
                        one["net"][regime], trained[prior]["net"][regime], data.horizon
                    )
            choice = provisional_choice(regime, list(trained), differences)
            name = data.symbol.replace("/", "-")
            for role, family in (("champion", choice.champion), ("challenger", choice.challenger)):
                if family:
                    version = str(trained[family]["version"])
                    client.set_registered_model_alias(name, f"{role}-{regime}", version)
            champions[regime] = choice.champion
    return champions


def explain(data: Any, family: Any, one: dict[str, Any]) -> None:
    import matplotlib.pyplot as plt
    import mlflow
    import numpy as np
    import pandas as pd
    import shap

    frame = features_frame(data)
    explanation = lstm_explanation(data, one["fitted"]) if family == "lstm" else None
    if explanation is None:
        explanation = shap.TreeExplainer(one["fitted"].booster)(frame)
    importance = pd.DataFrame(
        {"feature": frame.columns, "importance": np.abs(explanation.values).mean(axis=0)}
    ).sort_values("importance", ascending=False)
    importance.to_parquet("importance.parquet")
    with mlflow.start_run(run_id=one["run_id"], nested=True):
        mlflow.log_artifact("importance.parquet", "explanation")
        mlflow.log_text(importance.to_json(orient="records"), "explanation/importance.json")
        for plot, file in ((shap.plots.bar, "importance"), (shap.plots.beeswarm, "beeswarm")):
            plot(explanation, max_display=15, show=False)
            mlflow.log_figure(plt.gcf(), f"explanation/{file}.png")
            plt.close()


def lstm_explanation(data: Any, fitted: Any) -> Any:
    import numpy as np
    import shap
    import torch
    from torch import nn

    class Scores(nn.Module):
        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            return fitted.network.score(windows).unsqueeze(1)

    steps = fitted.network.shape.window
    inputs = fitted.network.prepare(torch.tensor(data.features))
    windows = inputs.unfold(0, steps, 1).transpose(1, 2)
    chosen = np.random.default_rng(0).choice(len(windows), BACKGROUND + WINDOWS, replace=False)
    background, explained = windows[chosen[:BACKGROUND]], windows[chosen[BACKGROUND:]]
    values = shap.GradientExplainer(Scores(), background).shap_values(explained)
    values = np.asarray(values)[..., 0].sum(axis=1)
    width = data.features.shape[1]
    return shap.Explanation(
        values=values[:, :width] + values[:, width:],
        data=data.features[chosen[BACKGROUND:] + steps - 1],
        feature_names=list(features_frame(data).columns),
    )


def report_drift(data: Any, run_ids: list[str]) -> None:
    import warnings

    import mlflow
    from evidently import Report
    from evidently.presets import DataDriftPreset

    frame = features_frame(data).dropna(axis=1, how="all")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        snapshot = Report([DataDriftPreset()]).run(frame[-RECENT:], frame[:-RECENT])
    snapshot.save_html("evidently.html")
    Path("evidently.json").write_text(json.dumps(json.loads(snapshot.json())))
    for run_id in run_ids:
        with mlflow.start_run(run_id=run_id, nested=True):
            mlflow.log_artifact("evidently.html", "drift")
            mlflow.log_artifact("evidently.json", "drift")


def features_frame(data: Any) -> Any:
    import pandas as pd

    from engine.kernels.features import FEATURES

    return pd.DataFrame(data.features, columns=list(FEATURES), index=data.close_time)


if __name__ == "__main__":
    run_night(night)
