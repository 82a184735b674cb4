"""What the service's description says of decisions: bodies by the live policy's products, answers, and examples."""

from __future__ import annotations

from typing import Any, get_args

from pydantic.json_schema import models_json_schema

from sealscore.clients.decision.evaluation import REPORT_KEYS, ProposalKind
from sealscore.clients.decision.policy.model import DecisionPolicy, PolicyInput, PolicyProduct
from sealscore.clients.decision.register import DecisionState
from sealscore.clients.decision.service import LOCKED_NAMES
from sealscore.clients.serve.decisions.bodies import BODIES, DECISION_ID

_ID = {"type": "string", "pattern": DECISION_ID}
_DAY = {"type": "string", "format": "date"}
_DAY_OR_NONE = {"type": ["string", "null"], "format": "date"}
_NAME_OR_NONE = {"type": ["string", "null"]}
_MONEY = {"type": "integer", "minimum": 0}
_STATES = list(get_args(DecisionState))
_EXAMPLE_ID = "a8af56c524befb889c16cb55b70df8ee"

_RULE = {
    "type": "object",
    "required": list(REPORT_KEYS),
    "properties": {"id": {"type": "string"}, "hit": {"type": "boolean"}, "effect": {"type": "string"}},
}
_DECISION_REASON = {
    "type": "object",
    "required": ["source", "code", "en", "zh"],
    "properties": {
        "source": {"enum": ["input", "rule", "score", "limit"]},
        **{name: {"type": "string"} for name in ("code", "en", "zh")},
    },
}
_SCORE = {
    "type": "object",
    "required": ["pd", "points", "role"],
    "properties": {"pd": {"type": "number"}, "points": {"type": "integer"}, "role": {"type": "string"}},
}
_DECISION: dict[str, Any] = {
    "decision_id": _ID,
    "application_id": {"type": "string"},
    "version": {"type": "integer", "minimum": 1},
    "score_id": _ID,
    "score": _SCORE,
    "product": {"type": "string"},
    "proposal": {"enum": list(get_args(ProposalKind))},
    "state": {"enum": _STATES},
    "amount": _MONEY,
    "limit": {"type": ["integer", "null"]},
    "annual_rate": {"type": "number"},
    "valid_until": _DAY,
    "queue": _NAME_OR_NONE,
    "due": _DAY_OR_NONE,
    "term_months": {"type": "integer"},
    "random": {"type": ["object", "null"]},
    "reasons": {"type": "array", "items": _DECISION_REASON},
    "rules": {"type": "array", "items": _RULE},
    "policy": {
        "type": "object",
        "required": ["name", "hash"],
        "properties": {"name": {"type": "string"}, "hash": {"type": "string"}},
    },
}
_NOW = {
    "reserved": _MONEY,
    "review": {"type": "object", "description": "what a person decided last: outcome, amount, valid_until, day"},
    "noticed": _DAY,
    "object_until": _DAY,
    "disputed": _DAY,
    "locked": {"const": True, "description": "a consent was withdrawn since, and the record is locked"},
}
_REVIEWED: dict[str, Any] = {
    "decision_id": _ID,
    "outcome": {"enum": ["approve", "decline"]},
    "amount": _MONEY,
    "valid_until": _DAY_OR_NONE,
    "override": {"type": "boolean"},
    "reversal": {"type": "boolean"},
    "stands": {"type": ["object", "null"], "description": "what a decline leaves in force: decision and amount"},
}
_ROW: dict[str, Any] = {
    "decision_id": _ID,
    "queue": {"type": "string"},
    "since": _DAY,
    "due": _DAY_OR_NONE,
    "age_days": {"type": ["integer", "null"]},
    "overdue": {"type": "boolean"},
    "product": {"type": "string"},
    "proposal": {"type": "string"},
    "limit": {"type": ["integer", "null"]},
    "hits": {"type": "array", "items": {"type": "string"}},
    "held": _ID,
}
_WAITING: dict[str, Any] = {
    "waiting": {"type": "array", "items": {"$ref": "#/components/schemas/WaitingRow"}},
    "queues": {"type": "object", "description": "how many wait in each queue, and how many of them are over their day"},
    **{name: {"type": "integer", "minimum": 0} for name in ("taken", "overrides", "reversals")},
}
_NOTICE = {"decision_id": _ID, "language": {"enum": ["zh", "en"]}, "text": {"type": "string"}}
_DISPUTED = {"decision_id": _ID, "queue": {"type": "string"}, "due": _DAY, "late": {"type": "boolean"}}
_LOAN = {"loan_id": {"type": "string"}, "state": {"enum": ["open", "closed"]}}


def decision_schemas(application: dict[str, Any], policy: DecisionPolicy | None) -> dict[str, Any]:
    """The schemas by name; `application` is that of a score, to which a product, an amount and inputs come."""
    _, models = models_json_schema(
        [(body, "validation") for body in BODIES], ref_template="#/components/schemas/{model}"
    )
    return {
        **models["$defs"],
        "LoanApplication": _loan_application(application, policy),
        "Decision": _open(_DECISION),
        "DecisionNow": {
            "anyOf": [
                _open(_DECISION | _NOW, [*_DECISION, "reserved"]),
                _open({name: _DECISION[name] for name in LOCKED_NAMES} | _NOW, [*LOCKED_NAMES, "reserved", "locked"]),
            ]
        },
        "Reviewed": _open(_REVIEWED),
        "Waiting": _open(_WAITING),
        "WaitingRow": _open(_ROW, ["decision_id", "queue", "due", "age_days", "overdue", "proposal"]),
        "Notice": _open(_NOTICE),
        "Disputed": _open(_DISPUTED | {"decision": {"$ref": "#/components/schemas/Decision"}}, list(_DISPUTED)),
        "Loan": _open(_LOAN | {"principal": _MONEY}, list(_LOAN)),
    }


