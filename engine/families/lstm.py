"""The LSTM: a look-back of T rows, and the same loss as the boosted trees."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from brain.artifacts import LSTM_SHAPE, LSTM_WEIGHTS, LSTM_WINDOW
from brain.errors import ModelIntegrityError
from brain.naming import Family
from engine.families import model_files
from engine.families.arrays import (
    check_rows,
    check_target,
    clip_outliers,
    training_rows,
)
from engine.families.base import FittedModel, ModelFamily
from engine.families.hyperparameters import Hyperparameter, Number, settle
from engine.families.lstm_network import (
    LstmNetwork,
    Shape,
    average,
    export_rows,
    export_window,
)
from engine.families.seeds import member_seeds
from engine.families.threads import one_thread
from engine.kernels.columns import Floats

if TYPE_CHECKING:
    from engine.families.model_files import Model

__all__ = ["FittedLstm", "Lstm"]

# Rows per forward pass: bounds memory, and stays in the cache.
_CHUNK = 2048


class Lstm(ModelFamily):
    """One layer, trained by PyTorch Lightning on the CPU; one thread, deterministic."""

    name: ClassVar = Family.LSTM
    space: ClassVar = {
        "window": Hyperparameter(24, 1, 512, choices=(12, 24, 48)),
        "hidden": Hyperparameter(32, 1, 512, search=(16, 48), step=16),
        "width": Hyperparameter(16, 1, 512),
        "dropout": Hyperparameter(0.1, 0.0, 0.9, search=(0.0, 0.4)),
        "learning_rate": Hyperparameter(0.005, 1e-6, 10.0, search=(0.001, 0.01), log=True),
        "epochs": Hyperparameter(6, 1, 1000, search=(3, 10)),
        "batch": Hyperparameter(256, 1, 65536),
        "weight_decay": Hyperparameter(0.01, 0.0, 10.0),
        "elbow": Hyperparameter(1.0, 0.01),
    }

    def fit(
        self,
        rows: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        hyperparameters: Mapping[str, Number],
        seed: int,
        seeds: int = 1,
    ) -> FittedLstm:
        hyperparameters = settle(self.space, hyperparameters)
        members = member_seeds(seed, seeds)
        inputs = check_rows(rows)
        targets = check_target(target, inputs)
        shape = _shape(inputs.shape[1], hyperparameters)
        ends = training_rows(inputs, targets, look_back=shape.window)
        # Dropout and the weights draw from the global state: seed a fork of it.
        with one_thread(), torch.random.fork_rng(devices=[]):
            networks = [
                _train(inputs, targets, ends, shape, hyperparameters, seed) for seed in members
            ]
            return FittedLstm(average(networks))

    def load(self, folder: Path) -> FittedLstm:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        weights = model_files.model_file(folder, LSTM_WEIGHTS)
        shape = model_files.model_file(folder, LSTM_SHAPE)
        try:
            network = LstmNetwork(Shape(**json.loads(shape.read_text())))
            network.load_state_dict(load_file(weights))
        except (ValueError, TypeError, RuntimeError, SafetensorError) as error:
            raise ModelIntegrityError(
                f"{weights} and {shape.name} are unreadable or don't fit: {error}; fetch them again"
            ) from error
        return FittedLstm(network)


class FittedLstm(FittedModel):
    """A trained LSTM; ``network`` is the torch module, in evaluation mode."""

    family = Family.LSTM

    def __init__(self, network: LstmNetwork) -> None:
        self.network = network.eval().requires_grad_(False)
        self.look_back = network.shape.window
        self.width = network.shape.features

    def predict(self, rows: npt.ArrayLike) -> Floats:
        inputs = check_rows(rows, width=self.width)
        prediction = np.empty(len(inputs))
        with one_thread(), torch.inference_mode():
            for start in range(0, len(inputs), _CHUNK):
                first = max(0, start - self.look_back + 1)
                values = self.network(torch.tensor(inputs[first : start + _CHUNK]))
                prediction[start : start + _CHUNK] = values[start - first :].numpy()
        return prediction

    def save(self, folder: Path, *, features: Sequence[str], model: Model) -> None:
        """As :meth:`FittedModel.save`, with three files beside the graph of rows (``model.onnx``).

        ``window.onnx`` is the graph of one window (T, F), for the executor;
        ``weights.safetensors`` and ``lstm.json`` rebuild the torch module.
        """
        import onnx
        from safetensors.torch import save_file

        flavour = model_files.flavour("onnx")
        names = model_files.check_names(features, self.width)
        model_files.check_empty(folder)
        with one_thread():
            rows, window = export_rows(self.network), export_window(self.network)
        flavour.save_model(
            onnx.load_from_string(rows),
            str(folder),
            mlflow_model=model,
            signature=model_files.signature(names),
            pip_requirements=model_files.requirements(
                "mlflow", "onnx", "onnxruntime", "numpy", "pandas"
            ),
            onnx_execution_providers=["CPUExecutionProvider"],
            onnx_session_options={"intra_op_num_threads": 1, "inter_op_num_threads": 1},
            save_as_external_data=False,
        )
        (folder / LSTM_WINDOW).write_bytes(window)
        save_file(self.network.state_dict(), folder / LSTM_WEIGHTS)
        (folder / LSTM_SHAPE).write_text(json.dumps(asdict(self.network.shape), indent=1))


def _train(
    inputs: Floats,
    targets: Floats,
    ends: npt.NDArray[np.intp],
    shape: Shape,
    hyperparameters: Mapping[str, Number],
    seed: int,
) -> LstmNetwork:
    from engine.families.lstm_training import LstmTraining, WindowBatches, train

    torch.manual_seed(seed)
    network = LstmNetwork(shape)
    _set_scaler(network, inputs[ends])
    clipped, centre, scale = clip_outliers(targets[ends])
    network.target_centre.fill_(centre)
    network.target_scale.fill_(scale)
    batches = WindowBatches(
        torch.tensor(ends),
        torch.tensor((clipped - centre) / scale, dtype=torch.float32),
        size=int(hyperparameters["batch"]),
        seed=seed,
    )
    module = LstmTraining(
        network,
        network.prepare(torch.tensor(inputs)),
        elbow=hyperparameters["elbow"],
        learning_rate=hyperparameters["learning_rate"],
        weight_decay=hyperparameters["weight_decay"],
    )
    train(module, batches, epochs=int(hyperparameters["epochs"]))
    return network


def _shape(features: int, hyperparameters: Mapping[str, Number]) -> Shape:
    return Shape(
        features=features,
        window=int(hyperparameters["window"]),
        width=int(hyperparameters["width"]),
        hidden=int(hyperparameters["hidden"]),
        dropout=float(hyperparameters["dropout"]),
    )


def _set_scaler(network: LstmNetwork, rows: Floats) -> None:
    """Set the features' scaler: median and interquartile range (of a normal: 1.349 sd)."""
    with warnings.catch_warnings():
        # A feature without a value has no quartiles: NaN, which keeps it missing.
        warnings.filterwarnings("ignore", "All-NaN slice encountered", RuntimeWarning)
        warnings.filterwarnings("ignore", "Degrees of freedom", RuntimeWarning)
        low, centre, high = np.nanquantile(rows, [0.25, 0.5, 0.75], axis=0)
        scale = (high - low) / 1.349
        # Mostly at one value, as a rare flag is: the standard deviation instead.
        scale = np.where(scale > 0, scale, np.nanstd(rows, axis=0))
    scale = np.where(scale > 0, scale, np.inf)
    network.centre.copy_(torch.tensor(centre))
    network.scale.copy_(torch.tensor(scale))
