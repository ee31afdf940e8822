"""X: the recent search of its API v2, which keeps posts of seven days and bills each one read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from market.http.client import RetryPolicy
from market.http.limits import Limit
from market.http.refusals import Answer, Refusal
from market.sentiment.coins import coin_names
from market.sentiment.posts import Post
from market.sentiment.publishers.base import (
    Publisher,
    Slice,
    credential,
    rest_until,
    seconds_until,
)
from market.sentiment.publishers.fields import records, text, time, value

__all__ = ["X"]

_SEARCH = "2/tweets/search/recent"
_PAGE = 100
_LEAST = 10
_HOUR = pd.Timedelta(hours=1)
# The search is not complete before that.
_DELAY = pd.Timedelta(seconds=30)
_TOKEN = "X_BEARER_TOKEN"
_RESET, _REMAINING = "x-rate-limit-reset", "x-rate-limit-remaining"


class X(Publisher):
    """Posts by hour, of each hour and coin the newest.

    Args:
        base_url, timeout, retries: see :class:`market.sentiment.publishers.base.Publisher`.
        posts_an_hour: of each coin that are read at most; what an hour has more is left out.
    """

    name = "x"
    url = "https://api.x.com"
    limits = (Limit("search", 450, 900.0),)
    credentials = (_TOKEN,)
    # A minute less than what it refuses.
    reach = pd.Timedelta(days=7) - pd.Timedelta(minutes=1)
    # What arrives late counts in few bars, and each post is paid for.
    first = pd.Timedelta(days=1)

    def __init__(
        self,
        base_url: str | None = None,
        *,
        timeout: float = 10.0,
        retries: RetryPolicy | None = None,
        posts_an_hour: int = _PAGE,
    ) -> None:
        super().__init__(base_url, timeout=timeout, retries=retries)
        self._posts_an_hour = posts_an_hour

    async def slices(
        self, since: Mapping[str, pd.Timestamp], until: pd.Timestamp
    ) -> AsyncIterator[Slice]:
        """A slice an hour and coin; see the base class."""
        token = credential(self.name, _TOKEN)
        # It takes whole seconds, and none of no length.
        until = min(until, pd.Timestamp.now("UTC") - _DELAY).floor("s")
        for coin, first in since.items():
            start = first
            while start < until:
                end = min(start.floor("h") + _HOUR, until)
                part = await self._hour(token, coin, start, end)
                yield replace(part, last=end >= until)
                start = end

    async def _hour(self, token: str, coin: str, start: pd.Timestamp, end: pd.Timestamp) -> Slice:
        posts: list[Post] = []
        page: str | None = None
        while True:
            answer = await self.client.get(
                _SEARCH,
                {
                    "query": _query(coin),
                    "start_time": _iso(start),
                    "end_time": _iso(end),
                    "max_results": max(_LEAST, min(_PAGE, self._posts_an_hour - len(posts))),
                    "tweet.fields": "created_at",
                    "next_token": page,
                },
                costs={"search": 1},
                headers={"Authorization": f"Bearer {token}"},
            )
            rows = records(self.name, answer, "data", optional=True)
            posts += [_post(row) for row in rows]
            page = value(self.name, answer, "meta", "next_token", optional=True)
            if page is None or not rows:
                return Slice(posts, [coin])
            if len(posts) >= self._posts_an_hour:
                return Slice(posts, [coin], f"of busy hours the newest {self._posts_an_hour} posts")

    def refusal(self, answer: Answer) -> Refusal | None:
        if answer.status < 400:
            return None
        document = answer.json if isinstance(answer.json, dict) else {}
        message = f"{document.get('title', '')}"[:80]
        code = f"HTTP {answer.status}"
        if answer.status == 429:
            return Refusal(code, message, "limited", seconds_until(answer.headers, _RESET))
        if answer.status in (401, 403):
            cure = f"see whether {_TOKEN} is an app's bearer token with access to the search"
            return Refusal(code, message, cure=cure)
        if answer.status == 402:
            return Refusal(code, message, cure="buy credits in X's developer console")
        return None

    def pause(self, headers: Mapping[str, str]) -> float:
        return rest_until(headers, _REMAINING, seconds_until(headers, _RESET))


def _query(coin: str) -> str:
    words = [*(f'"{name}"' if " " in name else name for name in coin_names(coin)), f"#{coin}"]
    return f"({' OR '.join(words)}) lang:en -is:retweet"


def _post(row: Mapping[str, Any]) -> Post:
    return Post(text("x", row, "id"), time("x", row, "created_at"), text("x", row, "text"))


def _iso(moment: pd.Timestamp) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
