"""What requests about decisions ask of the scorer's thread: each is what the command of that name does."""

from __future__ import annotations

from datetime import date
from typing import Any

from sealscore.clients.decision.notice import Language
from sealscore.clients.decision.reviews import PersonsWord, ReviewOutcome
from sealscore.clients.scoring.service import ScoreService
from sealscore.clients.serve.faults import no_release
from sealscore.clients.serve.live import LiveDecisions, LiveRelease
from sealscore.clients.serve.work import Labels, Step, Work
from sealscore.shared.plan.settings import Form


def deciding(application: Any, caller: str) -> Work:
    """Score an application and decide it."""

    def begin(live: LiveRelease, decisions: LiveDecisions, today: date) -> Step:
        scores, form = _scores(live)
        return lambda batch: decisions.service(scores, form).decide(application, caller, today)

    return Work(begin, counted=_decided)


def reviewing(
    decision: str, outcome: ReviewOutcome, reviewer: str, reason: str, amount: int | None, caller: str
) -> Work:
    """A person decides what waits."""

    def begin(live: LiveRelease, decisions: LiveDecisions, today: date) -> Step:
        word = PersonsWord(reviewer, outcome, reason, amount)
        return lambda batch: decisions.desk.take(decision, word, caller, today)

    return Work(begin, counted=lambda made: ("reviews", (("outcome", made["outcome"]),)))


def noticing(decision: str, language: Language, caller: str) -> Work:
    """Give a notice; the first one starts its clock."""

    def begin(live: LiveRelease, decisions: LiveDecisions, today: date) -> Step:
        def give(batch: object) -> dict[str, str]:
            text = decisions.notices.give(decision, language, caller, today)
            return {"decision_id": decision, "language": language, "text": text}

        return give

    return Work(begin)


def disputing(decision: str, why: str, corrected: Any, caller: str) -> Work:
    """An applicant objects; what was corrected, if anything, is scored as a new version in the same commit."""

    def begin(live: LiveRelease, decisions: LiveDecisions, today: date) -> Step:
        if corrected is None:
            return lambda batch: decisions.desk.dispute(decision, why, caller, today)
        scores, form = _scores(live)

        def dispute(batch: object) -> dict[str, Any]:
            service = decisions.service(scores, form)
            told, made = service.dispute(decisions.desk, decision, why, corrected, caller, today)
            return told | {"decision": made}

        return dispute

    return Work(begin, counted=lambda made: ("disputes", ()))


def opening(loan: str, principal: int, decision: str | None, person: str | None) -> Work:
    """A loan starts: by an approval, or of a person without one."""

    def begin(live: LiveRelease, decisions: LiveDecisions, today: date) -> Step:
        form: Form = "exact" if person is None else _scores(live)[1]

        def open_it(batch: object) -> dict[str, Any]:
            book = decisions.loans(form)
            if decision is not None:
                book.start(loan, decision, principal, today)
            else:
                book.open(loan, str(person), principal, today)
            return {"loan_id": loan, "state": "open", "principal": principal}

        return open_it

    return Work(begin)


def closing(loan: str) -> Work:
    """A loan is over."""

    def begin(live: LiveRelease, decisions: LiveDecisions, today: date) -> Step:
        def close(batch: object) -> dict[str, str]:
            decisions.loans().close(loan, today)
            return {"loan_id": loan, "state": "closed"}

        return close

    return Work(begin)


def _scores(live: LiveRelease) -> tuple[ScoreService, Form]:
    """The live release's scores, and the normal form of persons in them."""
    scores = live.service()
    if live.release is None:
        raise no_release("")
    return scores, live.release.plan.alignment.identifier


def _decided(answer: Any) -> tuple[str, Labels]:
    return "decisions", (("proposal", answer["proposal"]), ("state", answer["state"]))
