"""The training of the LSTM: a Lightning module, its batches, and a silent trainer."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn

from brain.errors import TrainingError
from engine.families.lstm_network import LstmNetwork

__all__ = ["LstmTraining", "WindowBatches", "train"]


class WindowBatches:
    """WindowBatches of (window ends, scaled targets), shuffled again each epoch, from one seed.

    Windows are gathered by index batch by batch: there never is an array (N, T, F).
    """

    def __init__(self, ends: Tensor, target: Tensor, *, size: int, seed: int) -> None:
        self._ends = ends
        self._target = target
        # Shared out evenly: a tail of a few windows would weigh as much as a full batch.
        self._count = max(1, round(len(ends) / size))
        self._random = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self._ends), generator=self._random)
        for batch in torch.tensor_split(order, self._count):
            yield self._ends[batch], self._target[batch]


class LstmTraining(lightning.LightningModule):
    """Minimises the Huber loss of the network's score; AdamW, one learning-rate cycle.

    Args:
        network: learns in place.
        inputs: prepared rows (N, 2F).
        elbow: where the loss turns from squared to linear, in robust standard deviations.
        learning_rate: the cycle's peak.
        weight_decay: AdamW's.
    """

    def __init__(
        self,
        network: LstmNetwork,
        inputs: Tensor,
        *,
        elbow: float,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        super().__init__()
        self.network = network
        self._inputs = inputs
        self._offsets = torch.arange(1 - network.shape.window, 1)
        self._elbow = elbow
        self._learning_rate = learning_rate
        self._weight_decay = weight_decay

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        ends, target = batch
        scores = self.network.score(self._inputs[ends.unsqueeze(1) + self._offsets])
        loss = nn.functional.huber_loss(scores, target, delta=self._elbow)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the LSTM's loss is {loss.item()} in epoch {self.current_epoch}, batch {index}; "
                f"lower learning_rate={self._learning_rate}"
            )
        return loss

    def configure_optimizers(self) -> lightning.utilities.types.OptimizerLRScheduler:
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self._learning_rate, weight_decay=self._weight_decay
        )
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self._learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


def train(module: LstmTraining, batches: WindowBatches, *, epochs: int) -> None:
    """Run the epochs: no logger, no checkpoints, no progress bar, no message, gradients clipped.

    Raises:
        TrainingError: the loss or a weight is not finite.
    """
    with _quiet():
        trainer = lightning.Trainer(
            accelerator="cpu", devices=1, max_epochs=epochs, gradient_clip_val=1.0, barebones=True
        )
        trainer.fit(module, train_dataloaders=batches)
    if not all(bool(torch.isfinite(weights).all()) for weights in module.network.parameters()):
        raise TrainingError("the LSTM's weights are not finite after the fit; lower learning_rate")


@contextmanager
def _quiet() -> Iterator[None]:
    # Each trainer logs which accelerators it lacks, and what barebones turns off.
    rank_zero = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    before = rank_zero.level
    rank_zero.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Lightning's own use of torch's trees, on every loader.
            warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
            yield
    finally:
        rank_zero.setLevel(before)
