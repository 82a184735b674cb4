"""The API's own description (OpenAPI 3.1), made of the types that bodies are checked by."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import models_json_schema

from sealscore.clients.http.problems import PROBLEM_TYPE
from sealscore.clients.platform_api.app import ROUTES, Route
from sealscore.clients.platform_api.refusals import CODES

_PLACE = "#/components/schemas/{model}"
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457, with our code and the fix; docs/errors.md lists the codes.",
    "required": ["type", "title", "status", "code", "fix"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "fix": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "string"}},
    },
}


def description(version: str) -> bytes:
    """The document as it is sent."""
    models = {model for route in ROUTES for model in (route.body, route.answer) if model is not None}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schema = models_json_schema([(model, "validation") for model in ordered], ref_template=_PLACE)
    info = {
        "title": "Sealscore: a platform's API",
        "version": version,
        "description": "For the platform's own back end. Codes of refusals: " + ", ".join(sorted(CODES)),
    }
    bearer = {"type": "http", "scheme": "bearer"}
    document = {
        "openapi": "3.1.0",
        "info": info,
        "paths": {route.path: {route.method.lower(): _operation(route)} for route in ROUTES},
        "components": {"schemas": {**schema["$defs"], "Problem": _PROBLEM}, "securitySchemes": {"caller": bearer}},
    }
    return json.dumps(document, ensure_ascii=False, sort_keys=True).encode()


def _operation(route: Route) -> dict[str, Any]:
    problem = {"description": "A problem document", "content": {PROBLEM_TYPE: {"schema": _ref("Problem")}}}
    answer: dict[str, Any] = {"type": "object"} if route.answer is None else _ref(route.answer.__name__)
    good = {"description": "Done", "content": {"application/json": {"schema": answer}}}
    found: dict[str, Any] = {"summary": route.what, "responses": {"200": good, "4XX": problem, "5XX": problem}}
    if route.right is not None:
        found |= {"security": [{"caller": []}], "x-right": route.right}
    if route.body is not None:
        content = {"application/json": {"schema": _ref(route.body.__name__)}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _PLACE.format(model=name)}
