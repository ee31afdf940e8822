"""Models as MLflow keeps them: anyone can load them, with nothing of ours installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.models import Model

from brain.naming import Family, Regime, champion_alias, logged_model_name
from engine.families import family
from engine.families.base import FittedModel
from engine.kernels.columns import Floats
from tests.servers import sqlite_template

NAMES = [f"feature_{i}" for i in range(6)]
NAME = "BTC-USD.1h.6"
REGIME = {
    Family.XGBOOST: Regime.LOW,
    Family.LIGHTGBM: Regime.NORMAL,
    Family.LSTM: Regime.HIGH,
}
HYPERPARAMETERS: dict[Family, dict[str, float]] = {
    Family.LIGHTGBM: {"rounds": 40, "min_rows": 20},
    Family.XGBOOST: {"rounds": 40, "min_rows": 20},
    Family.LSTM: {"window": 5, "hidden": 8, "epochs": 2},
}
FILES = {
    Family.LIGHTGBM: {"model.lgb"},
    Family.XGBOOST: {"model.ubj"},
    Family.LSTM: {"model.onnx", "window.onnx", "weights.safetensors", "lstm.json"},
}
COMMON = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}
each_family = pytest.mark.parametrize("name", list(Family))

# Anyone's program: MLflow and pandas, and a symbol's alias.
STRANGER = """
import json, os, sys
import mlflow, pandas
frames = {name: pandas.read_parquet(name + ".parquet") for name in ("whole", "holed", "single")}
for alias in sys.argv[1:]:
    os.mkdir(alias)
    model = mlflow.pyfunc.load_model(f"models:/BTC-USD.1h.6@{alias}", dst_path=alias)
    for name, frame in frames.items():
        result = model.predict(frame)
        kind = type(result).__name__
        values = result.to_numpy().reshape(-1) if kind == "DataFrame" else result
        pandas.DataFrame({"prediction": values}).to_parquet(f"{alias}-{name}.parquet")
        print(json.dumps([alias, name, kind, "torch" in sys.modules, "engine" in sys.modules]))
