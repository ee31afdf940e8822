"""The LSTM as a torch module that takes raw feature rows, and the ONNX graphs of it.

Everything between raw rows and a prediction in the target's units is here, so that training,
MLflow, the executor and attribution can't disagree: scaling, imputation, the missing-mask, the
look-back, and the target's scale. ONNX Runtime's LSTM turns NaN into a plausible number, so no NaN
reaches it: a missing feature goes in as 0 (its median) beside a mask of 1.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

__all__ = ["LstmNetwork", "Shape", "average", "export_rows", "export_window"]

# Beyond this many robust standard deviations a scaled feature says no more than "extreme".
_CLIP = 8.0
# Float64 kernels of every operator below exist in ONNX Runtime at this version.
_OPSET = 17


@dataclass(frozen=True)
class Shape:
    """A network without its weights.

    Attributes:
        features: F, columns of a row.
        window: T, rows that a prediction looks back over, its own included.
        width: numbers that a row is squeezed into before the LSTM.
        hidden: the LSTM's state.
        dropout: share of the last state that training drops.
    """

    features: int
    window: int
    width: int
    hidden: int
    dropout: float


class LstmNetwork(nn.Module):
    """Rows (N, F) float64 → predictions (N,) float64; a new network has random weights.

    The scaler's buffers are float64, (F,): a feature whose ``centre`` is NaN had no value in
    training and stays missing; one whose ``scale`` is infinite was constant and stays 0.
    """

    centre: Tensor
    scale: Tensor
    target_centre: Tensor
    target_scale: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("centre", torch.zeros(shape.features, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(shape.features, dtype=torch.float64))
        self.register_buffer("target_centre", torch.zeros((), dtype=torch.float64))
        self.register_buffer("target_scale", torch.ones((), dtype=torch.float64))
        self.squeeze = nn.Linear(2 * shape.features, shape.width)
        self.lstm = nn.LSTM(shape.width, shape.hidden, batch_first=True)
        self.dropout = nn.Dropout(shape.dropout)
        self.head = nn.Linear(shape.hidden, 1)
        # The mask of a feature that never was missing gets no gradient: with a weight of 0, instead
        # of a random one, its first absence in service changes nothing.
        nn.init.zeros_(self.squeeze.weight[:, shape.features :].detach())

    def prepare(self, rows: Tensor) -> Tensor:
        """Raw rows (..., F) float64 → scaled features beside their missing-mask (..., 2F)."""
        return torch.cat(self.scaled(rows), dim=-1)

    def scaled(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Raw rows (..., F) float64 → scaled features, 0 where missing, and mask, (..., F) each."""
        scaled = ((rows - self.centre) / self.scale).float()
        missing = torch.isnan(scaled)
        filled = torch.where(missing, torch.zeros(()), scaled)
        return torch.clamp(filled, -_CLIP, _CLIP), missing.float()

    def score(self, inputs: Tensor) -> Tensor:
        """Windows of prepared rows (B, T, 2F) → predictions (B,) in scaled units.

        Differentiable, for training and attribution; :meth:`restore` gives the target's units.
        """
        return self._recur(self.squeeze(inputs))

    def restore(self, scores: Tensor) -> Tensor:
        """Scaled units → the target's units, float64."""
        return scores.double() * self.target_scale + self.target_centre

    def forward(self, rows: Tensor) -> Tensor:
        """Consecutive raw rows (N, F) float64 → predictions (N,) float64.

        NaN at a row before the look-back is full, and where every input in it is missing.
        """
        # A missing row in front, for the look-back of the first rows. It also keeps the batch of an
        # empty frame from being empty, which would kill the process in ONNX Runtime's LSTM.
        missing = torch.full((1, self.shape.features), torch.nan, dtype=rows.dtype)
        inputs = self.prepare(torch.cat([missing, rows]))
        ends = torch.arange(rows.shape[0] + 1).unsqueeze(1)
        steps = torch.clamp(ends + torch.arange(1 - self.shape.window, 1), min=0)
        values = self.restore(self._recur(self.squeeze(inputs)[steps]))
        valid = (self._present(inputs)[steps].sum(dim=1) > 0) & (steps[:, 0] > 0)
        return torch.where(valid, values, torch.full_like(values, torch.nan))[1:]

    def _present(self, inputs: Tensor) -> Tensor:
        """1.0 for a prepared row (..., 2F) with any feature, else 0.0."""
        return 1.0 - inputs[..., self.shape.features :].amin(dim=-1)

    def _recur(self, squeezed: Tensor) -> Tensor:
        # Explicit states: without them the exported graph would freeze the batch's size.
        state = torch.zeros(1, squeezed.shape[0], self.shape.hidden)
        output, _ = self.lstm(squeezed, (state, state))
        last: Tensor = self.head(self.dropout(output[:, -1])).squeeze(-1)
        return last


