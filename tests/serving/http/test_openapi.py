"""The OpenAPI document: valid, and true of every route's bodies and answers."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from serving.http.openapi import document
from serving.http.routes import ROUTES
from tests.serving.desk import Models
from tests.serving.http.served import NEW, PATH, Served, bar_body, dataset, null, serving

DOCUMENT = document()


def validator(schema: Any) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def closed(schema: Any) -> Any:
    """A schema whose objects have no fields but those that it names."""
    if isinstance(schema, dict):
        more = {name: closed(part) for name, part in schema.items()}
        if "properties" in schema:
            more["additionalProperties"] = False
        return more
    return [closed(part) for part in schema] if isinstance(schema, list) else schema


def test_the_document_is_valid_and_complete(served: Served) -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    assert served.get("/openapi.json").json == DOCUMENT
    for route in ROUTES:
        operation = DOCUMENT["paths"][route.path][route.method.lower()]
        assert operation["summary"] == route.summary
        assert {"200", "400", "403", "500"} <= set(operation["responses"])
        assert ("401" in operation["responses"]) is not route.public
    assert sum(len(path) for path in DOCUMENT["paths"].values()) == len(ROUTES)


ROW = dict(zip(dataset().names, map(null, dataset().features[-1].tolist()), strict=True))
BODIES: dict[str, Any] = {
    "/invocations": {"inputs": ROW},
    "/champions/{symbol}/{regime}/predict": {"dataframe_records": [ROW]},
    "/bars/{symbol}": bar_body(NEW[0]),
    "/bars/{symbol}/warm-up": {name: [value] for name, value in bar_body(NEW[0]).items()},
    "/rows/{symbol}": {
        "kind": "funding", "exchange": "binance", "time": "2019-06-28T00:00:00Z",
        "available": NEW[0].close_time, "values": {"rate": 0.0001, "interval_hours": 8},
    },
}  # fmt: skip


@pytest.mark.parametrize("path", [route.path for route in ROUTES if route.path != "/metrics"])
def test_each_answer_is_as_the_document_says(path: str, models: Models) -> None:
    (route,) = (route for route in ROUTES if route.path == path)
    operation = closed(DOCUMENT["paths"][path][route.method.lower()])
    with serving(models, invocations=(PATH, "low")) as served:
        where = path.replace("{symbol}", PATH).replace("{regime}", "normal")
        answer = served.ask(route.method, where, BODIES.get(path))
        assert answer.status == 200, answer.body
        content = operation["responses"]["200"]["content"]["application/json"]["schema"]
        closed_components = {"components": closed(DOCUMENT["components"])}
        Draft202012Validator({**content, **closed_components}).validate(answer.json)
        if route.body is not None:
            body = operation["requestBody"]["content"]["application/json"]["schema"]
            validator(body).validate(BODIES[path])
            wrong = {**BODIES[path], "another": 1}
            assert not validator(body).is_valid(wrong)
            refused = served.ask(route.method, where, wrong)
            assert refused.status == 400
            error = operation["responses"]["400"]["content"]["application/json"]["schema"]
            Draft202012Validator({**error, **closed_components}).validate(refused.json)
        named = operation["responses"]["200"].get("headers", {})
        for name in named:
            assert name.lower() in answer.headers or path == "/bars/{symbol}"
