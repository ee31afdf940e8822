"""Publishers on loopback, as strict as the real ones: credentials, paging, ranges and limits.

Shapes are those of the publishers' documentation: X API v2 recent search, Reddit's OAuth and
listings, NewsAPI's /v2/everything, alternative.me's /fng/, RSS 2.0 and Atom.
"""

from __future__ import annotations

import asyncio
import base64
import html
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime, formatdate
from types import TracebackType
from typing import Any, Self

import pandas as pd
from aiohttp import web

__all__ = ["SECRETS", "Article", "PublisherServer", "Seen"]

#: The credentials that the server takes, by their variables.
SECRETS = {
    "X_BEARER_TOKEN": "xb-9f27c1d4e8a05b36",
    "REDDIT_CLIENT_ID": "rd-id-55aa",
    "REDDIT_CLIENT_SECRET": "rd-secret-7c2e91f0ab",
    "NEWS_API_KEY": "nw-4be1d70c93f2",
}
_AGENTS = ("brain-library", "python", "aiohttp")


@dataclass(frozen=True)
class Article:
    """Something published."""

    id: str
    time: pd.Timestamp
    text: str


@dataclass(frozen=True)
class Seen:
    """A request and its answer's status."""

    publisher: str
    path: str
    query: Mapping[str, str]
    status: int


@dataclass
class _Window:
    """Requests that are left until a moment, by the wall clock."""

    budget: int
    seconds: float
    used: int = 0
    until: float = 0.0

    def take(self) -> bool:
        now = time.time()
        if now >= self.until:
            self.used, self.until = 0, now + self.seconds
        self.used += 1
        return self.used <= self.budget

    @property
    def left(self) -> int:
        return max(0, self.budget - self.used)


