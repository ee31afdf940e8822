"""Every error that we raise on purpose.

One tree, so that a caller can catch as much or as little as it wants::

    BrainError
    ├── SettingsError            a setting is unknown, malformed or out of range
    ├── InputError               what the caller gave cannot be used
    │   ├── UnknownSymbolError
    │   ├── UnknownRegimeError
    │   ├── UnknownFamilyError
    │   ├── BarsError            a series of bars is broken
    │   └── NotEnoughBarsError   a series of bars is sound but too short
    ├── TrainingError            a model could not be fitted or judged
    ├── AnalysisError            a model or its data could not be explained
    ├── MarketError              market data could not be had
    │   ├── ExchangeUnreachableError    an exchange does not answer
    │   │   └── ExchangeBlockedError        it serves nobody from this network
    │   ├── RateLimitedError         an exchange wants fewer requests
    │   ├── ExchangeRefusedError        an exchange refused what was asked
    │   │   └── NoSuchInstrumentError    it has no such instrument
    │   └── ExchangeShapeError          an answer is not of the shape that we know
    └── LibraryError             the Brain Library did not do what was asked
        ├── TrackingUnreachableError
        ├── ArtifactStoreError   artifacts can't be written or read
        ├── SeriesStoreError     market series can't be written or read
        ├── ModelIntegrityError  a model's files are not those that were registered
        └── NoChampionError      no champion is registered for the cell

Every message names the offending value and, after a semicolon or in its own sentence, the cure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AnalysisError",
    "ArtifactStoreError",
    "BarsError",
    "BrainError",
    "ExchangeBlockedError",
    "ExchangeRefusedError",
    "ExchangeShapeError",
    "ExchangeUnreachableError",
    "InputError",
    "LibraryError",
    "MarketError",
    "ModelIntegrityError",
    "NoChampionError",
    "NoSuchInstrumentError",
    "NotEnoughBarsError",
    "RateLimitedError",
    "SeriesStoreError",
    "SettingsError",
    "TrackingUnreachableError",
    "TrainingError",
    "UnknownFamilyError",
    "UnknownRegimeError",
    "UnknownSymbolError",
    "did_you_mean",
]


class BrainError(Exception):
    """The root of the tree."""


class SettingsError(BrainError):
    """A setting is unknown, malformed or out of range."""


class InputError(BrainError, ValueError):
    """What the caller gave cannot be used."""


class UnknownSymbolError(InputError):
    """No series or model of that symbol is known."""


class UnknownRegimeError(InputError):
    """The regime is none of low, normal, high, extreme."""


class UnknownFamilyError(InputError):
    """The family is none of xgboost, lightgbm, lstm."""


class BarsError(InputError):
    """A series of bars is broken in a way that no stated repair covers."""


class NotEnoughBarsError(InputError):
    """A series of bars is sound but too short for what was asked."""


class TrainingError(BrainError):
    """A model could not be fitted or judged."""


class AnalysisError(BrainError):
    """A model or its data could not be explained, or an explanation does not add up."""


class MarketError(BrainError):
    """Market data could not be had."""


class ExchangeUnreachableError(MarketError):
    """An exchange does not answer, or cuts its answers off."""


class ExchangeBlockedError(ExchangeUnreachableError):
    """An exchange serves nobody from this network or country: no answer to what was asked."""


class ExchangeRefusedError(MarketError):
    """An exchange refused what was asked.

    Attributes:
        code: the exchange's code, or the HTTP status.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class NoSuchInstrumentError(ExchangeRefusedError):
    """An exchange says that it has no such instrument."""


class RateLimitedError(MarketError):
    """An exchange wants fewer requests: no answer to what was asked."""


class ExchangeShapeError(MarketError):
    """An exchange's answer is not of the shape that we know."""


class LibraryError(BrainError):
    """The Brain Library did not do what was asked."""


class TrackingUnreachableError(LibraryError):
    """The tracking server or database does not answer."""


class ArtifactStoreError(LibraryError):
    """Artifacts can't be written or read."""


class SeriesStoreError(LibraryError):
    """Market series can't be written or read."""


class ModelIntegrityError(LibraryError):
    """A model's files are not those that were registered."""


class NoChampionError(LibraryError):
    """No champion is registered for the cell."""


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """The cure for a misspelt name: the closest known one, or the list of them all."""
    names = sorted(str(name) for name in known)
    close = difflib.get_close_matches(value.lower(), [n.lower() for n in names], n=1)
    if close:
        match = next(n for n in names if n.lower() == close[0])
        return f"did you mean {match!r}?"
    return f"known: {', '.join(names) or 'none'}"
