"""What the service's description says of bodies: the application by the live release's schema, answers and problems."""

from __future__ import annotations

from typing import Any

from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.serve.decisions.description import decision_examples, decision_schemas
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature
from sealscore.shared.serving.release import Release

MOST_IN_BATCH = 500
_TEXT = {"type": "string", "minLength": 1, "maxLength": 200}
_DAY = {"type": "string", "format": "date"}
_WHOLE = {"type": "integer", "minimum": 1}
_STATUSES = ["used", "none", "expired", "clock", "withdrawn", "other-person", "other-application", "other-release"]
_STATUSES += ["other-purpose", "unreadable"]

PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "fix"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "one of docs/errors.md"},
        "fix": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "string"}},
    },
}
REASON = {
    "type": "object",
    "required": ["code", "points", "en", "zh"],
    "properties": {
        "code": {"type": "string"},
        "points": {"type": "number"},
        "en": {"type": "string"},
        "zh": {"type": "string"},
    },
}
SIGNAL = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "kind": {"type": "string"},
        "platform": {"type": "string"},
        "status": {"enum": _STATUSES},
        "told": {"type": "object"},
    },
}
ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["score_id", "application_id", "version", "pd", "points", "band", "cutoff", "reasons", "signals"],
    "properties": {
        "score_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "application_id": _TEXT,
        "version": _WHOLE,
        "pd": {"type": "number", "minimum": 0, "maximum": 1},
        "points": {"type": "integer"},
        "band": {"enum": ["A", "B", "C", "D", "E"]},
        "cutoff": {"type": ["integer", "null"]},
        "reasons": {"type": "array", "maxItems": 4, "items": {"$ref": "#/components/schemas/Reason"}},
        "signals": {"type": "array", "items": {"$ref": "#/components/schemas/Signal"}},
        "valid_until": _DAY,
        "model": {
            "type": "object",
            "required": ["release", "role"],
            "properties": {"release": {"type": "string"}, "role": {"enum": ["champion", "fallback"]}},
        },
        "alarm": {"enum": ["score-shopping"]},
    },
}
REPLAYED: dict[str, Any] = {
    "type": "object",
    "required": ["score_id", "line", "at", "result"],
    "properties": {
        "score_id": {"type": "string"},
        "line": _WHOLE,
        "at": {"type": "string", "format": "date-time"},
        "result": {"enum": ["same", "differs", "erased", "no-release"]},
        "erased": {"type": "string", "description": "since when"},
    },
}

_RAW_TABLES = {
    "type": "object",
    "description": "rows by table, of one person, as docs/features.md names tables and columns",
    "additionalProperties": {"type": "array", "items": {"type": "object"}},
}
FEATURES_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["features", "flags"],
    "properties": {
        "features": {"type": "object", "description": "as POST /v1/scores takes them"},
        "flags": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["paper", "code", "reason_en", "reason_zh"],
                "properties": {name: {"type": "string"} for name in ("paper", "code", "reason_en", "reason_zh")},
            },
        },
    },
}


def schemas(release: Release | None, policy: DecisionPolicy | None) -> dict[str, Any]:
    """The schemas by name: features are those of the live release, own inputs of the live policy, if there is one."""
    one, application = {"$ref": "#/components/schemas/Application"}, _application(release)
    answers = {"type": "array", "items": {"$ref": "#/components/schemas/Answer"}}
    batch = {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_IN_BATCH}
    return {
        "Application": application,
        **decision_schemas(application, policy),
        "Batch": _closed({"applications": batch}),
        "Answer": ANSWER,
        "Answers": {"type": "object", "required": ["answers"], "properties": {"answers": answers}},
        "RawRows": _closed(
            {"application_id": _TEXT, "tables": _RAW_TABLES, "add": {"type": "boolean"}}, ["application_id", "tables"]
        ),
        "Features": FEATURES_ANSWER,
        "Reason": REASON,
        "Signal": SIGNAL,
        "Replayed": REPLAYED,
        "Problem": PROBLEM,
    }


