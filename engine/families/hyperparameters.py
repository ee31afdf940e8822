"""Hyperparameters: their ranges, their defaults, and where a search looks for better values."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brain.brief import Brief
from brain.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import optuna

__all__ = ["Hyperparameter", "Number", "defaults", "settle", "suggest"]

Number = int | float


@dataclass(frozen=True, repr=False)
class Hyperparameter(Brief):
    """One hyperparameter; an integer if its default is one.

    Attributes:
        default: the value without a search.
        least: the smallest valid value.
        most: the largest valid value.
        search: bounds of the search, both included; None keeps the default.
        choices: the values to search, instead of bounds.
        log: search on a logarithmic scale.
        step: search on a grid of that step.
    """

    default: Number
    least: Number
    most: Number = math.inf
    search: tuple[Number, Number] | None = None
    choices: tuple[Number, ...] = ()
    log: bool = False
    step: int | None = None

    def suggest(self, trial: optuna.Trial, name: str) -> Number:
        """A value for the trial; the default, without asking it, where there is no search."""
        if self.choices:
            value: Number = trial.suggest_categorical(name, self.choices)
            return value
        if self.search is None:
            return self.default
        low, high = self.search
        if isinstance(self.default, int):
            return trial.suggest_int(name, int(low), int(high), step=self.step or 1, log=self.log)
        return trial.suggest_float(name, low, high, log=self.log)

    def check(self, name: str, value: Number) -> Number:
        """The value as this hyperparameter's type.

        Raises:
            InputError: it is no number, not whole where it must be, or out of range.
        """
        whole = isinstance(self.default, int)
        kind = "a whole number" if whole else "a number"
        if (
            isinstance(value, bool)
            or not isinstance(value, numbers.Real)
            or not math.isfinite(value)
            or (whole and value != int(value))
            or not self.least <= value <= self.most
        ):
            raise InputError(
                f"{name}={value!r} is not valid; give {kind} from {self.least} to {self.most}"
            )
        return int(value) if whole else float(value)


def defaults(space: Mapping[str, Hyperparameter]) -> dict[str, Number]:
    """Every hyperparameter at its default."""
    return {name: hyperparameter.default for name, hyperparameter in space.items()}


def suggest(space: Mapping[str, Hyperparameter], trial: optuna.Trial) -> dict[str, Number]:
    """Every hyperparameter for a trial, those without a search at their defaults."""
    return {name: hyperparameter.suggest(trial, name) for name, hyperparameter in space.items()}


def settle(
    space: Mapping[str, Hyperparameter], hyperparameters: Mapping[str, Number]
) -> dict[str, Number]:
    """Every hyperparameter of a fit: the values, checked, and the defaults of the others.

    Args:
        space: the family's hyperparameters by name.
        hyperparameters: values by name.

    Raises:
        InputError: a name is unknown or a value is not valid.
    """
    for name in hyperparameters:
        if name not in space:
            raise InputError(f"no hyperparameter is called {name!r}; {did_you_mean(name, space)}")
    return {
        name: hyperparameter.check(name, hyperparameters.get(name, hyperparameter.default))
        for name, hyperparameter in space.items()
    }
