"""Answers: always JSON, unknown as null; an error is its status and our message, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from brain.errors import (
    AmbiguousModelError,
    BrainError,
    InputError,
    NoChampionError,
    UnknownRegimeError,
    UnknownSymbolError,
)
from serving.http.schemas import ErrorAnswer

__all__ = ["JSON", "Answer", "Header", "Refusal", "encode", "error_answer", "status_of"]

Header = tuple[bytes, bytes]

JSON = b"application/json"

# As MLflow names them in its own errors, where it does.
_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "METHOD_NOT_ALLOWED",
    408: "DEADLINE_EXCEEDED",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}

#: NaN and infinities are written as null.
encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Answer:
    """What is sent back.

    Attributes:
        body: of the type ``kind``.
        status: of HTTP.
        headers: beside type and length.
    """

    body: bytes
    status: int = 200
    headers: Sequence[Header] = ()
    kind: bytes = JSON


class Refusal(Exception):  # noqa: N818 -- an answer, and no fault of the program
    """A request that is not done.

    Args:
        status: of HTTP.
        message: the offending value and the cure.
        headers: of the answer.
    """

    def __init__(self, status: int, message: str, *headers: Header) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers

    def answer(self) -> Answer:
        """The answer that says so."""
        return error_answer(self.status, str(self), *self.headers)


def error_answer(status: int, message: str, *headers: Header) -> Answer:
    """An error as it is answered."""
    code = _CODES.get(status) or HTTPStatus(status).name
    return Answer(encode(ErrorAnswer(code, message)), status, headers)


def status_of(error: BrainError) -> int:
    """The status of one of our errors."""
    if isinstance(error, AmbiguousModelError):
        return 400
    if isinstance(error, UnknownSymbolError | UnknownRegimeError | NoChampionError):
        return 404
    return 400 if isinstance(error, InputError) else 503


def optional(**headers: Any) -> list[Header]:
    """Headers by name, ``x_model_version`` for ``x-model-version``; None is left out."""
    return [
        (name.replace("_", "-").encode(), str(value).encode())
        for name, value in headers.items()
        if value is not None
    ]
