"""What lowers a champion's size: drift of its data, what is missing, and its age.

Needs the standard library alone, for the executor. Each factor is between 0 and 1, and they
multiply. What is unknown lowers nothing, and is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "AGE",
    "AGE_END",
    "AGE_HALVES",
    "AGE_UNTOUCHED",
    "DRIFT",
    "DRIFT_USUAL",
    "Factor",
    "age_factor",
    "aged",
    "drift_factor",
    "lowered",
    "lowered_by",
    "missing_factor",
]

#: Days after the end of its training until which a model's size is whole, and in which it halves
#: from then on. Nights refit, so these are two weeks in which none did.
AGE_UNTOUCHED, AGE_HALVES = 14.0, 30.0

#: Days from which on it is 0.
AGE_END = 365.0

#: Share of the features that have drifted by their own thresholds up to which a size is whole: at
#: 37 of 42 past times of the packaged sample it was no more.
DRIFT_USUAL = 0.2

#: The name of age among factors: it is the one that changes until a record is written anew.
AGE = "age"

#: The name of drift among factors: it holds until it is measured again, with an explanation.
DRIFT = "drift"


@dataclass(frozen=True)
class Factor:
    """What a size is multiplied with.

    Attributes:
        name: what it is about: drift, missing or age.
        value: in [0, 1].
        reason: in a few words.
    """

    name: str
    value: float
    reason: str


def drift_factor(share: float | None) -> Factor:
    """``1 - max(0, share - .2) / .8``: whole up to what is usual, 0 where all features drifted.

    Args:
        share: of the features that can be judged, those further from the training than at 95 % of
            earlier times, in [0, 1]; None is unknown.
    """
    if share is None:
        return Factor(DRIFT, 1.0, "drift is unknown")
    value = 1.0 - max(0.0, share - DRIFT_USUAL) / (1.0 - DRIFT_USUAL)
    return Factor(DRIFT, value, f"{share:.0%} of the features drifted")


def missing_factor(predictions: float | None, features: float | None) -> Factor:
    """``(1 - predictions) (1 - features)``.

    Args:
        predictions: share of the newest night's bars without a prediction; None is unknown.
        features: share of the newest night's values of features that are missing beyond what always
            was; None is unknown.
    """
    shares = {"predictions": predictions, "features": features}
    value = math.prod(1.0 - share for share in shares.values() if share is not None)
    words = [
        f"{what} unknown" if share is None else f"{share:.0%} of {what}"
        for what, share in shares.items()
    ]
    return Factor("missing", value, f"missing: {', '.join(words)}")


def age_factor(days: float) -> Factor:
    """``.5 ** (max(0, days - 14) / 30)``; 0 from a year on.

    Args:
        days: since the last bar of the model's training.
    """
    value = 0.5 ** (max(0.0, days - AGE_UNTOUCHED) / AGE_HALVES) if days < AGE_END else 0.0
    return Factor(AGE, value, f"trained until {days:.0f} days before")


def lowered(size: float, factors: Iterable[Factor]) -> float:
    """A size times all factors."""
    return size * math.prod(factor.value for factor in factors)


def aged(size: float, age: float, days: float) -> float:
    """A size at another age of its model than that at which it was judged.

    Args:
        size: as judged.
        age: the age's factor in it.
        days: since the last bar of the model's training.
    """
    return size * age_factor(days).value / age if age > 0.0 else 0.0


def lowered_by(factors: Iterable[Factor]) -> str:
    """The factors below 1 in words; empty if there is none."""
    words = [f"{f.reason} (× {f.value:.2f})" for f in factors if f.value < 1.0]
    return f"lowered: {'; '.join(words)}" if words else ""
