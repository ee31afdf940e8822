"""The routes: what is asked by which method and path, and what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from serving.http import schemas

__all__ = ["ROUTES", "Route", "Routes"]


@dataclass(frozen=True)
class Route:
    """A route.

    Attributes:
        method: of HTTP; ``GET`` is ``HEAD`` too.
        path: its template; a name in braces is a parameter.
        name: of the function of :class:`serving.http.service.Service`.
        summary: what it does.
        answer: type of the answer; None is text of another form.
        body: type of the body; None for none.
        rows: whether the body is rows for a champion, which may also be CSV.
        public: whether it is answered without a token.
        errors: statuses that it may have beside those of all routes.
    """

    method: str
    path: str
    name: str
    summary: str
    answer: Any
    body: Any = None
    rows: bool = False
    public: bool = False
    errors: Sequence[int] = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the path's parameters."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


_OF_ROWS: dict[str, Any] = {
    "answer": schemas.PredictionsAnswer,
    "body": schemas.ScoringBody,
    "rows": True,
    "errors": (404, 429, 503),
}

ROUTES = (
    Route(
        "POST",
        "/invocations",
        "invocations",
        "Predictions of the champion that is named, or of the only one, as MLflow's server",
        **_OF_ROWS,
    ),
    Route(
        "GET",
        "/champions",
        "champions",
        "All champions that are served",
        schemas.ChampionsAnswer,
        errors=(429,),
    ),
    Route(
        "GET",
        "/champions/{symbol}/{regime}",
        "champion",
        "The champion of a cell, with the names of its inputs",
        schemas.ChampionAnswer,
        errors=(404, 503),
    ),
    Route(
        "POST",
        "/champions/{symbol}/{regime}/predict",
        "predict",
        "Predictions of a cell's champion, one a row",
        **_OF_ROWS,
    ),
    Route(
        "POST",
        "/bars/{symbol}",
        "bar",
        "The decision at a bar's close",
        schemas.DecisionAnswer,
        schemas.BarBody,
        errors=(404, 429, 503),
    ),
    Route(
        "POST",
        "/bars/{symbol}/warm-up",
        "warm_up",
        "Give bars on which nothing is to be decided",
        schemas.WarmUpAnswer,
        schemas.WarmUpBody,
        errors=(404, 429, 503),
    ),
    Route(
        "POST",
        "/rows/{symbol}",
        "row",
        "Give funding, open interest, a model's own columns or a fill",
        schemas.RowAnswer,
        schemas.RowBody,
        errors=(404, 429, 503),
    ),
    Route(
        "GET",
        "/health",
        "health",
        "Whether decisions are made; by which versions, to whoever bears a token",
        schemas.HealthAnswer,
        public=True,
    ),
    Route("GET", "/metrics", "metrics", "Metrics in Prometheus' text format", None, errors=(429,)),
    Route("GET", "/openapi.json", "openapi", "This document", dict[str, Any]),
)


class Routes:
    """Finds the routes of a path.

    Args:
        routes: all of them.
    """

    def __init__(self, routes: Sequence[Route] = ROUTES) -> None:
        self._by_length: dict[int, list[tuple[list[str | None], dict[str, Route]]]] = {}
        by_path: dict[str, dict[str, Route]] = {}
        for route in routes:
            by_path.setdefault(route.path, {})[route.method] = route
        for path, methods in by_path.items():
            parts = [None if part.startswith("{") else part for part in path.split("/")]
            self._by_length.setdefault(len(parts), []).append((parts, methods))
        self.find = lru_cache(maxsize=1024)(self._find)

    def _find(self, path: bytes) -> tuple[dict[str, Route], tuple[str, ...]]:
        """The routes of a path by method, none if there are none, and the path's parameters.

        Args:
            path: as it came: a ``/`` that is part of a parameter is ``%2F``.
        """
        given = path.decode("ascii", "replace").split("/")
        for parts, methods in self._by_length.get(len(given), ()):
            if all(part in (None, word) for part, word in zip(parts, given, strict=True)):
                words = zip(parts, given, strict=True)
                return methods, tuple(unquote(word) for part, word in words if part is None)
        return {}, ()
