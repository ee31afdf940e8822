"""The LSTM's graphs, its missing values, and what is its alone."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
import torch
from mlflow.models import Model

from brain.errors import ModelIntegrityError, TrainingError
from engine.families import family
from engine.families.lstm import FittedLstm
from engine.families.lstm_network import LstmNetwork, Shape
from engine.kernels.columns import Floats

if TYPE_CHECKING:
    from engine.families.lstm_training import LstmTraining, WindowBatches

FEATURES = 5
NAMES = [f"feature_{i}" for i in range(FEATURES)]
WINDOWS = (1, 3, 24)
COUNTS = (0, 1, 2, 7, 300)


def random_rows(count: int, missing: float = 0.0, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, FEATURES)) * [1, 10, 1e-3, 1e4, 1] + [0, 5, 1, 1e6, 0]
    rows[rng.random(rows.shape) < missing] = np.nan
    return rows


@cache
def fit(window: int) -> FittedLstm:
    """A small model; the tests leave it as it is."""
    rows = random_rows(300, missing=0.1)
    target = np.nan_to_num(rows[:, 0]) + np.random.default_rng(1).normal(size=300)
    small = {"window": window, "hidden": 8, "width": 6, "batch": 64, "epochs": 2}
    model = family("lstm").fit(rows, target, hyperparameters=small, seed=1)
    assert isinstance(model, FittedLstm)
    return model


@pytest.fixture(scope="module", params=WINDOWS)
def saved(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FittedLstm, Path]:
    model = fit(request.param)
    folder = tmp_path_factory.mktemp("lstm") / "model"
    model.save(folder, features=NAMES, model=Model())
    return model, folder


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("missing", [0.0, 0.2, 0.9, 1.0])
def test_the_graph_of_rows_predicts_as_the_torch_module(
    saved: tuple[FittedLstm, Path], count: int, missing: float
) -> None:
    model, folder = saved
    rows = random_rows(count, missing, seed=2)
    (values,) = session(folder / "model.onnx").run(["prediction"], {"rows": rows})
    expected = model.predict(rows)
    assert values.shape == (count,)
    assert values.dtype == np.float64
    np.testing.assert_array_equal(np.isnan(values), np.isnan(expected))
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)
    if missing == 0:
        assert np.isfinite(values).sum() == max(0, count - model.look_back + 1)


@pytest.mark.parametrize("missing", [0.0, 0.3, 1.0])
def test_the_graph_of_one_window_predicts_as_the_graph_of_rows(
    saved: tuple[FittedLstm, Path], missing: float
) -> None:
    model, folder = saved
    rows = random_rows(60, missing, seed=3)
    (expected,) = session(folder / "model.onnx").run(None, {"rows": rows})
    window = session(folder / "window.onnx")
    assert window.get_inputs()[0].shape == [model.look_back, FEATURES]
    assert window.get_outputs()[0].shape == [1, 1]
    values = [
        window.run(["prediction"], {"rows": rows[end - model.look_back : end]})[0].item()
        for end in range(model.look_back, 61)
    ]
    np.testing.assert_allclose(values, expected[model.look_back - 1 :], rtol=0, atol=1e-5)


def test_a_window_without_any_input_is_unknown_and_the_others_are_not() -> None:
    model = fit(3)
    rows = random_rows(20)
    rows[8:13] = np.nan
    unknown = np.isnan(model.predict(rows))
    assert np.flatnonzero(unknown).tolist() == [0, 1, 10, 11, 12]


def test_a_missing_bar_counts_as_missing_and_not_as_its_median() -> None:
    model = fit(3)
    rows = random_rows(20)
    hole, median = rows.copy(), rows.copy()
    hole[10] = np.nan
    median[10] = model.network.centre.numpy()
    assert model.predict(hole)[10] != pytest.approx(model.predict(median)[10], abs=1e-6)


def test_long_series_are_predicted_in_pieces_that_fit_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = fit(24)
    rows = random_rows(300, missing=0.1)
    whole = model.predict(rows)
    monkeypatch.setattr("engine.families.lstm._CHUNK", 7)
    np.testing.assert_allclose(model.predict(rows), whole, rtol=0, atol=1e-6)
    assert np.isfinite(whole).sum() == 300 - 23


def test_a_features_first_absence_in_service_moves_nothing() -> None:
    rows = random_rows(300)
    target = rows[:, 0] + np.random.default_rng(1).normal(size=300)
    model = family("lstm").fit(rows, target, hyperparameters={"window": 3, "epochs": 2}, seed=1)
    absent, median = rows.copy(), rows.copy()
    absent[50, 4] = np.nan
    median[50, 4] = np.median(rows[2:, 4])
    np.testing.assert_allclose(model.predict(absent), model.predict(median), atol=1e-6)


def test_the_scaler_is_fitted_on_rows_with_a_target_only() -> None:
    rows = random_rows(300)
    target = np.random.default_rng(1).normal(size=300)
    target[200:] = np.nan
    hyperparameters = {"window": 3, "epochs": 1}
    before = family("lstm").fit(rows, target, hyperparameters=hyperparameters, seed=1)
    rows[200:] = 1e9
    after = family("lstm").fit(rows, target, hyperparameters=hyperparameters, seed=1)
    assert isinstance(before, FittedLstm)
    assert isinstance(after, FittedLstm)
    assert torch.equal(before.network.centre, after.network.centre)
    assert before.network.centre[0] == pytest.approx(np.median(rows[2:200, 0]))


def test_a_score_can_be_differentiated_back_to_its_inputs() -> None:
    network = fit(3).network
    inputs = network.prepare(torch.tensor(random_rows(3))).unsqueeze(0).requires_grad_()
    (gradient,) = torch.autograd.grad(network.score(inputs).sum(), inputs)
    assert gradient.shape == (1, 3, 2 * FEATURES)
    assert gradient.abs().sum() > 0


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def training(inputs: torch.Tensor, rate: float = 0.01) -> LstmTraining:
    from engine.families.lstm_training import LstmTraining

    network = LstmNetwork(Shape(features=FEATURES, window=2, width=4, hidden=4, dropout=0.0))
    return LstmTraining(network, inputs, elbow=1.0, learning_rate=rate, weight_decay=0.0)


def batches(count: int = 50, size: int = 16) -> WindowBatches:
    from engine.families.lstm_training import WindowBatches

    return WindowBatches(torch.arange(2, count), torch.ones(count - 2), size=size, seed=1)


def train(module: LstmTraining, batches: WindowBatches, *, epochs: int) -> None:
    from engine.families import lstm_training

    lstm_training.train(module, batches, epochs=epochs)


def test_a_loss_that_is_not_finite_ends_the_fit() -> None:
    inputs = torch.full((50, 2 * FEATURES), torch.nan)
    with pytest.raises(TrainingError, match=r"loss is nan in epoch 0, .* lower learning_rate=0\.5"):
        train(training(inputs, rate=0.5), batches(), epochs=2)


def test_every_window_is_seen_once_an_epoch_in_another_order_each_time() -> None:
    shuffled = batches(count=100, size=30)
    first, second = (torch.cat([ends for ends, _ in shuffled]) for _ in range(2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(2, 100))
    assert not torch.equal(first, second)
    sizes = [len(ends) for ends, _ in shuffled]
    assert len(sizes) == len(shuffled) == 3
    assert max(sizes) - min(sizes) <= 1


def test_training_is_silent_and_leaves_no_files(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    # Its handler writes to what was standard error when it was imported; listen beside it.
    log, handler = logging.getLogger("pytorch_lightning"), _Messages()
    log.addHandler(handler)
    try:
        train(training(torch.zeros(50, 2 * FEATURES)), batches(), epochs=1)
        assert handler.messages == []
        logging.getLogger("pytorch_lightning.utilities.rank_zero").info("others may speak")
        assert handler.messages == ["others may speak"]
    finally:
        log.removeHandler(handler)
    assert capfd.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("weights.safetensors", b"\x00" * 40),
        ("lstm.json", b"{"),
        ("lstm.json", b'{"features": 5}'),
        (
            "lstm.json",
            b'{"features": 4, "window": 3, "width": 6, "hidden": 8, "dropout": 0.1}',
        ),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    folder = tmp_path / "model"
    fit(3).save(folder, features=NAMES, model=Model())
    (folder / name).write_bytes(content)
    with pytest.raises(ModelIntegrityError, match="fetch them again"):
        family("lstm").load(folder)
