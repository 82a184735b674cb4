"""What cannot be answered, as problem documents: a code, the fix, and no value of an applicant."""

from __future__ import annotations

import math

from sealscore.clients.http.problems import HttpProblem
from sealscore.clients.scoring.application import ApplicationError
from sealscore.clients.scoring.score_log import ScoreLogError
from sealscore.clients.scoring.scorer import NoModel

_RETRY = {"retry-after": "5"}
_TITLES = {
    "malformed": "the application has not the form that it should have",
    "features": "the features are not those of the schema",
    "person": "the person's identifier has no normal form",
    "purpose": "the purpose is not that of the release",
    "two-tokens": "two tokens are of one platform",
    "clock": "a day of the application is after today",
    "withdrawn": "the record of this application is locked or erased",
    "release-expired": "the live release is over, or not yet in force",
}
_OURS = {"release-expired": 503, "withdrawn": 409}


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
