"""The OpenAPI document of the routes, of the types by which bodies are read and answers written."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from brain.naming import REGIMES
from serving.http.routes import ROUTES, Route
from serving.http.schemas import ErrorAnswer

__all__ = ["document"]

_REFERENCE = "#/components/schemas/{name}"
_JSON, _CSV, _TEXT = "application/json", "text/csv", "text/plain"
_OF_ALL = (400, 403, 500)
_OF_BODIES = (408, 411, 413, 415)
_PARAMETERS = {
    "symbol": "BTC-USDT, or BTC-USDT.1h.6 where there are several timeframes or horizons; "
    "BTC/USDT as BTC%2FUSDT",
    "regime": "Volatility of the bar",
}
_MODEL_HEADERS = {
    "X-Model-Version": "Model id of the version that predicted, BTC-USDT.1h.6/7",
    "X-Model-Digest": "Digest of the version's files",
}


def document() -> dict[str, Any]:
    """OpenAPI 3.1, JSON's values."""
    types = [one for route in ROUTES for one in (route.answer, route.body) if one is not None]
    schemas, components = msgspec.json.schema_components(
        [*types, ErrorAnswer], ref_template=_REFERENCE
    )
    of_types = dict(zip(map(id, [*types, ErrorAnswer]), schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, of_types)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hamilton",
            "version": _version(),
            "description": "Champions of (symbol, volatility regime), and decisions at bars' "
            "closes. Unknown is null.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _operation(route: Route, schemas: dict[int, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [_parameter(name, "path") for name in route.parameters],
        "responses": _responses(route, schemas),
    }
    if route.rows and not route.parameters:
        for place, name in (("query", "{}"), ("header", "X-{}")):
            operation["parameters"] += [
                _parameter(of, place, name.format(of.capitalize() if place == "header" else of))
                for of in _PARAMETERS
            ]
    if route.body is not None:
        content: dict[str, Any] = {_JSON: {"schema": schemas[id(route.body)]}}
        if route.rows:
            content[_CSV] = {"schema": {"type": "string", "description": "A line of names first"}}
        operation["requestBody"] = {"required": True, "content": content}
    if route.public:
        operation["security"] = []
    return operation


def _parameter(of: str, place: str, name: str = "") -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if of == "regime":
        schema["enum"] = [str(regime) for regime in REGIMES]
    return {
        "name": name or of,
        "in": place,
        "required": place == "path",
        "description": _PARAMETERS[of],
        "schema": schema,
    }


def _responses(route: Route, schemas: dict[int, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done"}
    if route.answer is None:
        done["content"] = {_TEXT: {"schema": {"type": "string"}}}
    else:
        done["content"] = {_JSON: {"schema": schemas[id(route.answer)]}}
    if route.rows or route.name in ("bar", "champion"):
        done["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in _MODEL_HEADERS.items()
        }
    error = {_JSON: {"schema": schemas[id(ErrorAnswer)]}}
    statuses = {*_OF_ALL, *route.errors, *(_OF_BODIES if route.body is not None else ())}
    statuses |= set() if route.public else {401}
    responses = {"200": done}
    for status in sorted(statuses):
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": error}
    if route.public:
        responses["503"] = {**done, "description": "Not ready"}
    return responses


def _version() -> str:
    try:
        return version("brain-library")
    except PackageNotFoundError:
        return "0"
