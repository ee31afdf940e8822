"""Model families: one contract, three ways to learn.

>>> from engine.families import family
>>> fitted = family("lightgbm").fit(rows, target, hyperparameters={}, seed=1)  # doctest: +SKIP
>>> fitted.predict(rows)  # one value per row                                  # doctest: +SKIP

Importing this package costs nothing; a family's libraries are imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face
from brain.naming import Family, parse_family

if TYPE_CHECKING:
    from engine.families.base import FittedModel as FittedModel, ModelFamily as ModelFamily

__all__ = ["FittedModel", "ModelFamily", "family"]

_, __getattr__, __dir__ = face(__name__, {"engine.families.base": "FittedModel ModelFamily"})


def family(name: Family | str) -> ModelFamily:
    """The family of that name.

    Raises:
        UnknownFamilyError: there is none.
    """
    name = parse_family(name)
    if name is Family.LSTM:
        from engine.families.lstm import Lstm

        return Lstm()
    from engine.families.boosted import LightGbm, XgBoost

    return LightGbm() if name is Family.LIGHTGBM else XgBoost()
