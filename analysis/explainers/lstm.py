"""The LSTM's contributions by expected gradients (Erion et al. 2021, equation 3).

A feature's contribution is the gradient along the straight way from a reference to the explained
window, times the distance, averaged over the way and over references. The references are the same
for all rows and evenly spread over the training, and the way is walked at midpoints: drawing both
at random leaves an error in additivity of a tenth of the prediction's standard deviation at the
same cost. Where a network bends too sharply for five midpoints, the ways that don't add up are
walked again with twice as many.

What is explained are the network's inputs after scaling: each feature and its missing-mask, whose
contributions are added, as both are that feature.
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
# A round of walking again costs at most this many passes for each way.
_MOST_PASSES = 40
# Points per pass: what is kept for the gradient stays in the cache.
_CHUNK = 256
# Of the prediction's standard deviation; the part of it that is aimed at.
_TOLERANCE = 0.01
_AIMED = 0.8
# A way is walked again if it is off by so many aims: the others' errors hardly move the mean.
_OFF = 2.0


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
        aim = _AIMED * _TOLERANCE * float(self.prediction[moments].std()) / scale
        with one_thread():
            found = expected_gradients(
                network.score, self._windows(moments), self._windows(references), aim=aim
            )
            with torch.no_grad():
                scores = network.score(self._windows(references))
                base = float(network.restore(scores).mean())
        of_values, of_masks = found.numpy().reshape(len(moments), 2, -1).transpose(1, 0, 2)
        return Contributions((of_values + of_masks) * scale, np.full(len(moments), base))

    def tolerance(self, moments: Rows) -> tuple[float, float]:
        return _TOLERANCE, float(self.prediction[moments].std())

    def shuffled(self, moments: Rows, donors: Rows, feature: int) -> Array:
        network = self.fitted.network
        result = np.empty(len(moments))
        # The whole course over the look-back is exchanged, and the missing-mask with it.
        columns = [feature, feature + self.fitted.width]
        exchanged = self._prepared[:, columns]
        with one_thread(), torch.inference_mode():
            for start in range(0, len(moments), _CHUNK):
                part = slice(start, start + _CHUNK)
                windows = self._windows(moments[part])
                windows[:, :, columns] = exchanged[self._steps(donors[part])]
                result[part] = network.restore(network.score(windows)).numpy()
        return result

    def _windows(self, moments: Rows) -> Tensor:
        return self._prepared[self._steps(moments)]

    def _steps(self, moments: Rows) -> Tensor:
        return torch.from_numpy(moments[:, None] + np.arange(1 - self.fitted.look_back, 1))


def expected_gradients(
    score: Callable[[Tensor], Tensor], inputs: Tensor, references: Tensor, *, aim: float
) -> Tensor:
    """Contributions of the last axis, summed over the steps between.

    Args:
        score: differentiable, (n, T, K) → (n,), each row by itself.
        inputs: (n, T, K) to explain.
        references: (r, T, K) to compare with.
        aim: the deviation of a row's sum from ``score(input) - mean score(references)`` above which
            those of its ways that are far off are walked again with more midpoints, as long as few
            of them are left.

    Returns:
        (n, K) float64.
    """
    pairs = torch.cartesian_prod(torch.arange(len(inputs)), torch.arange(len(references)))
    with torch.no_grad():
        risen = score(inputs).double()[:, None] - score(references).double()[None, :]
    midpoints = _MIDPOINTS
    walked = _walk(score, inputs, references, pairs, midpoints)
    while True:
        midpoints *= 2
        off = walked.sum(dim=1).view_as(risen) - risen
        again = ((off.mean(dim=1, keepdim=True).abs() > aim) & (off.abs() > _OFF * aim)).flatten()
        if not 0 < int(again.sum()) * midpoints <= _MOST_PASSES * len(pairs):
            return walked.view(len(inputs), len(references), -1).mean(dim=1)
        walked[again] = _walk(score, inputs, references, pairs[again], midpoints)


def _walk(
    score: Callable[[Tensor], Tensor],
    inputs: Tensor,
    references: Tensor,
    pairs: Tensor,
    midpoints: int,
) -> Tensor:
    """The integral along the way of each pair of input and reference (p, 2), as (p, K) float64."""
    walked = torch.zeros(len(pairs), inputs.shape[2], dtype=torch.float64)
    shares = (torch.arange(midpoints) + 0.5) / midpoints
    for start in range(0, len(pairs), _CHUNK):
        of_inputs, of_references = pairs[start : start + _CHUNK].T
        begin = references[of_references]
        way = inputs[of_inputs] - begin
        for some in torch.split(shares, max(1, _CHUNK // len(way))):
            points = (begin + some[:, None, None, None] * way).requires_grad_(True)
            (slopes,) = torch.autograd.grad(score(points.flatten(0, 1)).sum(), points)
            steps = (slopes.sum(dim=0) * way).sum(dim=1)
            walked[start : start + _CHUNK] += steps.double() / midpoints
    return walked
