"""The ASGI application: from a request's head to its route, from every fault to an answer."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from brain.errors import BrainError
from serving.http.answers import Answer, Header, Refusal, error_answer, status_of
from serving.http.guard import Guard
from serving.http.metrics import Metrics
from serving.http.requests import Receive, Request, Send, read_limited
from serving.http.routes import ROUTES, Route, Routes
from serving.http.service import Service

__all__ = ["Application"]

logger = logging.getLogger(__name__)

_LONGEST_PATH = 1024
# Of these a request has one: of two, a proxy and we may read different ones.
_ONCE = frozenset({b"host", b"authorization", b"content-type", b"content-length"})
_NO_ROUTE = "none"


class Application:
    """Hamilton over HTTP.

    Args:
        service: what the routes do.
        guard: who may ask.
        metrics: that count.
        most: bytes that a body may have.
    """

    def __init__(self, service: Service, guard: Guard, metrics: Metrics, most: int) -> None:
        self._guard, self._metrics, self._most = guard, metrics, most
        self._routes = Routes()
        self._handlers = {route.name: getattr(service, route.name) for route in ROUTES}

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request; events of other kinds have no answer."""
        if scope["type"] != "http":
            return
        begin = perf_counter()
        path = scope["raw_path"]
        methods, parameters = self._routes.find(path if len(path) <= _LONGEST_PATH else b"")
        route = methods.get("GET" if scope["method"] == "HEAD" else scope["method"])
        answer = await self._answer(route, methods, parameters, scope, receive)
        head = [
            (b"content-type", answer.kind),
            (b"content-length", b"%d" % len(answer.body)),
            *answer.headers,
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": head})
        await send({"type": "http.response.body", "body": answer.body})
        name = route.path if route is not None else _NO_ROUTE
        self._metrics.request(name, answer.status, perf_counter() - begin)

    async def _answer(
        self,
        route: Route | None,
        methods: Mapping[str, Route],
        parameters: tuple[str, ...],
        scope: Mapping[str, Any],
        receive: Receive,
    ) -> Answer:
        try:
            headers = _headers(scope["headers"])
            self._guard.check_host(headers)
            trusted = self._guard.bears_token(headers)
            if not trusted and (route is None or not route.public):
                raise self._guard.refusal()
            if route is None:
                raise _no_route(scope, methods)
            request = Request(headers, scope["query_string"], parameters, trusted)
            if route.body is not None:
                request.body = await read_limited(headers, receive, self._most)
            answer: Answer = await self._handlers[route.name](request)
        except Refusal as refusal:
            return refusal.answer()
        except BrainError as error:
            status = status_of(error)
            if status >= 500:
                logger.error("%s is not done: %s", route and route.path, error)
            return error_answer(status, str(error))
        except asyncio.CancelledError:  # in the end of all, see uvicorn's shutdown
            return error_answer(503, "the server ends before this is done; ask again later")
        except Exception:  # whatever it is, a caller gets an answer, and none of it
            logger.exception("%s failed", route and route.path)
            return error_answer(500, "the server failed at this request; its log says how")
        return answer


def _headers(given: Sequence[Header]) -> dict[bytes, bytes]:
    headers = dict(given)
    if len(headers) != len(given):
        for name, number in Counter(name for name, _ in given).items():
            if number > 1 and name in _ONCE:
                raise Refusal(400, f"the header {name.decode()} comes twice; send it once")
    return headers


def _no_route(scope: Mapping[str, Any], methods: Mapping[str, Route]) -> Refusal:
    if len(scope["raw_path"]) > _LONGEST_PATH:
        return Refusal(414, f"the path has more than {_LONGEST_PATH} characters; shorten it")
    if methods:
        allowed = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
        return Refusal(
            405, f"this path takes {allowed}; see /openapi.json", (b"allow", allowed.encode())
        )
    return Refusal(404, "there is no such path; see /openapi.json")
