"""What persons decide: reviews with a name and a reason, overrides and reversals, and disputes that begin one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

from sealscore.clients.decision.policy.approved import ApprovedPolicies
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.register import SCHEMA, DecisionError, KeptDecision, Register
from sealscore.clients.decision.standing import LINE_FORM, approved_until
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.shared.text.foreign import plain

ReviewOutcome = Literal["approve", "decline"]
REVIEW, DISPUTE = "review", "dispute"
# What is typed where a name is asked for and nobody is to be named.
_NOBODY = {
    "nobody",
    "none",
    "null",
    "n/a",
    "na",
    "auto",
    "automatic",
    "system",
    "model",
    "anonymous",
    "unknown",
}
_LEAST_NAME, _LEAST_REASON, _MOST = 2, 10, 1000


@dataclass(frozen=True)
class PersonsWord:
    """Who decides what, and why. `amount` is what is approved; the amount that was asked for where it is None.

    Raises:
        DecisionError: nobody is named, or no reason.
    """

    reviewer: str
    outcome: ReviewOutcome
    reason: str = field(repr=False)
    amount: int | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not names_person(self.reviewer):
            raise DecisionError("reviewer", "a review needs the person who did it: a name or staff number")
        check_reason(self.reason)


def names_person(given: str) -> bool:
    """Whether a text may be the name or staff number of a person, and no word for nobody."""
    name = given.strip()
    letters = sum(one.isalnum() for one in name)
    return letters >= _LEAST_NAME and name.casefold() not in _NOBODY and plain(name, 80) == name


def check_reason(reason: str) -> None:
    """DecisionError where a reason says nothing."""
    if len(reason.split()) == 0 or not _LEAST_REASON <= len(reason.strip()) <= _MOST:
        raise DecisionError("reason", f"a reason has {_LEAST_REASON} to {_MOST} characters; say what was looked at")


class ReviewDesk:
    """Reviews and disputes of a lender, in its log of scores."""

    def __init__(self, log: ScoreLog, policies: ApprovedPolicies) -> None:
        self._log, self._policies = log, policies
        log.extend(SCHEMA)

    def waiting(self, queue: str | None = None, most: int = -1) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """What waits for a person, the most urgent first, and the counts of what persons decided.

        Of one queue, or of all; no more than `most`, where that is not negative. Each has the day since when, `since`.
        """
        with self._log.reading() as view:
            register = Register(view, self._log.keys)
            rows, counts = register.waiting(queue, most), register.counts()
            contents = {line.seq: line.content for line in self._log.lines([row.seq for row in rows])} if rows else {}
        return [_row(row, contents[row.seq]) for row in rows], counts

    def take(self, decision: str, word: PersonsWord, caller: str, today: date) -> dict[str, Any]:
        """A person decides what waits; gives what is in force now.

        An approval keeps to the limits of the decision, and to what the exposure leaves today. Of an approval that was
        disputed, another amount takes its place, and a decline leaves it as it was, which the line says (`stands`).

        Raises:
            DecisionError: it does not wait, the reviewer may not, or the amount is above a limit; of an approval also
                where the score is over, or the record locked since it waits.
            ScoreLogError: it cannot be logged.
        """
        with self._log.commit() as batch:
            register = Register(batch, self._log.keys)
            kept = register.decision(decision)
            content = self._content(kept)
            policy = self._policies.policies[content["policy"]]
            if kept.state != "waiting" or kept.queue is None:
                raise DecisionError("not-waiting", f"this decision is {kept.state}; only what waits can be taken")
            _check_last(register, kept)
            allowed = policy.queues[kept.queue].reviewers
            if allowed and word.reviewer.strip() not in allowed:
                raise DecisionError("reviewer", f"the policy names who reviews {kept.queue}: {', '.join(allowed)}")
            made = self._word(register, kept, content, word, today)
            made |= {"reviewer": word.reviewer.strip(), "reason": word.reason.strip(), "caller": caller}
            seq = batch.add(REVIEW, made, kept.person)
            in_force = decision if word.outcome == "approve" else (made["stands"] or {}).get("decision_id")
            register.move(decision, "approved" if in_force == decision else "declined")
            if word.outcome == "approve":
                if _disputed(kept):
                    register.release(kept.application)
                register.reserve(kept, made["amount"], made["valid_until"], str(today))
            elif in_force is not None:
                register.move(in_force, "approved")
            register.reviewed(seq, decision, word.outcome, made["override"], made["reversal"])
        shown = ("decision_id", "outcome", "amount", "valid_until", "override", "reversal", "stands")
        return {name: made[name] for name in shown}

    def _word(
        self, register: Register, kept: KeptDecision, content: Mapping[str, Any], word: PersonsWord, today: date
    ) -> dict[str, Any]:
        policy: DecisionPolicy = self._policies.policies[content["policy"]]
        day, approved = str(today), word.outcome == "approve"
        amount, until = 0, None
        if approved:
            score_until = self._score_until(register, kept, content, day)
            amount = self._amount(register, kept, content, word, policy, day)
            until = approved_until(policy, today, score_until)
        return {
            "form": LINE_FORM,
            "decision_id": kept.decision,
            "application_id": content["application_id"],
            "day": day,
            "outcome": word.outcome,
            "amount": amount,
            "valid_until": until,
            "override": approved and content["proposal"] == "decline-proposed",
            "reversal": approved and _disputed(kept),
            "stands": None if approved else self._stands(register, kept, day),
        }

    def _score_until(self, register: Register, kept: KeptDecision, content: Mapping[str, Any], day: str) -> str:
        """The last day of a decision's score, where it may be approved on it.

        Who withdrew is approved by nobody; but what was decided before can be put right.
        """
        reviewed = register.last_review(kept.decision)
        decided = content["state"] != "waiting" or (reviewed is not None and register.is_locked(reviewed, kept.person))
        if register.is_locked(kept.seq, kept.person) and not decided:
            what = "a consent was withdrawn since, and the record is locked; decline, or send a new application"
            raise DecisionError("withdrawn", what)
        score = self._log.find(content["score_id"])
        if score is None or score.content is None:
            raise DecisionError("erased", "the record of the score was erased; nothing can be approved on it")
        until = str(score.content["valid_until"])
        if until < day:
            what = "the score is over; decline, or send the application with a new as_of, as a new version"
            raise DecisionError("score-expired", what)
        return until

    def _stands(self, register: Register, kept: KeptDecision, day: str) -> dict[str, Any] | None:
        """What a decline leaves in force: decision and amount of an offer of the application, or of its loan."""
        if found := register.promise(kept.application, day):
            return {"decision_id": found[0], "amount": found[1]}
        if register.promised(kept.application, day):
            for one in reversed(register.decisions(kept.application)):
                if amount := offered(self._log, register, one):
                    return {"decision_id": one.decision, "amount": amount}
        return None

    def _amount(
        self,
        register: Register,
        kept: KeptDecision,
        content: Mapping[str, Any],
        word: PersonsWord,
        policy: DecisionPolicy,
        day: str,
    ) -> int:
        limits = policy.products[content["product"]].limits
        if content["limit"] is None:
            what = "what its limits need is missing; send the application again with it, as a new version"
            raise DecisionError("limit-unknown", what)
        left = limits.exposure - register.exposure(kept.person, day, kept.application)
        most = min(int(content["limit"]), left)
        amount = int(content["asked"]["amount"]) if word.amount is None else word.amount
        if not limits.smallest <= amount <= most:
            least = f"{limits.smallest} to {most}" if most >= limits.smallest else "nothing"
            raise DecisionError("above-limit", f"the limits leave {least} {policy.currency}; give --amount, or decline")
        return amount

    def dispute(self, decision: str, why: str, caller: str, today: date) -> dict[str, Any]:
        """An applicant objects: the decision goes to the queue of disputes; gives the queue and its day.

        What waits already stays where it is. An approval of less than was asked for stays promised meanwhile.

        Raises:
            DecisionError: all that was asked for is approved, or another version took its place.
        """
        check_reason(why)
        with self._log.commit() as batch:
            register = Register(batch, self._log.keys)
            kept = register.decision(decision)
            content = self._content(kept)
            policy = self._policies.policies[content["policy"]]
            _check_last(register, kept)
            if kept.state == "approved" and offered(self._log, register, kept) >= content["asked"]["amount"]:
                raise DecisionError("nothing-adverse", "what was asked for is approved; there is nothing to object to")
            queue = policy.notice.queue
            due = str(today + timedelta(days=policy.queues[queue].days))
            last = None if kept.noticed is None else objections_until(policy, date.fromisoformat(kept.noticed))
            late = last is not None and today > last
            made = {"decision_id": decision, "day": str(today), "why": why.strip(), "caller": caller, "late": late}
            batch.add(DISPUTE, made, kept.person)
            register.disputed(decision, str(today))
            if kept.state == "waiting":
                queue, due = str(kept.queue), str(kept.due)
            else:
                register.move(decision, "waiting", queue, due)
        return {"decision_id": decision, "queue": queue, "due": due, "late": late}

    def content(self, decision: str) -> tuple[KeptDecision, dict[str, Any]]:
        """A decision and what its line says; DecisionError where it cannot be read."""
        with self._log.reading() as view:
            kept = Register(view, self._log.keys).decision(decision)
            return kept, self._content(kept)

    def _content(self, kept: KeptDecision) -> dict[str, Any]:
        content = next(self._log.lines([kept.seq])).content
        if content is None:
            raise DecisionError("erased", "the record of this decision was erased; nothing can be done with it")
        return content


def offered(log: ScoreLog, register: Register, kept: KeptDecision) -> int:
    """What a decision approved, by a person or by itself; 0 where it did not, or its record was erased."""
    reviewed = register.last_review(kept.decision, "approve")
    content = next(log.lines([kept.seq if reviewed is None else reviewed])).content or {}
    return int(content["amount"]) if content and (reviewed is not None or content["state"] == "approved") else 0


def _check_last(register: Register, kept: KeptDecision) -> None:
    if kept.state == "superseded" or not register.is_last(kept):
        raise DecisionError("superseded", "a newer version took its place; use that one")


def _disputed(kept: KeptDecision) -> bool:
    return kept.disputes is not None or kept.disputed is not None


def aged(row: Mapping[str, Any], today: date) -> dict[str, Any]:
    """A row of what waits with how long it has, in days, and whether its day is over."""
    since = row.get("since")
    age = None if since is None else (today - date.fromisoformat(since)).days
    return {**row, "age_days": age, "overdue": row["due"] is not None and row["due"] < str(today)}


def objections_until(policy: DecisionPolicy, noticed: date) -> date:
    """The last day to object to what a notice said."""
    return noticed + timedelta(days=policy.notice.object_days)


def _row(kept: KeptDecision, content: Mapping[str, Any] | None) -> dict[str, Any]:
    if content is None:
        return {"decision_id": kept.decision, "queue": kept.queue, "due": kept.due, "proposal": "erased"}
    hits = [row[0] for row in content["rules"] if row[1]]
    asked = {"product": content["product"], "proposal": content["proposal"], "limit": content["limit"]}
    days = {"since": kept.disputed or content["day"], "due": kept.due}
    row = {"decision_id": kept.decision, "queue": kept.queue, **days, **asked, "hits": hits}
    # An earlier version was to be seen by a person, which this one may show no reason for.
    return row | ({"held": content["held"]["decision_id"]} if content.get("held") else {})
