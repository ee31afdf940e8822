"""A news API: NewsAPI's search of articles, ``/v2/everything``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from brain.errors import PublisherRefusedError
from market.http.client import Query
from market.http.refusals import Answer, Refusal
from market.sentiment.coins import coin_names
from market.sentiment.posts import Post, digest_id
from market.sentiment.publishers.base import Publisher, Slice, credential
from market.sentiment.publishers.fields import number, records, text, time

__all__ = ["News"]

_SEARCH = "v2/everything"
_PAGE = 100
_LONGEST_QUERY = 500
_DAY = pd.Timedelta(days=1)
_KEY = "NEWS_API_KEY"
_TOO_FAR = "maximumResultsReached"


class News(Publisher):
    """Articles by day; of a free key 24 hours late, 100 a day of requests, and not for production.

    Args: see :class:`market.sentiment.publishers.base.Publisher`.
    """

    name = "news"
    url = "https://newsapi.org"
    credentials = (_KEY,)
    reach = pd.Timedelta(days=29)

    async def slices(
        self, since: Mapping[str, pd.Timestamp], until: pd.Timestamp
    ) -> AsyncIterator[Slice]:
        """A slice a day and group of coins; see the base class."""
        key = credential(self.name, _KEY)
        for coins, query in _queries(list(since)):
            start = min(since[coin] for coin in coins)
            while start < until:
                end = min(start + _DAY, until)
                part = await self._day(key, coins, query, start, end)
                yield replace(part, last=end >= until)
                start = end

    async def _day(
        self, key: str, coins: Sequence[str], query: str, start: pd.Timestamp, end: pd.Timestamp
    ) -> Slice:
        posts: list[Post] = []
        page = 1
        search: Query = {
            "q": query,
            "searchIn": "title,description",
            "language": "en",
            "sortBy": "publishedAt",
            "from": _iso(start),
            "to": _iso(end),
            "pageSize": _PAGE,
        }
        while True:
            try:
                answer = await self.client.get(
                    _SEARCH, {**search, "page": page}, headers={"X-Api-Key": key}
                )
            except PublisherRefusedError as error:
                if error.code != _TOO_FAR or not posts:
                    raise
                return Slice(posts, coins, f"of busy days the newest {len(posts)} articles")
            rows = records(self.name, answer, "articles")
            posts += [_post(row) for row in rows]
            if not rows or page * _PAGE >= number(self.name, answer, "totalResults"):
                return Slice([post for post in posts if post.time < end], coins)
            page += 1

    def refusal(self, answer: Answer) -> Refusal | None:
        document = answer.json
        if not isinstance(document, dict) or document.get("status") != "error":
            return None
        code, message = str(document.get("code", "")), str(document.get("message", ""))[:200]
        if code == "rateLimited" or answer.status == 429:
            return Refusal(code, message, "limited")
        if code.startswith("apiKey"):
            return Refusal(code, message, cure=f"see whether {_KEY} is a key that is in force")
        if answer.status >= 500:
            return Refusal(code, message, "busy")
        return Refusal(code, message)


def _queries(coins: Sequence[str]) -> Iterator[tuple[list[str], str]]:
    """The coins in groups whose queries are short enough."""
    group: list[str] = []
    for coin in coins:
        if group and len(_query([*group, coin])) > _LONGEST_QUERY:
            yield group, _query(group)
            group = []
        group.append(coin)
    if group:
        yield group, _query(group)


def _query(coins: Sequence[str]) -> str:
    words = (f'"{name}"' for coin in coins for name in coin_names(coin) or (f"{coin} crypto",))
    return " OR ".join(words)


def _post(row: Mapping[str, Any]) -> Post:
    title = text("news", row, "title", optional=True)
    description = text("news", row, "description", optional=True)
    address = text("news", row, "url")
    return Post(digest_id(address), time("news", row, "publishedAt"), f"{title}. {description}")


def _iso(moment: pd.Timestamp) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S")
