"""What an exchange's answer says beside its data: refusals, waiting times, broken JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Literal

import aiohttp
from yarl import URL

from brain.errors import InputError
from brain.redact import redact

__all__ = [
    "BLOCKED",
    "Answer",
    "Kind",
    "Patience",
    "Refusal",
    "refusal_of",
    "retry_after",
    "split_credentials",
]

#: What a refusal means; :class:`Refusal` tells it.
Kind = Literal["refused", "absent", "blocked", "busy", "limited", "banned"]

#: HTTP statuses that tell of where the asker is, not of what was asked.
BLOCKED = (403, 451)


@dataclass(frozen=True)
class Answer:
    """An answer as it came.

    Attributes:
        status: of HTTP.
        headers: case does not matter.
        body: whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def parsed(self) -> tuple[Any] | None:
        """The JSON in a tuple, so that ``null`` is told from what is no JSON."""
        try:
            return (json.loads(self.body),)
        except ValueError:
            return None

    @property
    def json(self) -> Any:
        """The JSON, None if it is none."""
        return self.parsed[0] if self.parsed else None

    @property
    def now(self) -> float:
        """Seconds since 1970 by the clock of who answered; by ours if that is not told."""
        when = _date(self.headers.get("Date", ""))
        return (when or datetime.now(UTC)).timestamp()


@dataclass(frozen=True)
class Refusal:
    """An error of the exchange's own.

    Attributes:
        code: the exchange's code, or the HTTP status.
        said: the exchange's words.
        kind: ``refused`` for good, ``absent`` because there is no such instrument; ``blocked``
            from this network or country, whatever is asked; ``busy``, to be asked again;
            ``limited``, to be asked less; ``banned``, not to be asked for a time.
        after: seconds until it may be asked again, where ``Retry-After`` doesn't say; 0: unknown.
    """

    code: str
    said: str
    kind: Kind = "refused"
    after: float = 0.0


@dataclass(frozen=True)
class Patience:
    """How long the client goes on.

    Attributes:
        attempts: times that one request is sent at most.
        first: seconds that the first wait lasts at most; later ones double.
        most: seconds that one wait lasts at most.
        ban: seconds of a ban that are waited out; a longer one is an error at once.
    """

    attempts: int = 7
    first: float = 0.25
    most: float = 20.0
    ban: float = 150.0


def refusal_of(answer: Answer) -> Refusal:
    """What an answer means that is no JSON, or has an HTTP status of 300 and more."""
    status = answer.status
    if status in BLOCKED:
        text = re.sub(r"<[^>]*>", " ", answer.body[:2000].decode(errors="replace"))
        return Refusal(f"HTTP {status}", redact(" ".join(text.split())[:300]), "blocked")
    said = redact(answer.body[:80].decode(errors="replace").strip())
    if status in (418, 429):
        return Refusal(f"HTTP {status}", said, "limited")
    if status >= 500 or status == 408:
        return Refusal(f"HTTP {status}", said, "busy")
    if status >= 300:
        return Refusal(f"HTTP {status}", said)
    return Refusal("malformed JSON", f"it begins {said!r}", "busy")


def split_credentials(base_url: str) -> tuple[URL, dict[str, str]]:
    """The address without credentials, and the headers that carry them.

    Raises:
        InputError: the address is no base URL.
    """
    try:
        url = URL(base_url)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host or url.query_string or url.fragment:
        raise InputError(
            f"{redact(base_url)!r} is no base URL; write https://HOST, or http://HOST:PORT/PATH"
        )
    if url.user is None:
        return url, {}
    said = aiohttp.encode_basic_auth(url.user, url.password or "")
    return url.with_user(None), {"Authorization": said}


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the exchange wants us to wait, written as seconds or as a date; 0 if not said."""
    said = headers.get("Retry-After", "").strip()
    if not said:
        return 0.0
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    when = _date(said)
    return max(0.0, (when - datetime.now(UTC)).total_seconds()) if when else 0.0


def _date(said: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(said)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
