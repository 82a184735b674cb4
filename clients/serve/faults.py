"""What cannot be answered, as problem documents: a code, the fix, and no value of an applicant."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sealscore.clients.decision.policy.approved import NoPolicy
from sealscore.clients.decision.register import DecisionError
from sealscore.clients.http.problems import HttpProblem
from sealscore.clients.scoring.application import ApplicationError
from sealscore.clients.scoring.score_log import ScoreLogError
from sealscore.clients.scoring.scorer import NoModel
from sealscore.shared.plan.errors import PlanError

_RETRY = {"retry-after": "5"}
REFUSALS = (ApplicationError, NoModel, DecisionError, NoPolicy, PlanError, HttpProblem)
"""What a request can be refused for; anything else is a fault of ours."""
_TITLES = {
    "malformed": "the application has not the form that it should have",
    "features": "the features are not those of the schema",
    "person": "the person's identifier has no normal form",
    "purpose": "the purpose is not that of the release",
    "two-tokens": "two tokens are of one platform",
    "product": "the live policy has no such product",
    "inputs": "the amount, the term or an own input is none that the policy takes",
    "clock": "a day of the application is after today",
    "withdrawn": "the record of this application is locked or erased",
    "release-expired": "the live release is over, or not yet in force",
}
_OURS = {"release-expired": 503, "withdrawn": 409}


# Status, what is wrong, and the fix. Messages of the commands may name amounts, which stay out of here.
_DECISIONS: Mapping[str, tuple[int, str, str]] = {
    "unknown": (
        404,
        "there is no such decision",
        "give the `decision_id` of an answer; GET /v1/reviews has what waits",
    ),
    "erased": (409, "the record of this decision was erased", "nothing can be done with it; send a new application"),
    "withdrawn": (409, "a consent was withdrawn, and the record is locked", "decline, or send a new application"),
    "score-expired": (409, "the score is over", "send the application with a new as_of, which is a new version"),
    "approval-over": (409, "this approval is over", "send the application with a new as_of, which is a new version"),
    "approved-before": (
        409,
        "the application has an approval in force, or a loan that came of one",
        "start its loan, or wait until the approval is over",
    ),
    "not-waiting": (409, "this decision waits for nobody", "GET /v1/decisions/{decision_id} says what became of it"),
    "superseded": (409, "a newer version took its place", "use that one: GET /v1/reviews, or the answer to it"),
    "other-application": (
        422,
        "the corrected application is another one than the decision's",
        "send it with the decision's application_id",
    ),
    "reviewer": (
        422,
        "a review needs a person whom the policy lets review this queue",
        "give the name or staff number of who decided",
    ),
    "reason": (422, "a reason has 10 to 1000 characters", "say what was looked at"),
    "limit-unknown": (
        409,
        "what its limits need is missing",
        "send the application again with it, as a new version",
    ),
    "above-limit": (
        409,
        "the amount is not within what the limits and today's exposure leave",
        "approve another amount, or decline",
    ),
    "not-decided": (409, "a person has not decided yet", "POST /v1/decisions/{decision_id}/review first"),
    "nothing-adverse": (409, "all that was asked for is approved", "there is nothing to object to, and no notice"),
    "no-reasons": (409, "no reason is on record that lowered the decision", "write this notice by hand"),
    "loan": (
        409,
        "a loan of this id is open already, or none is",
        "see the id; where the same was sent before, it is done",
    ),
    "not-approved": (409, "the decision has no approval in force", "see whether its loan started; else decide anew"),
    "too-much": (409, "the principal is above what was approved", "lend that or less"),
    "person": (422, "the identifier has no normal form", "correct it"),
}


def refusal(error: Exception) -> HttpProblem:
    """The problem document of one of `REFUSALS`."""
    if isinstance(error, HttpProblem):
        return error
    if isinstance(error, ApplicationError):
        return refused(error)
    if isinstance(error, DecisionError):
        return decision_refused(error)
    return no_model(error) if isinstance(error, NoModel) else no_policy()


def decision_refused(error: DecisionError) -> HttpProblem:
    """What cannot be done with a decision or a loan."""
    status, title, fix = _DECISIONS[error.code]
    return HttpProblem(status, error.code, title, fix)


def no_policy() -> HttpProblem:
    """No policy is live, or the log has one that this version cannot read."""
    fix = "at the lender: sealscore-node policy approve FILE; the next request is decided by it"
    return HttpProblem(503, "no-policy", "no policy is live that can decide", fix, headers=_RETRY)


def refused(error: ApplicationError) -> HttpProblem:
    """An application that cannot be scored. Of a batch, the place in it is the caller's to find by the lines."""
    status = _OURS.get(error.code, 422)
    fix = "correct what `errors` lists, and send it again"
    if error.code == "release-expired":
        fix = "at the lender: sealscore-node release use NAME with a release that is in force"
    if error.code == "withdrawn":
        fix = "send a new application, with an id of its own"
    title = _TITLES.get(error.code, "the application cannot be scored")
    return HttpProblem(status, error.code, title, fix, error.answerable, _RETRY if status == 503 else None)


