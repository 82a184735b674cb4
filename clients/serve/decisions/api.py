"""The paths of decisions. Who asks is checked first: who has no right learns nothing of what there is."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Literal
from urllib.parse import parse_qsl

import msgspec

from sealscore.clients.decision.register import DecisionError
from sealscore.clients.http.bodies import checked
from sealscore.clients.http.exchange import Receive, Scope, Send, read_json, send_json
from sealscore.clients.http.problems import HttpProblem
from sealscore.clients.http.rates import LimitedCallers
from sealscore.clients.serve.decisions import works
from sealscore.clients.serve.decisions.bodies import (
    DECISION_ID,
    CloseLoanBody,
    DisputeBody,
    OpenLoanBody,
    ReviewBody,
)
from sealscore.clients.serve.decisions.reader import DecisionReader
from sealscore.clients.serve.faults import refusal
from sealscore.clients.serve.routes import BODY_CODES, ScorerRoute, in_path, in_query
from sealscore.clients.serve.work import Work

DECIDE, REVIEW, NOTICE, LOANS = "decide", "review", "notice", "loans"
DECISION_RIGHTS = (DECIDE, REVIEW, NOTICE, LOANS)
DECISIONS, ONE = "/v1/decisions", "/v1/decisions/{decision_id}"
MOST_BYTES = 2**20
_QUEUE, _LANG = "queue", "lang"
_QUEUES = {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,62}$"}


class DecisionApi:
    """Answers about decisions. `ask` is that of the committer."""

    def __init__(
        self, ask: Callable[[Work], Awaitable[bytes]], reader: DecisionReader, callers: LimitedCallers
    ) -> None:
        self._ask, self._reader, self._callers = ask, reader, callers

    def routes(self) -> list[ScorerRoute]:
        """All of them."""
        of, codes = (in_path("decision_id", DECISION_ID),), (404, *BODY_CODES)
        lang = in_query(_LANG, {"enum": ["zh", "en"]}, "zh, unless it says en")
        queue = in_query(_QUEUE, _QUEUES, "what waits in this queue alone")
        return [
            ScorerRoute("POST", DECISIONS, self._decide, "Score and decide one application", (DECIDE,), BODY_CODES,
                        "LoanApplication", "Decision", direct=True),
            ScorerRoute("GET", ONE, self._decision, "A decision, and what became of it", (DECIDE, REVIEW),
                        (404, 409, 422, 429, 503), None, "DecisionNow", of),
            ScorerRoute("POST", f"{ONE}/review", self._review, "A person decides what waits", (REVIEW,), codes,
                        "ReviewBody", "Reviewed", of),
            ScorerRoute("GET", "/v1/reviews", self._waiting, "What waits for a person, the most urgent first",
                        (REVIEW,), (422, 429, 503), None, "Waiting", (queue,)),
            ScorerRoute("GET", f"{ONE}/notice", self._notice, "The notice of a decision; the first starts its clock",
                        (NOTICE,), (404, 409, 422, 429, 503), None, "Notice", (*of, lang)),
            ScorerRoute("POST", f"{ONE}/dispute", self._dispute, "An applicant objects", (NOTICE,), codes,
                        "DisputeBody", "Disputed", of),
            ScorerRoute("POST", "/v1/loans", self._open, "A loan starts", (LOANS,), codes, "OpenLoanBody", "Loan"),
            ScorerRoute("POST", "/v1/loans:close", self._close, "A loan is over", (LOANS,), codes, "CloseLoanBody",
                        "Loan"),
        ]  # fmt: skip

    async def _decide(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._callers.check(scope, DECIDE)
        body = await read_json(scope, receive, MOST_BYTES)
        await send_json(send, await self._ask(works.deciding(body, _named(caller.name))))

    async def _decision(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._callers.check(scope, DECIDE, REVIEW)
        _asked(scope)
        found = await self._reader.decision(_id(scope), REVIEW in caller.rights)
        await send_json(send, msgspec.json.encode(found))

    async def _review(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._callers.check(scope, REVIEW)
        body = checked(ReviewBody, await read_json(scope, receive, MOST_BYTES))
        word = (body.outcome, body.reviewer, body.reason, body.amount)
        await send_json(send, await self._ask(works.reviewing(_id(scope), *word, _named(caller.name))))

    async def _waiting(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._callers.check(scope, REVIEW)
        queue = _asked(scope, _QUEUE).get(_QUEUE)
        if queue is not None and not re.fullmatch(_QUEUES["pattern"], queue):
            raise _wrong_query(_QUEUE)
        await send_json(send, msgspec.json.encode(await self._reader.waiting(queue)))

    async def _notice(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._callers.check(scope, NOTICE)
        given = _asked(scope, _LANG).get(_LANG, "zh")
        if given not in ("zh", "en"):
            raise _wrong_query(_LANG)
        lang: Literal["zh", "en"] = "en" if given == "en" else "zh"
        await send_json(send, await self._ask(works.noticing(_id(scope), lang, _named(caller.name))))

    async def _dispute(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._callers.check(scope, NOTICE)
        body = checked(DisputeBody, await read_json(scope, receive, MOST_BYTES))
        if body.application is not None:
            caller.require(DECIDE)
        asked = works.disputing(_id(scope), body.why, body.application, _named(caller.name))
        await send_json(send, await self._ask(asked))

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._callers.check(scope, LOANS)
        body = checked(OpenLoanBody, await read_json(scope, receive, MOST_BYTES))
        if (body.decision_id is None) == (body.person is None):
            fix = "send decision_id, or person for a loan that came of no decision here"
            raise HttpProblem(422, "malformed", "the body names both a decision and a person, or neither", fix)
        asked = works.opening(body.loan_id, body.principal, body.decision_id, body.person)
        await send_json(send, await self._ask(asked))

    async def _close(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._callers.check(scope, LOANS)
        body = checked(CloseLoanBody, await read_json(scope, receive, MOST_BYTES))
        await send_json(send, await self._ask(works.closing(body.loan_id)))


def _named(caller: str) -> str:
    """How a line of the log names a caller."""
    return f"caller {caller}"


def _id(scope: Scope) -> str:
    """The decision that a path names; one that is no id is like one that there is not."""
    found = str(scope["path_params"]["decision_id"])
    if not re.fullmatch(DECISION_ID, found):
        raise refusal(DecisionError("unknown", ""))
    return found


def _asked(scope: Scope, *known: str) -> dict[str, str]:
    """What stands after the question mark: names that are known, each once."""
    text = scope["query_string"].decode("latin-1")
    # One field more than there are names is one too many, and of more nobody needs to know.
    pairs = parse_qsl("&".join(text.split("&", len(known) + 1)[: len(known) + 1]), keep_blank_values=True)
    found = dict(pairs)
    if text.count("&") > len(known) or len(found) != len(pairs) or not found.keys() <= set(known):
        raise _wrong_query(*known)
    return found


def _wrong_query(*known: str) -> HttpProblem:
    fix = f"give {' and '.join(known)} as /openapi.json says, each once" if known else "leave out what is after the ?"
    return HttpProblem(422, "malformed", "what stands after the ? of the path is none that it takes", fix)