@dataclass
class PublisherServer:
    """All publishers behind one port; a context manager.

    Attributes:
        articles: of each publisher.
        index: values of the Fear & Greed index by day.
        windows: rate limits, by publisher; generous by default.
        most: articles of a search that a free key of the news API gets.
        fault: an answer instead of the publisher's own, from publisher and path; None: its own.
        seen: the requests, in order.
    """

    articles: dict[str, list[Article]] = field(default_factory=dict)
    index: dict[pd.Timestamp, float] = field(default_factory=dict)
    windows: dict[str, _Window] = field(default_factory=dict)
    most: int = 10_000
    fault: Callable[[str, str], web.Response | None] | None = None
    seen: list[Seen] = field(default_factory=list)
    url: str = ""
    _tokens: set[str] = field(default_factory=set)

    def limit(self, publisher: str, budget: int, seconds: float) -> None:
        self.windows[publisher] = _Window(budget, seconds)

    def settings(self) -> dict[str, str]:
        """Overrides of the settings that lead here."""
        return {
            "x_url": f"{self.url}/x",
            "reddit_url": f"{self.url}/reddit",
            "reddit_login_url": f"{self.url}/login",
            "news_url": f"{self.url}/news",
            "fear_greed_url": f"{self.url}/index",
            "feeds": f"{self.url}/feeds/rss?key=fd-2277,{self.url}/feeds/old",
        }

    def withdraw_tokens(self) -> None:
        """Reddit's tokens so far are of no use any more."""
        self._tokens.clear()

    # --- the server -------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(30)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> str:
        app = web.Application()
        app.router.add_route("*", "/{publisher}/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _handle(self, request: web.Request) -> web.Response:
        publisher, path = request.match_info["publisher"], request.match_info["path"]
        answer = self.fault(publisher, path) if self.fault else None
        if answer is None:
            handlers = {
                "x": self._x,
                "reddit": self._reddit,
                "news": self._news,
                "index": self._fear_greed,
                "feeds": self._feed,
            }
            if publisher == "login":
                answer = self._login(request, await request.post())
            else:
                answer = handlers[publisher](request, path)
        answer.headers.setdefault("Date", formatdate(usegmt=True))
        self.seen.append(Seen(publisher, path, dict(request.query), answer.status))
        return answer

    def _taken(self, publisher: str) -> tuple[bool, _Window]:
        window = self.windows.setdefault(publisher, _Window(1000, 900.0))
        return window.take(), window

    # --- X ----------------------------------------------------------------------------------------

    def _x(self, request: web.Request, path: str) -> web.Response:
        if path != "2/tweets/search/recent":
            return _json({"title": "Not Found", "status": 404}, 404)
        if request.headers.get("Authorization") != f"Bearer {SECRETS['X_BEARER_TOKEN']}":
            return _json({"title": "Unauthorized", "type": "about:blank", "status": 401}, 401)
        taken, window = self._taken("x")
        limits = {
            "x-rate-limit-limit": str(window.budget),
            "x-rate-limit-remaining": str(window.left),
            "x-rate-limit-reset": str(int(window.until) + 1),
        }
        if not taken:  # X sends no Retry-After
            body = {"title": "Too Many Requests", "detail": "Too Many Requests", "status": 429}
            return _json(body, 429, limits)
        query = request.query
        now = pd.Timestamp.now("UTC")
        start, end = pd.Timestamp(query["start_time"]), pd.Timestamp(query["end_time"])
        size = int(query.get("max_results", "10"))
        bad = (
            not 10 <= size <= 100
            or len(query["query"]) > 512
            or not now - pd.Timedelta(days=7) <= start < end <= now - pd.Timedelta(seconds=10)
        )
        if bad:
            return _json({"title": "Invalid Request", "type": "invalid-request"}, 400, limits)
        words = query["query"].partition(")")[0].lstrip("(").split(" OR ")
        found = [
            a
            for a in self._newest("x", start, end)
            if any(word.strip('"#').lower() in a.text.lower() for word in words)
        ]
        first = int(query.get("next_token", "t0")[1:])
        page = found[first : first + size]
        meta: dict[str, Any] = {"result_count": len(page)}
        if first + size < len(found):
            meta["next_token"] = f"t{first + size}"
        body = {"meta": meta}
        if page:
            body["data"] = [
                {
                    "id": a.id,
                    "text": a.text,
                    "created_at": a.time.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                }
                for a in page
            ]
        return _json(body, 200, limits)

    # --- Reddit -----------------------------------------------------------------------------------

    def _login(self, request: web.Request, form: Mapping[str, Any]) -> web.Response:
        pair = f"{SECRETS['REDDIT_CLIENT_ID']}:{SECRETS['REDDIT_CLIENT_SECRET']}"
        basic = f"Basic {base64.b64encode(pair.encode()).decode()}"
        if request.method != "POST" or request.headers.get("Authorization") != basic:
            return _json({"message": "Unauthorized", "error": 401}, 401)
        if form.get("grant_type") != "client_credentials":
            return _json({"error": "unsupported_grant_type"}, 400)
        token = f"tk-{len(self.seen)}-{time.time_ns()}"
        self._tokens.add(token)
        return _json({"access_token": token, "token_type": "bearer", "expires_in": 86400})

    def _reddit(self, request: web.Request, path: str) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self._tokens:
            return _json({"message": "Unauthorized", "error": 401}, 401)
        if request.headers.get("User-Agent", "").partition("/")[0].lower() in _AGENTS:
            return _json({"message": "Too Many Requests", "error": 429}, 429)
        taken, window = self._taken("reddit")
        limits = {
            "x-ratelimit-used": str(window.used),
            "x-ratelimit-remaining": f"{window.left}.0",
            "x-ratelimit-reset": str(max(1, round(window.until - time.time()))),
        }
        if not taken:
            return _json({"message": "Too Many Requests", "error": 429}, 429, limits)
        if not path.startswith("r/") or not path.endswith("/new"):
            return _json({"message": "Not Found", "error": 404}, 404, limits)
        size = min(100, int(request.query.get("limit", "25")))
        # A listing ends after a thousand posts.
        found = self._newest("reddit")[:1000]
        names = [a.id for a in found]
        after = request.query.get("after")
        first = names.index(after) + 1 if after in names else 0
        page = found[first : first + size]
        children = [
            {
                "kind": "t3",
                "data": {
                    "name": a.id,
                    "title": a.text,
                    "selftext": "",
                    "created_utc": a.time.timestamp(),
                },
            }
            for a in page
        ]
        last = page[-1].id if page and first + size < len(found) else None
        return _json(
            {"kind": "Listing", "data": {"after": last, "children": children}}, 200, limits
        )

    # --- the news API -----------------------------------------------------------------------------

    def _news(self, request: web.Request, path: str) -> web.Response:
        key = request.headers.get("X-Api-Key")
        if key != SECRETS["NEWS_API_KEY"]:
            code = "apiKeyInvalid" if key else "apiKeyMissing"
            return _json({"status": "error", "code": code, "message": "Your API key is…"}, 401)
        taken, window = self._taken("news")
        if not taken:
            reset = {"Retry-After": str(max(1, round(window.until - time.time())))}
            body = {"status": "error", "code": "rateLimited", "message": "You made too many…"}
            return _json(body, 429, reset)
        query = request.query
        size, page = int(query.get("pageSize", "100")), int(query.get("page", "1"))
        if len(query["q"]) > 500 or not 1 <= size <= 100:
            return _json({"status": "error", "code": "parameterInvalid", "message": ""}, 400)
        if (page - 1) * size >= self.most:
            body = {"status": "error", "code": "maximumResultsReached", "message": "You have…"}
            return _json(body, 426)
        start, end = (pd.Timestamp(query[name], tz="UTC") for name in ("from", "to"))
        words = [word.strip('"').lower() for word in query["q"].split(" OR ")]
        found = [
            a
            for a in self._newest("news", start, end)
            if any(word in a.text.lower() for word in words)
        ]
        articles = [
            {
                "source": {"id": None, "name": "Somebody"},
                "title": a.text,
                "description": None,
                "url": a.id,
                "publishedAt": a.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            for a in found[(page - 1) * size : page * size]
        ]
        return _json({"status": "ok", "totalResults": len(found), "articles": articles})

    # --- the index and feeds ----------------------------------------------------------------------

    def _fear_greed(self, request: web.Request, path: str) -> web.Response:
        days = sorted(self.index.items(), reverse=True)[: int(request.query["limit"])]
        data = [
            {
                "value": f"{value:.0f}",
                "value_classification": "Fear",
                "timestamp": str(int(day.timestamp())),
            }
            for day, value in days
        ]
        body = {"name": "Fear and Greed Index", "data": data, "metadata": {"error": None}}
        return _json(body)

    def _feed(self, request: web.Request, path: str) -> web.Response:
        if path == "old":
            return web.Response(status=301, headers={"Location": "/feeds/atom"})
        entries = self._newest(f"feeds/{path}")
        if path == "rss":
            items = "".join(
                f"<item><guid isPermaLink='false'>{html.escape(a.id)}</guid>"
                f"<title>{html.escape(a.text)}</title>"
                f"<pubDate>{format_datetime(a.time.to_pydatetime())}</pubDate></item>"
                for a in entries
            )
            body = f"<rss version='2.0'><channel><title>News</title>{items}</channel></rss>"
            return web.Response(text=body, content_type="application/rss+xml")
        items = "".join(
            f"<entry><id>{html.escape(a.id)}</id><title>{html.escape(a.text)}</title>"
            f"<updated>{a.time.isoformat()}</updated></entry>"
            for a in entries
        )
        body = f"<feed xmlns='http://www.w3.org/2005/Atom'><title>News</title>{items}</feed>"
        return web.Response(text=body, content_type="application/atom+xml")

    def _newest(
        self,
        publisher: str,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
    ) -> list[Article]:
        found = [
            a
            for a in self.articles.get(publisher, [])
            if (start is None or a.time >= start) and (end is None or a.time < end)
        ]
        return sorted(found, key=lambda a: a.time, reverse=True)


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        text=json.dumps(body), status=status, headers=headers, content_type="application/json"
    )