"""


@dataclass(frozen=True)
class Registry:
    """Three models in a registry, and what a stranger got from them."""

    uri: str
    models: Mapping[Family, FittedModel]
    frames: Mapping[str, pd.DataFrame]
    answers: list[list[object]]
    folder: Path

    def predicted(self, name: Family, frame: str) -> Floats:
        file = f"{champion_alias(REGIME[name])}-{frame}.parquet"
        return pd.read_parquet(self.folder / file)["prediction"].to_numpy(dtype=float)


def random_rows(count: int, missing: float) -> Floats:
    rng = np.random.default_rng(count)
    rows = rng.normal(size=(count, len(NAMES)))
    rows[rng.random(rows.shape) < missing] = np.nan
    return rows


@pytest.fixture(scope="module")
def models() -> dict[Family, FittedModel]:
    rows = random_rows(400, 0.05)
    target = np.nan_to_num(rows[:, 0]) + np.random.default_rng(1).normal(size=400)
    return {
        name: family(name).fit(rows, target, hyperparameters=hyperparameters, seed=1, seeds=2)
        for name, hyperparameters in HYPERPARAMETERS.items()
    }


@pytest.fixture(scope="module")
def registry(
    models: dict[Family, FittedModel], _templates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Registry:
    folder = tmp_path_factory.mktemp("registry")
    (folder / "mlflow.db").write_bytes(sqlite_template(_templates).read_bytes())
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(uri, uri)
    experiment = client.create_experiment("models", artifact_location=f"{folder / 'artifacts'}")
    client.create_registered_model(NAME)
    for name, model in models.items():
        _register(client, experiment, name, model, folder / name)
    frames = {
        "whole": pd.DataFrame(random_rows(40, 0.0), columns=NAMES),
        "holed": pd.DataFrame(random_rows(50, 0.3), columns=NAMES).assign(feature_2=np.nan),
        "single": pd.DataFrame(random_rows(1, 0.0), columns=NAMES),
    }
    stranger = folder / "stranger"
    stranger.mkdir()
    for key, frame in frames.items():
        frame.to_parquet(stranger / f"{key}.parquet")
    return Registry(uri, models, frames, _run_stranger(stranger, uri), stranger)


def _register(
    client: MlflowClient, experiment: str, name: Family, model: FittedModel, folder: Path
) -> None:
    run = client.create_run(experiment)
    logged = client.create_logged_model(
        experiment, name=logged_model_name(NAME, name), source_run_id=run.info.run_id
    )
    model.save(
        folder, features=NAMES, model=Model(model_id=logged.model_id, run_id=run.info.run_id)
    )
    client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    entry = client.create_model_version(
        NAME, source=logged.artifact_location, run_id=run.info.run_id, model_id=logged.model_id
    )
    client.set_registered_model_alias(NAME, champion_alias(REGIME[name]), entry.version)


def _run_stranger(folder: Path, uri: str) -> list[list[object]]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    done = subprocess.run(
        # -P: what lies in the folder can't be imported either.
        [sys.executable, "-P", "-c", STRANGER, *map(champion_alias, REGIME.values())],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@each_family
@pytest.mark.parametrize("frame", ["whole", "holed", "single"])
def test_a_champion_loaded_by_its_alias_predicts_as_the_fitted_model(
    registry: Registry, name: Family, frame: str
) -> None:
    expected = registry.models[name].predict(registry.frames[frame])
    values = registry.predicted(name, frame)
    assert values.shape == (len(registry.frames[frame]),)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(expected))
    # Boosters are the same code on the same bytes; the LSTM moves from torch to ONNX Runtime.
    tolerance = 1e-6 if name is Family.LSTM else 0.0
    np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance)
    if frame != "single":
        assert np.isfinite(values).sum() == len(values) - registry.models[name].look_back + 1


def test_neither_torch_nor_our_code_is_needed(registry: Registry) -> None:
    assert len(registry.answers) == 9
    assert not any(torch or engine for _, _, _, torch, engine in registry.answers)


def test_mlflow_gives_a_frame_for_onnx_and_an_array_for_boosters(registry: Registry) -> None:
    kinds = {(alias, kind) for alias, _, kind, _, _ in registry.answers}
    assert kinds == {
        (champion_alias(Regime.LOW), "ndarray"),
        (champion_alias(Regime.NORMAL), "ndarray"),
        (champion_alias(Regime.HIGH), "DataFrame"),
    }


@each_family
def test_a_column_that_is_absent_altogether_is_refused(registry: Registry, name: Family) -> None:
    alias = champion_alias(REGIME[name])
    model = mlflow.pyfunc.load_model(str(registry.folder / alias))
    with pytest.raises(mlflow.MlflowException, match="Model is missing inputs"):
        model.predict(registry.frames["whole"].drop(columns=NAMES[3]))


@each_family
def test_columns_are_found_by_their_names(registry: Registry, name: Family) -> None:
    model = mlflow.pyfunc.load_model(str(registry.folder / champion_alias(REGIME[name])))
    shuffled = registry.frames["whole"][NAMES[::-1]].assign(other=1.0)
    values = np.asarray(model.predict(shuffled)).reshape(-1)
    np.testing.assert_array_equal(values, registry.predicted(name, "whole"))


@each_family
def test_an_empty_frame_gives_an_empty_prediction_and_a_living_process(
    registry: Registry, name: Family
) -> None:
    model = mlflow.pyfunc.load_model(str(registry.folder / champion_alias(REGIME[name])))
    if name is Family.LIGHTGBM:
        with pytest.raises(ValueError, match="Input data must be 2 dimensional and non empty"):
            model.predict(registry.frames["whole"][:0])
    else:
        assert len(model.predict(registry.frames["whole"][:0])) == 0


@each_family
def test_the_folder_holds_the_native_files_and_no_pickle(
    models: Mapping[Family, FittedModel], name: Family, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    models[name].save(folder, features=NAMES, model=Model(model_id="m-1", run_id="r-1"))
    assert {str(p.relative_to(folder)) for p in folder.rglob("*")} == FILES[name] | COMMON
    described = yaml.safe_load((folder / "MLmodel").read_text())
    assert (described["model_id"], described["run_id"]) == ("m-1", "r-1")
    assert described["flavors"]["python_function"].get("code") is None
    inputs = json.loads(described["signature"]["inputs"])
    assert [(c["name"], c["type"]) for c in inputs] == [(n, "double") for n in NAMES]
    assert [c["type"] for c in json.loads(described["signature"]["outputs"])] == ["double"]


@each_family
def test_requirements_are_pinned_to_what_is_installed(
    models: Mapping[Family, FittedModel], name: Family, tmp_path: Path
) -> None:
    models[name].save(tmp_path / "model", features=NAMES, model=Model())
    lines = (tmp_path / "model" / "requirements.txt").read_text().split()
    library = "onnxruntime" if name is Family.LSTM else str(name)
    assert {f"mlflow=={version('mlflow')}", f"{library}=={version(library)}"} <= set(lines)
    assert all("==" in line for line in lines)
    assert not any("torch" in line for line in lines)


@each_family
def test_the_native_file_knows_its_features_and_one_model_can_be_saved_under_other_names(
    models: Mapping[Family, FittedModel], name: Family, tmp_path: Path
) -> None:
    for prefix in ("alpha", "beta"):
        names = [f"{prefix}_{i}" for i in range(6)]
        models[name].save(tmp_path / prefix, features=names, model=Model())
        model = family(name).load(tmp_path / prefix)
        if name is Family.LIGHTGBM:
            assert model.booster.feature_name() == names  # type: ignore[attr-defined]
        if name is Family.XGBOOST:
            assert model.booster.feature_names == names  # type: ignore[attr-defined]
            assert models[name].booster.feature_names is None  # type: ignore[attr-defined]
        np.testing.assert_array_equal(
            model.predict(random_rows(9, 0.0)), models[name].predict(random_rows(9, 0.0))
        )


def test_onnx_runs_on_the_processor_with_one_thread(
    models: Mapping[Family, FittedModel], tmp_path: Path
) -> None:
    models[Family.LSTM].save(tmp_path / "model", features=NAMES, model=Model())
    flavour = Model.load(str(tmp_path / "model")).flavors["onnx"]
    assert flavour["providers"] == ["CPUExecutionProvider"]
    assert flavour["onnx_session_options"]["intra_op_num_threads"] == 1
