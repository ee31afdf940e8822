"""An answer over HTTP, and the refusal that it may be: its reason, and how long to wait."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Literal

from brain.redact import redact

__all__ = ["BLOCKED", "Answer", "Reason", "Refusal", "http_refusal", "retry_after"]

#: Why a request is refused; see :class:`Refusal`.
Reason = Literal["refused", "absent", "blocked", "busy", "limited", "banned"]

#: HTTP statuses that are about the client's network or country, not about the request.
BLOCKED = (403, 451)


@dataclass(frozen=True)
class Answer:
    """An answer over HTTP.

    Attributes:
        status: of HTTP.
        headers: by name, case-insensitive.
        body: whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def document(self) -> tuple[Any] | None:
        """The JSON in a tuple, so that ``null`` differs from what is no JSON."""
        try:
            return (json.loads(self.body),)
        except (ValueError, RecursionError):
            return None

    @property
    def json(self) -> Any:
        """The JSON, None if it is none."""
        return self.document[0] if self.document else None

    @property
    def timestamp(self) -> float:
        """Seconds since 1970 by the server's clock; by ours where there is no ``Date``."""
        time = _http_date(self.headers.get("Date", ""))
        return (time or datetime.now(UTC)).timestamp()


@dataclass(frozen=True)
class Refusal:
    """An error of the service's own.

    Attributes:
        code: the service's code, or the HTTP status.
        message: the service's message.
        reason: ``refused`` for good; ``absent``, there is no such instrument; ``blocked``, for
            this network or country, whatever the request; ``busy``, may be repeated; ``limited``,
            fewer requests are due; ``banned``, no request for a time.
        retry_after: seconds until a request may be sent, where there is no ``Retry-After``; 0 is
            unknown.
        cure: of a refusal for good; empty: what was asked, or the base URL, is to be corrected.
    """

    code: str
    message: str
    reason: Reason = "refused"
    retry_after: float = 0.0
    cure: str = ""


def http_refusal(answer: Answer, *, quoted: bool = True) -> Refusal:
    """The refusal of an answer that is no JSON, or has an HTTP status of 300 and more.

    Args:
        answer: of the service.
        quoted: whether the message is the beginning of the body; else it has nothing of it.
    """
    if not quoted:
        answer = Answer(answer.status, answer.headers, b"its body is not shown")
    status = answer.status
    if status in BLOCKED:
        text = re.sub(r"<[^>]*>", " ", answer.body[:2000].decode(errors="replace"))
        return Refusal(f"HTTP {status}", redact(" ".join(text.split()))[:300], "blocked")
    message = redact(answer.body[:2000].decode(errors="replace").strip())[:80]
    if status in (418, 429):
        return Refusal(f"HTTP {status}", message, "limited")
    if status >= 500 or status == 408:
        return Refusal(f"HTTP {status}", message, "busy")
    if status >= 300:
        return Refusal(f"HTTP {status}", message)
    return Refusal("malformed JSON", f"it begins {message!r}", "busy")


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds of ``Retry-After``, which is a number of seconds or a date; 0 if there is none."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return 0.0
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    time = _http_date(text)
    return max(0.0, (time - datetime.now(UTC)).total_seconds()) if time else 0.0


def _http_date(text: str) -> datetime | None:
    try:
        time = parsedate_to_datetime(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
