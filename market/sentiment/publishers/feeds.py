"""RSS and Atom feeds: the publisher that needs no key."""

from __future__ import annotations

import calendar
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pandas as pd
from yarl import URL

from brain.errors import InputError, MarketError, PublisherError
from brain.redact import hide, redact
from market.http.client import PUBLISHER, RetryPolicy, Service
from market.sentiment.posts import Post, digest_id
from market.sentiment.publishers.base import Publisher, Slice
from market.sentiment.publishers.fields import shape_error

__all__ = ["FEEDS", "Feeds"]

#: Feeds on crypto that ask for no key; their terms allow reading, not publishing them anew.
FEEDS = (
    "https://www.coindesk.com/arc/outboundfeeds/rss/",
    "https://cointelegraph.com/rss",
    "https://decrypt.co/feed",
)


class Feeds(Publisher):
    """The entries of some feeds, all of which are asked for at every collection.

    A feed has its last entries alone, often some dozens, and so only what is collected often is
    whole.

    Args:
        addresses: of the feeds.
        timeout, retries: see :class:`market.sentiment.publishers.base.Publisher`.

    Raises:
        InputError: an address is none.
    """

    name = "feeds"
    url = FEEDS[0]

    def __init__(
        self,
        addresses: Sequence[str] = FEEDS,
        *,
        timeout: float = 10.0,
        retries: RetryPolicy | None = None,
    ) -> None:
        if not addresses:
            raise InputError("no feed is named; name some with the setting feeds")
        hide(*addresses)
        self._feeds = [_split(address) for address in addresses]
        super().__init__(self._feeds[0][0], timeout=timeout, retries=retries)
        others = [self._client(base) for base, _, _ in self._feeds[1:]]
        self._clients = [self.client, *others]

    def __repr__(self) -> str:
        return f"Feeds({', '.join(client.host for client in self._clients)})"

    @property
    def service(self) -> Service:
        return Service(self.name, "feeds", PUBLISHER, redirects=True)

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    async def slices(
        self, since: Mapping[str, pd.Timestamp], until: pd.Timestamp
    ) -> AsyncIterator[Slice]:
        """One slice of all feeds' entries; see the base class.

        Raises:
            PublisherError: a feed can't be had, of several one that names them all; the others'
                entries have come before.
        """
        posts: list[Post] = []
        errors: list[MarketError] = []
        for client, (_, path, query) in zip(self._clients, self._feeds, strict=True):
            try:
                answer = await client.document(path, dict(query))
                posts += _entries(client.host, answer.body)
            except MarketError as error:
                errors.append(error)
        if len(errors) < len(self._feeds):
            yield Slice([p for p in posts if p.time < until], list(since), last=not errors)
        if len(errors) > 1:
            raise PublisherError("; ".join(map(str, errors)))
        if errors:
            raise errors[0]


def _split(address: str) -> tuple[str, str, dict[str, str]]:
    """A feed's server with its credentials, its path and its parameters."""
    try:
        url = URL(address)
        base = str(url.origin().with_user(url.user).with_password(url.password))
    except ValueError:
        raise InputError(
            f"{redact(address)!r} is no feed's address; write https://HOST/PATH"
        ) from None
    return base, url.path.removeprefix("/"), dict(url.query)


def _entries(host: str, body: bytes) -> list[Post]:
    """The entries of a feed that say when they were published; others can't be placed in time."""
    import feedparser

    # Markup goes before scoring anyway, and addresses are of no use.
    feed: Any = feedparser.parse(
        body, sanitize_html=False, resolve_relative_uris=False, response_headers={}
    )
    if not feed.version:
        raise shape_error(f"feeds: {host}", "rss or feed", "is missing: the answer is no feed")
    posts = []
    for entry in feed.entries:
        published = entry.get("published_parsed") or entry.get("updated_parsed")
        address = entry.get("id") or entry.get("link")
        if published is None or not address:
            continue
        time = pd.Timestamp(calendar.timegm(published), unit="s", tz="UTC").as_unit("us")
        text = f"{entry.get('title', '')}. {entry.get('summary', '')}"
        posts.append(Post(digest_id(str(address)), time, text))
    return posts
