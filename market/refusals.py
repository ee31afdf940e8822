"""What an exchange's answer says beside its data: refusals, waiting times, broken JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import aiohttp
from yarl import URL

from registry.errors import InputError
from registry.redact import redact

__all__ = ["Patience", "Refusal", "parse_json", "refusal_of", "retry_after", "split_credentials"]


@dataclass(frozen=True)
class Refusal:
    """An error of the venue's own.

    Attributes:
        code: the venue's code, or the HTTP status.
        said: the venue's words.
        kind: ``refused`` for good; ``busy``, to be asked again; ``limited``, to be asked less.
    """

    code: str
    said: str
    kind: Literal["refused", "busy", "limited"] = "refused"


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


def refusal_of(status: int, body: bytes) -> Refusal:
    """What an answer means that is no JSON, or has an HTTP status of 300 and more."""
    said = redact(body[:80].decode(errors="replace").strip())
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


def parse_json(body: bytes) -> tuple[Any] | None:
    """The JSON in a tuple, so that ``null`` is told from what is no JSON."""
    try:
        return (json.loads(body),)
    except ValueError:
        return None


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the venue wants us to wait, written as seconds or as a date; 0 if not said."""
    said = headers.get("Retry-After", "").strip()
    if not said:
        return 0.0
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