def decision_examples(application: dict[str, Any], policy: DecisionPolicy | None) -> dict[str, Any]:
    """Invented bodies and answers of the form that there is, by the names of their schemas."""
    name, product = ("starter", None) if policy is None else next(iter(policy.products.items()))
    decision = {
        "decision_id": _EXAMPLE_ID,
        "application_id": application["application_id"],
        "version": 1,
        "score_id": "5f0c3a9e7d1b4c2288e6f1a0b3c4d5e6",
        "score": {"pd": 0.068, "points": 589, "role": "fallback"},
        "product": name,
        "proposal": "review",
        "state": "waiting",
        "amount": 0,
        "limit": 8500,
        "annual_rate": 0.12,
        "valid_until": "2026-12-14",
        "queue": "general",
        "due": "2026-12-02",
        "term_months": 12,
        "random": None,
        "reasons": [],
        "rules": [],
        "policy": {"name": "retail 1", "hash": "0" * 64 if policy is None else policy.hash},
    }
    reviewed = {"outcome": "approve", "amount": 6000, "valid_until": "2026-12-14"}
    row = {name: decision[name] for name in ("decision_id", "queue", "due", "product", "proposal", "limit")}
    row |= {"since": "2026-11-30", "age_days": 0, "overdue": False, "hits": ["score.review"]}
    counts = {"taken": 0, "overrides": 0, "reversals": 0}
    return {
        "LoanApplication": _example_application(application, name, product),
        "Decision": decision,
        "DecisionNow": decision | {"state": "approved", "queue": None, "due": None, "reserved": 6000}
        | {"review": reviewed | {"day": "2026-11-30"}},
        "ReviewBody": {"outcome": "approve", "amount": 6000, "reviewer": "staff 17", "reason": "papers were seen"},
        "Reviewed": {"decision_id": _EXAMPLE_ID, **reviewed, "override": False, "reversal": False, "stands": None},
        "Waiting": {"waiting": [row], "queues": {"general": {"waiting": 1, "overdue": 0}}, **counts},
        "Notice": {"decision_id": _EXAMPLE_ID, "language": "en", "text": "Example Lender\n..."},
        "DisputeBody": {"why": "my income was misread"},
        "Disputed": {"decision_id": _EXAMPLE_ID, "queue": "disputes", "due": "2026-12-10", "late": False},
        "OpenLoanBody": {"loan_id": "L-1", "principal": 6000, "decision_id": _EXAMPLE_ID},
        "CloseLoanBody": {"loan_id": "L-1"},
        "Loan": {"loan_id": "L-1", "state": "open", "principal": 6000},
    }  # fmt: skip


def _loan_application(application: dict[str, Any], policy: DecisionPolicy | None) -> dict[str, Any]:
    """An application by the products of a policy, of which it names one."""
    if policy is None:
        return _asking(application, {"type": "string"}, {"type": "integer", "minimum": 1}, {"type": "integer"}, {})
    kinds = []
    for name, product in policy.products.items():
        amount = {"type": "integer", "minimum": product.limits.smallest, "maximum": 10**12}
        inputs = {key: _value(one) for key, one in product.inputs.items()}
        own = {"properties": inputs, "additionalProperties": False}
        kinds.append(_asking(application, {"const": name}, amount, {"enum": list(product.limits.terms)}, own))
    return {"oneOf": kinds}


def _asking(
    application: dict[str, Any], product: dict[str, Any], amount: dict[str, Any], term: dict[str, Any],
    inputs: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    own = {"product": product, "amount": amount, "term_months": term, "inputs": {"type": "object", **inputs}}
    required = dict.fromkeys([*application["required"], *own])
    return {**application, "properties": application["properties"] | own, "required": list(required)}


def _value(one: PolicyInput) -> dict[str, Any]:
    """An input; null is no value, which a policy has a rule for."""
    if one.kind == "yes-no":
        return {"type": ["boolean", "null"]}
    if one.kind == "choice":
        return {"enum": [*one.levels, None]}
    kind = "integer" if one.kind == "count" else "number"
    return {"type": [kind, "null"], "minimum": one.lower, "maximum": one.upper}


def _example_application(application: dict[str, Any], name: str, product: PolicyProduct | None) -> dict[str, Any]:
    amount, term, inputs = 8000, 12, {}
    if product is not None:
        amount, term = product.limits.smallest, product.limits.terms[0]
        inputs = {key: _example_value(one) for key, one in product.inputs.items()}
    return application | {"product": name, "amount": amount, "term_months": term, "inputs": inputs}


def _example_value(one: PolicyInput) -> Any:
    if one.kind == "yes-no":
        return True
    return one.levels[0] if one.kind == "choice" else one.lower


def _open(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required or list(properties)}