def examples(release: Release | None, policy: DecisionPolicy | None) -> dict[str, Any]:
    """Invented bodies and answers by the names of their schemas."""
    one, answer = _example(release), _example_answer(release)
    features: dict[str, Any] = {} if release is None else _features(release)
    return {
        "Application": one,
        "Answer": answer,
        "Batch": {"applications": [one]},
        "Answers": {"answers": [answer]},
        "RawRows": _example_rows(),
        "Features": {"features": features, "flags": []},
        **decision_examples(one, policy),
    }


def _example(release: Release | None) -> dict[str, Any]:
    """An invented application, which the schema allows: the middle of each number, the first of the levels."""
    found: dict[str, Any] = {"application_id": "A-4711", "as_of": "2026-11-30", "person": "p00003"}
    found |= {"product": "starter", "purpose": "credit-decision" if release is None else _purpose(release)}
    return found | {"features": {} if release is None else _features(release), "tokens": []}


def _example_answer(release: Release | None) -> dict[str, Any]:
    """An answer of the form that there is, with invented figures."""
    return {
        "score_id": "5f0c3a9e7d1b4c2288e6f1a0b3c4d5e6",
        "application_id": "A-4711",
        "version": 1,
        "pd": 0.068,
        "points": 589,
        "band": "C",
        "cutoff": 575,
        "reasons": [],
        "signals": [],
        "valid_until": "2026-12-30",
        "model": {"release": "0" * 64 if release is None else release.hash, "role": "fallback"},
    }


def _example_rows() -> dict[str, Any]:
    """The least that asks about an applicant: a first application, of whom nothing else is known."""
    row: dict[str, Any] = {
        "application_id": "A-4711",
        "creator_id": "p00003",
        "product": "starter",
        "applied_at": "2026-11-30",
    }
    row |= {"amount": 8000, "term_months": 6, "currency": "CNY"}
    empty: dict[str, Any] = {name: [] for name in ("bureau", "repayments", "identity", "decisions")}
    return {"application_id": "A-4711", "tables": {"applications": [row]} | empty}


def _purpose(release: Release) -> str:
    return release.manifest.purpose_code


def _unprotected(release: Release) -> list[NumericFeature | CategoricalFeature]:
    table = release.plan.groups[release.plan.lenders].table
    return [feature for feature in table.features if not feature.protected]


def _features(release: Release) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for feature in _unprotected(release):
        if isinstance(feature, CategoricalFeature):
            found[feature.name] = feature.levels[0]
        else:
            middle = (feature.lower + feature.upper) / 2
            found[feature.name] = int(middle) if feature.integer else middle
    return found


def _application(release: Release | None) -> dict[str, Any]:
    token = {"type": "string", "pattern": "^[A-Za-z0-9_=-]*$", "maxLength": 21_848}
    purpose = _TEXT if release is None else {"const": _purpose(release)}
    given: dict[str, Any] = {"application_id": _TEXT, "as_of": _DAY, "person": _TEXT, "product": _TEXT}
    given |= {"purpose": purpose, "features": {"type": "object"}}
    if release is not None:
        wanted = _unprotected(release)
        required = [feature.name for feature in wanted if not feature.missing]
        given["features"] = _closed({feature.name: _value(feature) for feature in wanted}, required)
    given["tokens"] = {"type": "array", "maxItems": 16, "items": token}
    return _closed(given, ["application_id", "as_of", "person", "purpose", "features"])


def _value(feature: NumericFeature | CategoricalFeature) -> dict[str, Any]:
    if isinstance(feature, CategoricalFeature):
        if feature.other is not None:
            return {"type": ["string", "null"] if feature.missing else ["string"]}
        return {"enum": [*feature.levels, None] if feature.missing else list(feature.levels)}
    kind = "integer" if feature.integer else "number"
    found: dict[str, Any] = {"type": [kind, "null"] if feature.missing else kind}
    return found if feature.clip else found | {"minimum": feature.lower, "maximum": feature.upper}


def _closed(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    found = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | {"required": list(properties) if required is None else required}
