"""The notice of a decision that is less than what was asked for: its specific reasons, how to object, until when.

The wording is plain and makes no claim about any law; whether it suffices is counsel's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from sealscore.clients.decision.policy.approved import ApprovedPolicies
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.register import DecisionError, Register
from sealscore.clients.decision.reviews import REVIEW, ReviewDesk, objections_until, offered
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.shared.text.catalogue import speaking, tr

Language = Literal["zh", "en"]
NOTICE = "notice"


class Notices:
    """Gives notices of decisions; the first of each starts its clock, and is a line of the log."""

    def __init__(self, log: ScoreLog, policies: ApprovedPolicies) -> None:
        self._log, self._policies = log, policies
        self._desk = ReviewDesk(log, policies)

    def give(self, decision: str, language: Language, caller: str, today: date) -> str:
        """The notice's text. Asked again, it has the same last day to object.

        Raises:
            DecisionError: a person has not decided yet, or what was asked for was approved whole.
            ScoreLogError: it cannot be logged; nothing was given.
        """
        kept, content = self._desk.content(decision)
        policy = self._policies.policies[content["policy"]]
        if kept.state == "waiting":
            raise DecisionError("not-decided", "a person has to decide first: sealscore-node review take")
        if kept.state == "superseded":
            raise DecisionError("superseded", "a newer version took its place; give notice of that one")
        reviewed = self._reviewed(decision)
        amount = self._in_force(decision, reviewed)
        if amount >= content["asked"]["amount"]:
            raise DecisionError("nothing-adverse", "what was asked for is approved; there is nothing to object to")
        reasons = self._reasons(content, reviewed, language)
        if not reasons:
            raise DecisionError("no-reasons", "no reason is on record that lowered it; write this notice by hand")
        first = date.fromisoformat(kept.noticed) if kept.noticed else today
        until = objections_until(policy, first)
        with self._log.commit() as batch:
            Register(batch, self._log.keys).noticed(decision, str(first))
            said = {"decision_id": decision, "day": str(today), "language": language, "until": str(until)}
            batch.add(NOTICE, said | {"caller": caller}, kept.person)
        return _text(policy, content, reviewed, amount, reasons, language, until)

    def _reasons(self, content: Mapping[str, Any], reviewed: Mapping[str, Any] | None, language: Language) -> list[str]:
        found = content
        while not found["reasons"] and found.get("held"):
            # It waited for what an earlier version showed.
            found = self._desk.content(found["held"]["decision_id"])[1]
        reasons = specific_reasons(found, language)
        if not reasons and reviewed is not None and (stands := reviewed.get("stands")):
            # What was corrected lowered nothing; the offer that is left has the reasons why it is less.
            reasons = specific_reasons(self._desk.content(stands["decision_id"])[1], language)
        return reasons

    def _in_force(self, decision: str, reviewed: Mapping[str, Any] | None) -> int:
        """The amount that is approved: also by an earlier version, where a person declined more and left that."""
        if reviewed is not None and (stands := reviewed.get("stands")):
            return int(stands["amount"])
        with self._log.reading() as view:
            register = Register(view, self._log.keys)
            kept = register.decision(decision)
            return offered(self._log, register, kept) if kept.state == "approved" else 0

    def _reviewed(self, decision: str) -> dict[str, Any] | None:
        """What a person decided of it last."""
        with self._log.reading() as view:
            seq = Register(view, self._log.keys).last_review(decision)
        line = None if seq is None else next(self._log.lines([seq]))
        return None if line is None or line.kind != REVIEW else line.content


def _text(
    policy: DecisionPolicy,
    content: Mapping[str, Any],
    reviewed: Mapping[str, Any] | None,
    amount: int,
    reasons: list[str],
    language: Language,
    until: date,
) -> str:
    terms = policy.notice
    with speaking(language):
        lines = [getattr(terms.lender, language), ""]
        lines.append(tr("Application: {application}", application=content["application_id"]))
        if amount:
            lines.append(
                tr(
                    "We can approve {amount} {currency}, which is less than you asked for.",
                    amount=f"{amount:,}",
                    currency=policy.currency,
                )
            )
        else:
            lines.append(tr("We cannot approve your application."))
        lines += ["", tr("The reasons are:"), *(f"- {reason}" for reason in reasons), ""]
        if reviewed is not None:
            lines.append(tr("A person decided."))
        elif amount:
            lines.append(tr("A program computed the amount by the rules of our policy."))
        else:
            lines.append(tr("A program decided, on the basis of: {source}.", source=content["basis"]))
        lines.append(
            tr(
                "You can object, ask for a person to look at it again, and correct your data, until {until}: {contact}",
                until=until,
                contact=getattr(terms.contact, language),
            )
        )
        decision, day = content["decision_id"], content["day"]
        lines += ["", tr("Decision {decision} of {day}", decision=decision, day=day)]
    return "\n".join(lines)


def specific_reasons(content: Mapping[str, Any], language: Language) -> list[str]:
    """The sentences of a decision's reasons, each once, in their order.

    Where the policy itself asked for nothing less (a person declined), they are those that lowered the score.
    """
    reasons = content["reasons"] or content["score_reasons"]
    return list(dict.fromkeys(str(reason[language]) for reason in reasons))
