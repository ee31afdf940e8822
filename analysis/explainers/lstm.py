"""The LSTM's contributions by expected gradients (Erion et al. 2021, equation 3).

A feature's contribution is the gradient along the straight path from a reference to the explained
window, times the distance, averaged over the path and over references. The references are the same
for all rows and evenly spread over the training, and the gradient is taken at midpoints of the
path: drawing both at random leaves an error in additivity of a tenth of the prediction's standard
deviation at the same cost. Where a network bends too sharply for five midpoints, the paths that
don't add up are integrated again with twice as many.

The inputs are the network's, after scaling: each feature and its missing-mask, whose contributions
are added, as both are that feature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from analysis.explainers.base import Contributions, Explainer
from analysis.sampling import Array, Rows
from engine.families.threads import one_thread

if TYPE_CHECKING:
    from engine.families.base import FittedModel
    from engine.families.lstm import FittedLstm

__all__ = ["LstmExplainer", "expected_gradients"]

_MIDPOINTS = 5
# A round of integrating again costs at most this many passes for each path.
_MOST_PASSES = 40
# Points per pass: the intermediate values of the gradient stay in the processor's cache.
_CHUNK = 256
# Of the prediction's standard deviation; the part of it that is the aim.
_TOLERANCE = 0.01
_AIM = 0.8


class LstmExplainer(Explainer):
    """An LSTM, explained on windows of its look-back."""

    samples: ClassVar = "windows"
    fitted: FittedLstm

    def __init__(self, fitted: FittedModel, rows: Array) -> None:
        super().__init__(fitted, rows)
        with one_thread(), torch.no_grad():
            self._prepared = self.fitted.network.prepare(torch.tensor(rows))

    def contributions(self, moments: Rows, references: Rows) -> Contributions:
        network = self.fitted.network
        scale = float(network.target_scale)
        aim = _AIM * _TOLERANCE * float(self.prediction[moments].std()) / scale
        with one_thread():
            gradients = expected_gradients(
                network.score, self._windows(moments), self._windows(references), aim=aim
            )
            with torch.no_grad():
                scores = network.score(self._windows(references))
                base = float(network.restore(scores).mean())
        features, masks = gradients.numpy().reshape(len(moments), 2, -1).transpose(1, 0, 2)
        return Contributions((features + masks) * scale, np.full(len(moments), base))

    def tolerance(self, moments: Rows) -> tuple[float, float]:
        return _TOLERANCE, float(self.prediction[moments].std())

    def shuffled(self, moments: Rows, donors: Rows, feature: int) -> Array:
        network = self.fitted.network
        predictions = np.empty(len(moments))
        # The whole course over the look-back is exchanged, and the missing-mask with it.
        columns = [feature, feature + self.fitted.width]
        donations = self._prepared[:, columns]
        with one_thread(), torch.inference_mode():
            for start in range(0, len(moments), _CHUNK):
                part = slice(start, start + _CHUNK)
                windows = self._windows(moments[part])
                windows[:, :, columns] = donations[self._steps(donors[part])]
                predictions[part] = network.restore(network.score(windows)).numpy()
        return predictions

    def _windows(self, moments: Rows) -> Tensor:
        return self._prepared[self._steps(moments)]

    def _steps(self, moments: Rows) -> Tensor:
        return torch.from_numpy(moments[:, None] + np.arange(1 - self.fitted.look_back, 1))


def expected_gradients(
    score: Callable[[Tensor], Tensor], inputs: Tensor, references: Tensor, *, aim: float
) -> Tensor:
    """Contributions of the last axis, summed over the steps T.

    Args:
        score: differentiable, (n, T, K) → (n,), each row by itself.
        inputs: (n, T, K) to explain.
        references: (r, T, K) to compare with.
        aim: the deviation of a row's sum from ``score(input) - mean score(references)`` above which
            those of its paths that deviate by more, as some must, are integrated again with more
            midpoints, as long as few of them are left.

    Returns:
        (n, K) float64.
    """
    pairs = torch.cartesian_prod(torch.arange(len(inputs)), torch.arange(len(references)))
    with torch.no_grad():
        rises = score(inputs).double()[:, None] - score(references).double()[None, :]
    midpoints = _MIDPOINTS
    integrals = _integrals(score, inputs, references, pairs, midpoints)
    while True:
        midpoints *= 2
        off = integrals.sum(dim=1).view_as(rises) - rises
        rough = ((off.mean(dim=1, keepdim=True).abs() > aim) & (off.abs() > aim)).flatten()
        if not 0 < int(rough.sum()) * midpoints <= _MOST_PASSES * len(pairs):
            return integrals.view(len(inputs), len(references), -1).mean(dim=1)
        integrals[rough] = _integrals(score, inputs, references, pairs[rough], midpoints)


def _integrals(
    score: Callable[[Tensor], Tensor],
    inputs: Tensor,
    references: Tensor,
    pairs: Tensor,
    midpoints: int,
) -> Tensor:
    """The integral along the path of each pair of input and reference (p, 2), (p, K) float64."""
    integrals = torch.zeros(len(pairs), inputs.shape[2], dtype=torch.float64)
    shares = (torch.arange(midpoints) + 0.5) / midpoints
    for start in range(0, len(pairs), _CHUNK):
        input_rows, reference_rows = pairs[start : start + _CHUNK].T
        begin = references[reference_rows]
        path = inputs[input_rows] - begin
        for part in torch.split(shares, max(1, _CHUNK // len(path))):
            points = (begin + part[:, None, None, None] * path).requires_grad_(True)
            (slopes,) = torch.autograd.grad(score(points.flatten(0, 1)).sum(), points)
            steps = (slopes.sum(dim=0) * path).sum(dim=1)
            integrals[start : start + _CHUNK] += steps.double() / midpoints
    return integrals
