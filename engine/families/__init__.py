"""Model families: one contract, three ways to learn.

>>> from engine.families import family
>>> fitted = family("lightgbm").fit(rows, target, params={}, seed=1)  # doctest: +SKIP
>>> fitted.predict(rows)  # one value per row                         # doctest: +SKIP

Importing this package costs nothing; a family's libraries are imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain.naming import Family, parse_family

if TYPE_CHECKING:
    from engine.families.base import FittedModel, ModelFamily

__all__ = ["FittedModel", "ModelFamily", "family"]


def family(name: Family | str) -> ModelFamily:
    """The family of that name.

    Raises:
        UnknownFamilyError: there is none.
    """
    known = parse_family(name)
    if known is Family.LSTM:
        from engine.families.lstm import Lstm

        return Lstm()
    from engine.families.boosted import LightGbm, XgBoost

    return LightGbm() if known is Family.LIGHTGBM else XgBoost()


def __getattr__(name: str) -> object:
    if name in {"FittedModel", "ModelFamily"}:
        from engine.families import base

        return getattr(base, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
