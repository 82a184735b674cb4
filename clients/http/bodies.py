"""Bodies of requests as checked types: what is wrong with one is said without a word of it."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from sealscore.clients.http.problems import HttpProblem

_MOST_ERRORS = 20


class ApiBody(BaseModel):
    """A body that is taken strictly: no key more, and each of its type."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


BodyT = TypeVar("BodyT", bound=ApiBody)


def checked(model: type[BodyT], given: Any) -> BodyT:
    """The body as its type.

    Raises:
        HttpProblem: `malformed`; says which keys are wrong and how, and quotes nothing of the body.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        known = set(model.model_fields)
        # A key that is not known is the caller's own word, and may be anything.
        found = [
            f"{one['loc'][0]}: {_wrong(one['type'])}" if one["loc"] and one["loc"][0] in known else _wrong(one["type"])
            for one in error.errors(include_url=False, include_input=False, include_context=False)
        ]
    fix = "send the keys that /openapi.json describes, each of its type and within its length"
    raise HttpProblem(422, "malformed", "the body is not what this path takes", fix, sorted(set(found))[:_MOST_ERRORS])


_KINDS = {
    "missing": "is missing",
    "extra_forbidden": "a key that this path does not know",
    "string_too_short": "is too short",
    "string_too_long": "is too long",
    "too_long": "has too many entries",
    "string_pattern_mismatch": "has not the form that /openapi.json says",
    "literal_error": "is none of the values that /openapi.json lists",
    "greater_than_equal": "is below its least value",
    "less_than_equal": "is above its largest value",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "string_type": "must be text",
    "string_unicode": "must be text in whole characters",
    "model_type": "the body must be an object",
}


def _wrong(kind: str) -> str:
    return _KINDS.get(kind, "is not of its type")
