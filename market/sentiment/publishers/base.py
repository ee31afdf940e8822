"""What a publisher is to the collection, and what publishers have in common."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import ClassVar

import pandas as pd

from brain.errors import PublisherRefusedError
from market.http.client import PUBLISHER, Client, ClientOwner, RetryPolicy, Service
from market.http.limits import Limit
from market.http.refusals import Answer, Refusal
from market.sentiment.posts import Post

__all__ = ["Publisher", "Slice", "credential", "rest_until", "seconds_until"]


@dataclass(frozen=True)
class Slice:
    """The posts of a stretch of time.

    Attributes:
        posts: on any coins, in any order.
        coins: that were asked for.
        note: why some of the posts may be missing; empty if none should be.
        last: whether nothing is left to be asked on these coins.
    """

    posts: Sequence[Post]
    coins: Sequence[str]
    note: str = ""
    last: bool = True


class Publisher(ClientOwner, ABC):
    """Where posts are from; an async context manager.

    Args:
        base_url: instead of the publisher's own address; credentials in it are never shown.
        timeout: seconds that one attempt may last.
        retries: how often and how long failed requests are repeated.

    Raises:
        InputError: the base URL is none.
    """

    #: By which settings and rows name it.
    name: ClassVar[str]
    #: Its own address.
    url: ClassVar[str]
    limits: ClassVar[tuple[Limit, ...]] = ()
    #: Variables of the environment that hold its credentials.
    credentials: ClassVar[tuple[str, ...]] = ()
    #: How far back it answers; None: as far as it likes.
    reach: ClassVar[pd.Timedelta | None] = None
    #: How far back it is asked where nothing is stored, at most; None: as far as it answers.
    first: ClassVar[pd.Timedelta | None] = None

    def __init__(
        self,
        base_url: str | None = None,
        *,
        timeout: float = 10.0,
        retries: RetryPolicy | None = None,
    ) -> None:
        self._timeout, self._retries = timeout, retries
        self.client = self._client(base_url or self.url)

    @abstractmethod
    def slices(
        self, since: Mapping[str, pd.Timestamp], until: pd.Timestamp
    ) -> AsyncIterator[Slice]:
        """The posts on some coins, slice by slice, each coin's oldest slice first.

        A slice comes whole or not at all, so that a collection that fails can go on after the
        last one. Posts that are older or on no coin may be among them.

        Args:
            since: the first moment, by coin.
            until: the last one, exclusive.

        Raises:
            PublisherError: the publisher does not answer, or refuses.
            RateLimitedError: it wants fewer requests.
        """

    async def probe(self) -> str:
        """Ask for one post, to see whether it answers as documented; what came, in words."""
        now = pd.Timestamp.now("UTC")
        since = {"BTC": now - pd.Timedelta(hours=1)}
        count = 0
        async for part in self.slices(since, now - pd.Timedelta(minutes=1)):
            count += len(part.posts)
            break
        return f"{count} post{'' if count == 1 else 's'} came"

    def refusal(self, answer: Answer) -> Refusal | None:
        """The publisher's own error in an answer; None: the HTTP status decides."""
        return None

    def pause(self, headers: Mapping[str, str]) -> float:
        """Seconds without any request that an answer's headers ask for, or 0."""
        return 0.0

    @property
    def service(self) -> Service:
        """Who is asked, and how."""
        return Service(self.name, faults=PUBLISHER)

    def _client(self, base_url: str, service: Service | None = None) -> Client:
        return Client(
            base_url,
            service=service or self.service,
            limits=self.limits,
            refusal=self.refusal,
            pause=self.pause,
            timeout=self._timeout,
            parallel=2,
            retries=self._retries,
        )


def credential(publisher: str, variable: str) -> str:
    """A credential of the environment.

    Raises:
        PublisherRefusedError: there is none.
    """
    if secret := os.environ.get(variable, "").strip():
        return secret
    raise PublisherRefusedError(
        f"{publisher} needs a credential that is not there; set {variable} in the environment, or "
        f"leave {publisher} out of the setting sentiment"
    )


def seconds_until(headers: Mapping[str, str], name: str) -> float:
    """Seconds until the moment of a header, since 1970, by the server's own clock; 0: unknown."""
    try:
        reset = float(headers.get(name, ""))
        now = parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except ValueError:
        return 0.0
    # A clock of whole seconds may be almost one behind.
    return max(1.0, reset - now) if math.isfinite(reset) else 0.0


def rest_until(headers: Mapping[str, str], remaining: str, seconds: float) -> float:
    """Seconds to rest for, where a header says that no request is left; 0: some are left."""
    try:
        left = float(headers.get(remaining, ""))
    except ValueError:
        return 0.0
    return seconds if left < 1.0 else 0.0
