"""A path of the scorer: who answers it, who may ask, and what its description says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sealscore.clients.http.exchange import Receive, Scope, Send
from sealscore.clients.http.problems import PROBLEM_TYPE

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
BODY_CODES = (400, 408, 409, 413, 415, 422, 429, 503)


@dataclass(frozen=True)
class ScorerRoute:
    """`rights` are those of which a caller needs one, none where anybody may ask; `asked` and `answered` name schemas.

    `parameters` are those of OpenAPI, of path and query. `direct` is for paths whose microseconds count: they skip the
    routing, and have no part that varies.
    """

    method: str
    path: str
    handler: Handler
    what: str
    rights: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    asked: str | None = None
    answered: str | None = None
    parameters: tuple[dict[str, Any], ...] = ()
    kind: str | None = None
    direct: bool = False

    def described(self, examples: dict[str, Any]) -> dict[str, Any]:
        """What OpenAPI says of it; `examples` of bodies are by the names of their schemas."""
        content: Any = {"application/json": {"schema": {"type": "object"}}}
        if self.answered is not None:
            content = json_body(self.answered, examples.get(self.answered))
        elif self.kind is not None:
            content = {self.kind: {"schema": {"type": "string"}}}
        codes = (*self.codes, *((401, 403) if self.rights else ()))
        found: dict[str, Any] = {
            "responses": {"200": {"description": self.what, "content": content}} | problems(*codes)
        }
        if self.rights:
            found |= {"security": [{"token": []}], "x-rights": list(self.rights)}
        if self.parameters:
            found["parameters"] = list(self.parameters)
        if self.asked is not None:
            found["requestBody"] = {"required": True, "content": json_body(self.asked, examples.get(self.asked))}
        return found


def in_path(name: str, pattern: str | None = None) -> dict[str, Any]:
    """A parameter in the path."""
    schema = {"type": "string"} | ({} if pattern is None else {"pattern": pattern})
    return {"name": name, "in": "path", "required": True, "schema": schema}


def in_query(name: str, schema: dict[str, Any], what: str) -> dict[str, Any]:
    """A parameter after the question mark."""
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": what}


def json_body(name: str, example: Any = None) -> dict[str, Any]:
    """The content of a body in JSON by the name of its schema."""
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    return {"application/json": content | ({} if example is None else {"example": example})}


def problems(*statuses: int) -> dict[str, Any]:
    """The answers that are problem documents."""
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(status): {"description": "a problem document", "content": content} for status in sorted(statuses)}
