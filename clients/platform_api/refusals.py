"""What is refused, as problem documents: a status, a code of docs/errors.md and the fix, and nothing of a person."""

from __future__ import annotations

from sealscore.clients.http.problems import HttpProblem
from sealscore.clients.scoring.tokens import NoToken

_APPROVED = "see GET /v1/releases, and what the operator approved"
_REFUSALS: dict[str, tuple[int, str, str]] = {
    "release": (404, "no such release is live here", _APPROVED),
    "release-expired": (409, "today is none of the release's days", "use a release that is valid today"),
    "lender": (422, "that lender is none of the release's", _APPROVED),
    "kind": (422, "the release does not tell a kind that the consent names", _APPROVED),
    "retraining": (
        422,
        "the release names no purpose of retraining, so no consent to it counts",
        "ask without `retraining`, or under a release that names one",
    ),
    "no-token": (
        404,
        "there is no token of this creator for that lender by this key under this release",
        "POST /v1/consents first, and name its key",
    ),
    "quarters": (422, "more quarters than the release allows", "ask for fewer"),
    "malformed": (422, "text, language or key is not of its form", "see /openapi.json"),
    "person": (422, "the identifier has no normal form in this data set", "correct it"),
    "no-record": (404, "there is no record of this creator in today's data", "see that the data have the creator"),
    "no-consent": (
        403,
        "there is no live consent for this lender and purpose",
        "have the creator agree, and the consent where the node reads it; after a withdrawal, on a later day",
    ),
    "withdrawn": (409, "this consent was withdrawn", "a new consent needs a new key"),
    "key-used": (409, "this key was used for another consent", "choose a new key"),
    "day-full": (429, "all tokens of the day for this lender are given", "ask again tomorrow, in UTC"),
    "ceiling": (
        409,
        "a ceiling of what may be told of this creator is reached",
        "tell the creator: POST /v1/told shows what was told; another month may have room",
    ),
    "no-key": (
        503,
        "there is no serving key of this lender for this month",
        "have the operator take it: sealscore-node serving-key take",
    ),
    "clock": (503, "the ledger has a later day than the clock", "set the clock of the node's machine"),
}
CODES = frozenset(_REFUSALS)


def refusal(error: NoToken) -> HttpProblem:
    """The problem document of a token, or of an answer, that is refused."""
    status, title, fix = _REFUSALS[error.code]
    headers = {"retry-after": "3600"} if status == 429 else {}
    return HttpProblem(status, error.code, title, fix, headers=headers)


def unavailable() -> HttpProblem:
    """Ledger or store cannot be used at the moment: why stands in the service's log."""
    fix = "ask again; the service's log says why, and what the operator can do"
    return HttpProblem(503, "unavailable", "nothing can be charged or read now", fix, headers={"retry-after": "5"})


def not_ready() -> HttpProblem:
    """No release is live, or its data cannot be read."""
    fix = "see the service's log: a release must be approved, and the data readable"
    return HttpProblem(503, "not-ready", "no token can be made under any release", fix)
