"""The contract of every model family.

1. Rows are consecutive bars, oldest first, (N, F); NaN is a missing feature, and each family takes
   it as missing.
2. A target of NaN is no target: that row is context, and nothing is learnt from it.
3. One prediction per row, from that row and the rows before it, never from later ones.
4. A row whose look-back is not full is predicted as NaN. Boosted trees look back over one row and
   so always predict, on a row without any input too.
5. The same rows, targets, hyperparameters and seeds give the same model, which is the mean of a fit
   from each seed. Arguments and global random states stay as they are.
6. A prediction estimates a robust centre of the target (Huber's, between the median and the mean),
   in the target's units: market returns have tails that make a mean-squared fit learn its outliers.
7. A saved model is a complete MLflow model in its library's own format, without pickle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy.typing as npt

from brain.naming import Family
from engine.families.hyperparameters import Hyperparameter, Number, defaults, suggest
from engine.kernels.columns import Floats

if TYPE_CHECKING:
    import optuna

    from engine.families.model_files import Model

__all__ = ["FittedModel", "ModelFamily"]


class FittedModel(ABC):
    """A model after its fit.

    Attributes:
        family: the model's.
        look_back: rows that a prediction needs, its own included.
        width: F, the number of features.
    """

    family: Family
    look_back: int
    width: int

    @abstractmethod
    def predict(self, rows: npt.ArrayLike) -> Floats:
        """Predictions (N,) for consecutive rows (N, F), in the target's units.

        NaN where the look-back is not full, or has no input at all; see the module's docstring.

        Raises:
            InputError: the shape is not that of the training rows, or a feature is infinite.
        """

    @abstractmethod
    def save(self, folder: Path, *, features: Sequence[str], model: Model) -> None:
        """Write a complete MLflow model (``MLmodel``, native files, requirements).

        Args:
            folder: of the model; it must not exist, or be empty.
            features: the F column names of the signature.
            model: the description to complete, which may have its ids.

        Raises:
            InputError: the folder is not empty, or the names are not F different names of letters,
                digits, ``_``, ``-`` and ``.``.
        """


class ModelFamily(ABC):
    """A way to learn, and its hyperparameters.

    Attributes:
        name: of the family.
        space: its hyperparameters by name.
    """

    name: ClassVar[Family]
    space: ClassVar[Mapping[str, Hyperparameter]]

    def defaults(self) -> dict[str, Number]:
        """Every hyperparameter at its default."""
        return defaults(self.space)

    def suggest(self, trial: optuna.Trial) -> dict[str, Number]:
        """Every hyperparameter for a trial; the space is small, as the data are noisy."""
        return suggest(self.space, trial)

    @abstractmethod
    def fit(
        self,
        rows: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        hyperparameters: Mapping[str, Number],
        seed: int,
        seeds: int = 1,
    ) -> FittedModel:
        """Learn the target (N,) from rows (N, F).

        Args:
            rows: consecutive bars, oldest first; NaN is a missing feature. A feature may be
                constant or never known.
            target: NaN where the row is context only (purged, a gap, held out).
            hyperparameters: by name; the others are at their default.
            seed: 0 to 2³¹ − 1.
            seeds: number of fits whose mean the model predicts: one from ``seed``, the others from
                seeds drawn from it.

        Raises:
            InputError: shapes don't fit, a value is infinite, a hyperparameter is unknown, or a
                seed or the number of seeds is out of range.
            NotEnoughBarsError: too few targets.
            TrainingError: the target does not vary, or the fit failed.
        """

    @abstractmethod
    def load(self, folder: Path) -> FittedModel:
        """Load the model that :meth:`FittedModel.save` wrote. Check the files' digest before.

        Raises:
            ModelIntegrityError: a file is missing or unreadable.
        """
