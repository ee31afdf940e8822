"""The errors of all rooms, as one tree.

A caller can catch a single class or a branch::

    BrainError
    ├── SettingsError            a setting is unknown, malformed or out of range
    ├── InputError               an argument can't be used
    │   ├── UnknownSymbolError
    │   ├── AmbiguousModelError    several models fit, and none is named
    │   ├── UnknownRegimeError
    │   ├── UnknownFamilyError
    │   ├── BarsError            a series of bars is broken
    │   ├── NotEnoughBarsError   a series of bars is sound but too short
    │   └── SeriesFileError      a file of market series can't be imported
    ├── TrainingError            a model can't be fitted or evaluated
    ├── AnalysisError            a model or its data can't be explained
    ├── MarketError              market data can't be fetched
    │   ├── ExchangeUnreachableError    an exchange does not answer
    │   │   └── ExchangeBlockedError        it serves no client of this network
    │   ├── RateLimitedError         an exchange or a publisher wants fewer requests
    │   ├── ExchangeRefusedError        an exchange refuses a request
    │   │   └── NoSuchInstrumentError    it has no such instrument
    │   ├── ExchangeShapeError          an answer has an unexpected shape
    │   └── PublisherError           posts can't be had from a publisher
    │       ├── PublisherUnreachableError   it does not answer
    │       ├── PublisherRefusedError       it refuses a request, or credentials are missing
    │       └── PublisherShapeError         an answer has an unexpected shape
    └── LibraryError             the Brain Library can't serve a request
        ├── TrackingUnreachableError
        ├── ArtifactStoreError   artifacts can't be written or read
        ├── SeriesStoreError     market series can't be written or read
        ├── StorageFullError     a disk is full
        ├── ModelIntegrityError  a model's files differ from the registered ones
        ├── LeaseError           another night holds the lease of the experiment
        └── NoChampionError      no champion is registered for the cell

Every message has the offending value and, after a semicolon or in a sentence, the cure.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from brain.redact import redact, redact_error

__all__ = [
    "AmbiguousModelError",
    "AnalysisError",
    "ArtifactStoreError",
    "BarsError",
    "BrainError",
    "ExchangeBlockedError",
    "ExchangeRefusedError",
    "ExchangeShapeError",
    "ExchangeUnreachableError",
    "InputError",
    "LeaseError",
    "LibraryError",
    "MarketError",
    "ModelIntegrityError",
    "NoChampionError",
    "NoSuchInstrumentError",
    "NotEnoughBarsError",
    "PublisherError",
    "PublisherRefusedError",
    "PublisherShapeError",
    "PublisherUnreachableError",
    "RateLimitedError",
    "SeriesFileError",
    "SeriesStoreError",
    "SettingsError",
    "StorageFullError",
    "TrackingUnreachableError",
    "TrainingError",
    "UnknownFamilyError",
    "UnknownRegimeError",
    "UnknownSymbolError",
    "did_you_mean",
]


class BrainError(Exception):
    """The root of the tree.

    Its text, and that of the error behind it, is without passwords, keys and tokens.
    """

    def __init__(self, *args: object) -> None:
        redact_error(sys.exception())
        super().__init__(*(redact(part) if isinstance(part, str) else part for part in args))


class SettingsError(BrainError):
    """A setting is unknown, malformed or out of range."""


class InputError(BrainError, ValueError):
    """An argument can't be used."""


class UnknownSymbolError(InputError):
    """There is no series or model of that symbol, timeframe and horizon."""


class AmbiguousModelError(InputError):
    """Several models of a symbol fit, of other timeframes or horizons, and none is named."""


class UnknownRegimeError(InputError):
    """The regime is none of low, normal, high, extreme."""


class UnknownFamilyError(InputError):
    """The family is none of xgboost, lightgbm, lstm."""


class BarsError(InputError):
    """A series of bars is broken in a way that no repair covers."""


class NotEnoughBarsError(InputError):
    """A series of bars is sound but too short."""


class SeriesFileError(InputError):
    """A file of market series is broken, or can't be told to be one."""


class TrainingError(BrainError):
    """A model can't be fitted or evaluated."""


class AnalysisError(BrainError):
    """A model or its data can't be explained, or an explanation does not add up."""


class MarketError(BrainError):
    """Market data can't be fetched."""


class ExchangeUnreachableError(MarketError):
    """An exchange does not answer, or breaks its answers off."""


class ExchangeBlockedError(ExchangeUnreachableError):
    """An exchange serves no client of this network or country."""


class ExchangeRefusedError(MarketError):
    """An exchange refuses a request.

    Attributes:
        code: the exchange's code, or the HTTP status.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class NoSuchInstrumentError(ExchangeRefusedError):
    """An exchange has no such instrument."""


class RateLimitedError(MarketError):
    """An exchange or a publisher wants fewer requests."""


class ExchangeShapeError(MarketError):
    """An exchange's answer has an unexpected shape."""


class PublisherError(MarketError):
    """Posts can't be had from a publisher."""


class PublisherUnreachableError(PublisherError):
    """A publisher does not answer, or breaks its answers off."""


class PublisherRefusedError(PublisherError):
    """A publisher refuses a request, or its credentials are missing.

    Attributes:
        code: the publisher's code, or the HTTP status; empty if nothing was asked.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class PublisherShapeError(PublisherError):
    """A publisher's answer has an unexpected shape."""


class LibraryError(BrainError):
    """The Brain Library can't serve a request."""


class TrackingUnreachableError(LibraryError):
    """The tracking server or database does not answer."""


class ArtifactStoreError(LibraryError):
    """Artifacts can't be written or read."""


class SeriesStoreError(LibraryError):
    """Market series can't be written or read."""


class StorageFullError(LibraryError):
    """A disk is full, or has too little space for a job."""


class ModelIntegrityError(LibraryError):
    """A model's files differ from the registered ones."""


class LeaseError(LibraryError):
    """Another night holds the lease of the store's experiment."""


class NoChampionError(LibraryError):
    """No champion is registered for the cell."""


def did_you_mean(value: str, names: Iterable[str]) -> str:
    """The cure for a misspelt name: the closest of the names, or the list of them all."""
    names = sorted(str(name) for name in names)
    import difflib  # of mistakes alone

    close = difflib.get_close_matches(value.lower(), [n.lower() for n in names], n=1)
    if close:
        match = next(n for n in names if n.lower() == close[0])
        return f"did you mean {match!r}?"
    return f"known: {', '.join(names) or 'none'}"