def no_model(error: NoModel) -> HttpProblem:
    """No model of the release may answer."""
    return HttpProblem(422, "no-model", "no model of the release may answer for this application", str(error))


def no_release(why: str) -> HttpProblem:
    """There is no release to score by, or it cannot be used; `why` has the place and the fix, for the log alone."""
    fix = "at the lender: sealscore-node release use NAME; the service's log says what is wrong"
    return HttpProblem(503, "no-release", "no release is live that can be used", fix, headers=_RETRY)


def no_index() -> HttpProblem:
    """What other applicants used cannot be asked, so no flag that compares them would be true."""
    fix = "at the lender: sealscore-node applicant index TABLES; the service's log says what is wrong"
    return HttpProblem(503, "no-index", "there is no index of used numbers to ask", fix, headers=_RETRY)


def not_logged(error: ScoreLogError) -> HttpProblem:
    """Answers could not be committed, so none of them left."""
    fix = "see the service's log, and that the disk has room; then send it again: nothing was answered or lost"
    return HttpProblem(503, "log", "the log of scores cannot be written", fix, headers=_RETRY)


def unconfirmed() -> HttpProblem:
    """What was asked is done, but the log's head could not be kept after it, so no answer left."""
    fix = (
        "see the service's log, and that the disk has room; an application can be sent again as it is; of a review, an "
        "objection or a loan, GET /v1/decisions/{decision_id} says what is in force"
    )
    return HttpProblem(503, "unconfirmed", "it is done, and cannot be confirmed", fix, headers=_RETRY)


def clock_behind() -> HttpProblem:
    """The machine's clock is behind the log."""
    fix = "set the machine's clock; nothing was answered, and the service's log has both times"
    return HttpProblem(503, "clock-behind", "the service's clock is behind its own log", fix, headers=_RETRY)


def log_ahead(seconds: float) -> HttpProblem:
    """The log's last line is of a time to come, in so many seconds, by a clock that has said nothing else."""
    fix = (
        "set the machine's clock if it is wrong; if it is right, the last line was written by one that was ahead, and "
        "scoring goes on by itself after Retry-After, in seconds; the service's log has both times"
    )
    headers = {"retry-after": str(max(1, math.ceil(seconds)))}
    return HttpProblem(503, "log-ahead", "the log's last line is of a time to come", fix, headers=headers)


def clock_ahead() -> HttpProblem:
    """The machine's clock went ahead by more than the time that passed."""
    fix = "set the machine's clock, or restart the service if it is right now; the service's log has both times"
    return HttpProblem(503, "clock-ahead", "the service's clock went ahead of the time", fix, headers=_RETRY)


def stopping() -> HttpProblem:
    """The service ends."""
    return HttpProblem(503, "stopping", "the service is being stopped", "send it again in a moment", headers=_RETRY)