def average(networks: Sequence[LstmNetwork]) -> LstmNetwork:
    """One network that predicts the mean of several of the same shape, scaler and target's scale.

    Their states stand side by side in one, and the weights between two networks' are 0: files,
    graphs and gradients are those of any network, and a prediction is the mean to the rounding of
    single precision. A single network is returned as it is.
    """
    if len(networks) == 1:
        return networks[0]
    shape, count = networks[0].shape, len(networks)
    whole = LstmNetwork(replace(shape, width=count * shape.width, hidden=count * shape.hidden))
    states = [network.state_dict() for network in networks]
    state = {name: _beside(name, [one[name] for one in states]) for name in states[0]}
    state["head.weight"] /= count
    state["head.bias"] = torch.stack([one["head.bias"] for one in states]).mean(dim=0)
    whole.load_state_dict(state)
    return whole


def _beside(name: str, parts: list[Tensor]) -> Tensor:
    """The weights of one name in the whole network; the scaler's are the same in all parts."""
    if name.startswith("lstm."):  # of four gates, one below the other
        gates = zip(*(part.chunk(4) for part in parts), strict=True)
        join = torch.block_diag if parts[0].ndim == 2 else lambda *rows: torch.cat(rows)
        return torch.cat([join(*gate) for gate in gates])
    if name.startswith("squeeze."):
        return torch.cat(parts)
    return torch.cat(parts, dim=1) if name == "head.weight" else parts[0]


class _Window(nn.Module):
    """One raw window (T, F) float64 → its last row's prediction, (1, 1), as of the network.

    In ONNX Runtime the smallest of its operators takes longer than their numbers do, so here are
    few: rows stay in the order of time, and the target's scale takes the head's constant in.
    """

    def __init__(self, network: LstmNetwork) -> None:
        super().__init__()
        self.network = network
        shape, head = network.shape, network.head
        self.lstm = nn.LSTM(shape.width, shape.hidden)
        self.lstm.load_state_dict(network.lstm.state_dict())
        self.weight, self.bias = head.weight[0].detach(), network.restore(head.bias.detach())

    def forward(self, window: Tensor) -> Tensor:
        filled, missing = self.network.scaled(window)
        squeezed = self.network.squeeze(torch.cat([filled, missing], dim=-1))
        _, (state, _) = self.lstm(squeezed.unsqueeze(1))
        value = (state @ self.weight).double() * self.network.target_scale + self.bias
        return torch.where(missing.amin() < 1.0, value, torch.full_like(value, torch.nan))


def export_rows(network: LstmNetwork) -> bytes:
    """The ONNX graph ``rows`` (N, F) double → ``prediction`` (N,) double, for any N."""
    example = torch.zeros(network.shape.window + 2, network.shape.features, dtype=torch.float64)
    return _export(network, example, {"rows": {0: "bars"}, "prediction": {0: "bars"}})


def export_window(network: LstmNetwork) -> bytes:
    """The ONNX graph ``rows`` (T, F) double → ``prediction`` (1, 1) double, for the executor."""
    example = torch.zeros(network.shape.window, network.shape.features, dtype=torch.float64)
    return _export(_Window(network), example, {})


def _export(module: nn.Module, example: Tensor, axes: dict[str, dict[int, str]]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter that traces is deprecated; its successor freezes the LSTM's batch size.
        warnings.simplefilter("ignore", DeprecationWarning)
        # nn.LSTM compares sizes in Python; they are those of the weights, and constant.
        warnings.filterwarnings("ignore", "Converting a tensor to a Python boolean")
        # It warns of every batch size but 1; ours follows the rows, as the initial states do.
        warnings.filterwarnings("ignore", "Exporting a model to ONNX with a batch_size other than")
        torch.onnx.export(
            module.eval(),
            (example,),
            buffer,  # type: ignore[arg-type]  # its annotation lacks buffers
            input_names=["rows"],
            output_names=["prediction"],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )
    return buffer.getvalue()
