"""What can fail in an analysis, and how an error becomes a failure while the others go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from brain.errors import BrainError, TrackingUnreachableError
from brain.work import Failure

__all__ = ["Stage", "catch_failure"]


class Stage(StrEnum):
    """The part of an analysis that failed."""

    CHOICE = "choice"
    BARS = "bars"
    FETCH = "fetch"
    EXPLANATION = "explanation"
    ADDITIVITY = "additivity"
    DRIFT = "drift"
    PROFIT = "profit"
    STORAGE = "storage"


@contextmanager
def catch_failure(
    failures: list[Failure], symbol: str, stage: Stage, model_id: str | None = None
) -> Iterator[None]:
    """Add an error of the block to the failures, and go on after the block.

    Args:
        failures: where the failure is added.
        symbol: whose work the block is.
        stage: of the work.
        model_id: of the version, if the block is about one.

    Raises:
        TrackingUnreachableError: nothing can go on without the tracking server.
    """
    try:
        yield
    except TrackingUnreachableError:
        raise
    except BrainError as error:
        failures.append(Failure(model_id or symbol, error, stage, symbol=symbol))
