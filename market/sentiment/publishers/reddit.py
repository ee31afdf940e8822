"""Reddit: the newest posts of some subreddits, by OAuth of an app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import aiohttp
import pandas as pd

from brain.errors import InputError, PublisherRefusedError
from market.http.client import PUBLISHER, RetryPolicy, Service
from market.http.limits import Limit
from market.http.refusals import Answer, Refusal
from market.sentiment.posts import Post
from market.sentiment.publishers.base import Publisher, Slice, credential, rest_until
from market.sentiment.publishers.fields import number, records, text, time, value

__all__ = ["SUBREDDITS", "Reddit"]

SUBREDDITS = ("CryptoCurrency", "Bitcoin", "ethereum", "CryptoMarkets")

_LOGIN = "https://www.reddit.com"
_TOKEN_PATH = "api/v1/access_token"
_PAGE = 100
_ID, _SECRET = "REDDIT_CLIENT_ID", "REDDIT_CLIENT_SECRET"
_RESET, _REMAINING = "x-ratelimit-reset", "x-ratelimit-remaining"
# Of a token's life, which is left unused.
_MARGIN = 60.0


class Reddit(Publisher):
    """The newest posts, of which a listing ends after about a thousand.

    Args:
        base_url, timeout, retries: see :class:`market.sentiment.publishers.base.Publisher`.
        login_url: of the server that gives tokens.
        subreddits: whose posts.
    """

    name = "reddit"
    url = "https://oauth.reddit.com"
    limits = (Limit("requests", 60, 60.0),)
    credentials = (_ID, _SECRET)

    def __init__(
        self,
        base_url: str | None = None,
        *,
        login_url: str | None = None,
        timeout: float = 10.0,
        retries: RetryPolicy | None = None,
        subreddits: Sequence[str] = SUBREDDITS,
    ) -> None:
        if not subreddits:
            raise InputError("no subreddit is named; name some with the setting subreddits")
        super().__init__(base_url, timeout=timeout, retries=retries)
        login = replace(self.service, setting="reddit_login_url")
        self._login = self._client(login_url or _LOGIN, login)
        self._path = f"r/{'+'.join(subreddits)}/new"
        self._token, self._expires = "", 0.0

    @property
    def service(self) -> Service:
        # Reddit throttles clients that don't say who they are.
        agent = "python:brain-library:0.1 (market sentiment)"
        return Service(self.name, faults=PUBLISHER, user_agent=agent)

    async def close(self) -> None:
        await self.client.close()
        await self._login.close()

    async def slices(
        self, since: Mapping[str, pd.Timestamp], until: pd.Timestamp
    ) -> AsyncIterator[Slice]:
        """One slice; see the base class."""
        start = min(since.values())
        posts: list[Post] = []
        after: str | None = None
        note = ""
        while True:
            answer = await self._listing(after)
            rows = records(self.name, answer, "data", "children")
            page = [_post(row) for row in rows]
            posts += [post for post in page if post.time < until]
            after = value(self.name, answer, "data", "after", optional=True)
            if page and min(post.time for post in page) < start:
                break
            if after is None or not page:
                note = f"its list ends after {len(posts)} posts; collect more often"
                break
        # A post that comes while pages are turned moves another one to the next page.
        yield Slice(list({post.id: post for post in posts}.values()), list(since), note)

    async def _listing(self, after: str | None) -> Any:
        query: dict[str, str | int | None] = {"limit": _PAGE, "after": after, "raw_json": 1}
        for last in (False, True):
            try:
                return await self.client.get(
                    self._path,
                    query,
                    costs={"requests": 1},
                    headers={"Authorization": f"Bearer {await self._bearer()}"},
                )
            except PublisherRefusedError as error:
                if last or error.code != "HTTP 401":
                    raise
                self._token = ""  # it has expired early, or was withdrawn: one more is asked for
        raise AssertionError

    async def _bearer(self) -> str:
        clock = asyncio.get_running_loop().time
        if not self._token or clock() >= self._expires:
            user, secret = credential(self.name, _ID), credential(self.name, _SECRET)
            answer = await self._login.post(
                _TOKEN_PATH,
                {"grant_type": "client_credentials"},
                headers={"Authorization": aiohttp.encode_basic_auth(user, secret)},
            )
            self._token = text(self.name, answer, "access_token")
            self._expires = clock() + number(self.name, answer, "expires_in") - _MARGIN
        return self._token

    def refusal(self, answer: Answer) -> Refusal | None:
        if answer.status < 400:
            return None
        code, document = f"HTTP {answer.status}", answer.json
        message = str(document.get("message", ""))[:80] if isinstance(document, dict) else ""
        if answer.status == 429:
            return Refusal(code, message, "limited", _seconds(answer.headers))
        if answer.status in (401, 403):
            cure = f"see whether {_ID} and {_SECRET} are those of an app that Reddit has approved"
            return Refusal(code, message, cure=cure)
        if answer.status == 404:
            return Refusal(code, message, cure="correct the setting subreddits")
        return None

    def pause(self, headers: Mapping[str, str]) -> float:
        return rest_until(headers, _REMAINING, _seconds(headers))


def _seconds(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(headers.get(_RESET, "")))
    except ValueError:
        return 0.0


def _post(row: Mapping[str, Any]) -> Post:
    data = value("reddit", row, "data")
    body = text("reddit", data, "selftext", optional=True)
    title = text("reddit", data, "title")
    return Post(
        text("reddit", data, "name"), time("reddit", data, "created_utc"), f"{title}. {body}"
    )
