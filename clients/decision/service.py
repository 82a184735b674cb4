"""Decisions of a lender: a score, the proposal of its policy, what is promised, and a line of the log for each."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any, Protocol

from sealscore.clients.decision.evaluation import REPORT_KEYS, Evaluator, Proposal
from sealscore.clients.decision.facts import Applicant, LoanRequest, ScoredFacts
from sealscore.clients.decision.policy.approved import ApprovedPolicies, NoPolicy
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.register import SCHEMA, DecisionError, KeptDecision, Register, draw_of
from sealscore.clients.decision.reviews import ReviewDesk, objections_until
from sealscore.clients.decision.standing import LINE_FORM, LastVersion, standing
from sealscore.clients.scoring.application import ApplicationError
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.scoring.storage.batch import Batch
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.plan.settings import Form

KIND = "decision"
LOCKED_NAMES = ("decision_id", "state", "amount", "valid_until", "due")
"""What of an answer is still told of a record that a withdrawal locked."""
Draw = Callable[[str, str], float]
"""The number of a person for a series and a product (`draw_of`)."""


class GivesScores(Protocol):
    """What a decision needs of `ScoreService`."""

    def score_many(self, batch: Sequence[Any], caller: str, today: date) -> list[dict[str, Any]]:
        """The answers to applications, in their order."""


class DecisionService:
    """Decides applications under the live policy; policies in the shadow are logged, and change nothing.

    `form` is the normal form of persons, as the scores have it.

    Raises:
        NoPolicy: none is live.
    """

    def __init__(self, scores: GivesScores, log: ScoreLog, policies: ApprovedPolicies, form: Form) -> None:
        self._scores, self._log, self._form = scores, log, form
        self.policy = policies.live
        self._use(policies)
        log.extend(SCHEMA)

    def decide(self, data: Any, caller: str, today: date) -> dict[str, Any]:
        """The decision on one application, as plain data; see `decide_many`."""
        return self.decide_many([data], caller, today)[0]

    def decide_many(
        self, batch: Sequence[Any], caller: str, today: date, disputes: str | None = None
    ) -> list[dict[str, Any]]:
        """Score applications and decide them, in their order.

        Scores, decisions and reservations are one commit: on the disk when this returns, or none of them is.

        The same application with the same body gets the decision that it got. A decision that `disputes` another one
        goes to a person, whatever the policy proposes.

        Raises:
            ApplicationError: one of them cannot be scored or decided; none of them was.
            NoModel: a model is missing for one of them.
            NoPolicy: another policy is live since, or none.
            DecisionError: an application has an approval in force, or its score or approval is over.
            ScoreLogError: they cannot be logged; nothing was answered.
        """
        requests = [LoanRequest.parse(data, self.policy) for data in batch]
        with self._log.commit() as log:
            scores = self._scores.score_many([one.application for one in requests], caller, today)
            return [
                self.on_score(log, request, score, caller, today, disputes)
                for request, score in zip(requests, scores, strict=True)
            ]

    def on_score(
        self,
        batch: Batch,
        request: LoanRequest,
        score: Mapping[str, Any],
        caller: str,
        today: date,
        disputes: str | None = None,
    ) -> dict[str, Any]:
        """The decision on an application that has its score, in a commit of the log; see `decide_many`."""
        self._refresh()
        register, keys, day = Register(batch, self._log.keys), self._log.keys, str(today)
        application = register.application(str(request.application["application_id"]))
        person = keys.person(NORMAL_FORMS[self._form](str(request.application["person"]).strip()))
        digest = register.body(_body(request, score["score_id"]))
        versions = register.decisions(application)
        if same := next((one for one in versions if (one.digest, one.disputes) == (digest, disputes)), None):
            line = next(self._log.lines([same.seq]))
            if line.content is None:
                what = "this application was decided, and its record is erased since; send a new one"
                raise ApplicationError("withdrawn", [what])
            if line.content["state"] == "approved" and line.content["valid_until"] < day:
                what = "this approval is over; send the application with a new as_of, which is a new version"
                raise DecisionError("approval-over", what)
            return told(line.content)
        if score["valid_until"] < day:
            # The same body of a score gets its old answer, and a loan's amount and inputs are no part of that body.
            raise DecisionError("score-expired", "the score is over; send the application with a new as_of")
        # What disputes a decision goes to a person, and promises nothing by itself.
        if disputes is None and register.promised(application, day):
            what = "an application has an approval in force; start its loan, or wait until the approval is over"
            raise DecisionError("approved-before", what)
        exposure = register.exposure(person, day, application)
        # Rows of earlier ones may be gone with their key.
        version = versions[-1].version + 1 if versions else 1
        facts = ScoredFacts.of(score, version)
        content: dict[str, Any] = {
            "form": LINE_FORM,
            "decision_id": secrets.token_hex(16),
            "application_id": score["application_id"],
            "version": version,
            "score_id": score["score_id"],
            "role": score["model"]["role"],
            "policy": self.policy.hash,
            "policy_name": f"{self.policy.name} {self.policy.revision}",
            "product": request.product,
            "day": day,
            "caller": caller,
            "asked": {"amount": request.amount, "term_months": request.term},
            "inputs": dict(request.inputs),
            "scored": facts.plain(),
            "score_reasons": list(score["reasons"]),
            "exposure": exposure,
            "recent": register.recent(person, today),
            "held": self._held(versions) if disputes is None else None,
        }
        if disputes is not None:
            content["disputes"] = disputes
        draw = partial(draw_of, keys, person)
        proposal = evaluated(self.policy, self._evaluators[self.policy.hash], content, draw)
        content |= proposal.plain()
        content |= standing(self.policy, content, proposal, score["valid_until"])
        if self._shadows:
            content["shadows"] = {
                hash: shadowed(shadow, self._evaluators[hash], content, draw) for hash, shadow in self._shadows.items()
            }
        seq = batch.add(KIND, content, person)
        kept = KeptDecision(
            content["decision_id"], seq, application, content["version"], digest, person, content["state"],
            content["queue"], content["due"], None, disputes,
        )  # fmt: skip
        register.keep(kept)
        if disputes is None:
            # Nobody is held up for having objected.
            register.keep_day(kept, day)
        if kept.state == "approved":
            register.reserve(kept, proposal.amount, content["valid_until"], day)
        return told(content)

    def dispute(
        self, desk: ReviewDesk, decision: str, why: str, corrected: Any, caller: str, today: date
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """An applicant objects, and what was corrected is scored as a new version: one commit, or nothing.

        Gives queue and day of the objection, and the new decision, which waits for a person.

        Raises:
            DecisionError: as `ReviewDesk.dispute` and `decide_many`, or the application is another one.
            ApplicationError, NoModel, NoPolicy, ScoreLogError: see `decide_many`.
        """
        with self._log.commit():
            _, content = desk.content(decision)
            asked = corrected.get("application_id") if isinstance(corrected, dict) else None
            if asked != content["application_id"]:
                what = "the corrected application has another application_id than the decision; send the same one"
                raise DecisionError("other-application", what)
            told = desk.dispute(decision, why, caller, today)
            return told, self.decide_many([corrected], caller, today, decision)[0]

    def _use(self, policies: ApprovedPolicies) -> None:
        self._noted, self._shadows = policies.noted, policies.shadows
        self._evaluators = {
            hash: {name: Evaluator(product) for name, product in policy.products.items()}
            for hash, policy in (*policies.shadows.items(), (self.policy.hash, self.policy))
        }

    def _refresh(self) -> None:
        """What the log says of policies in this commit, since another process may have ended or replaced one."""
        if self._log.noted == self._noted:
            return
        policies = ApprovedPolicies.of(self._log)
        if policies.live_hash != self.policy.hash:
            raise NoPolicy("the policy is live no more: sealscore-node policy list has the one that is; decide again")
        self._use(policies)

    def _held(self, versions: Sequence[KeptDecision]) -> dict[str, Any] | None:
        if not versions:
            return None
        last = versions[-1]
        content = next(self._log.lines([last.seq])).content
        if content is None:
            return None
        found = LastVersion.of(content)
        found.state, found.queue, found.due = last.state, last.queue, last.due
        found.disputed = last.disputed is not None
        return found.held()


def evaluated(
    policy: DecisionPolicy, evaluators: Mapping[str, Evaluator], content: Mapping[str, Any], draw: Draw
) -> Proposal:
    """What a policy proposes on what a line of a decision says; `draw` gives the number of a series and a product.

    Raises:
        KeyError: the policy has not the line's product.
    """
    name = str(content["product"])
    random = policy.products[name].random
    applicant = Applicant(
        content["asked"]["amount"],
        content["asked"]["term_months"],
        content["inputs"],
        ScoredFacts.kept(content["scored"]),
        content["exposure"],
        0.0 if random is None else draw(random.series, name),
        content.get("recent", ()),
    )
    return evaluators[name].propose(str(content["role"]), applicant, content["score_reasons"])


def shadowed(
    policy: DecisionPolicy, evaluators: Mapping[str, Evaluator], content: Mapping[str, Any], draw: Draw
) -> dict[str, Any]:
    if content["product"] not in policy.products:
        return {}
    found = evaluated(policy, evaluators, content, draw)
    return {"proposal": found.kind, "amount": found.amount, "limit": found.limit}


def _body(request: LoanRequest, score: str) -> bytes:
    asked = [score, request.product, request.amount, request.term, sorted(request.inputs.items())]
    return json.dumps(asked, separators=(",", ":")).encode()


def shown(
    log: ScoreLog, policies: ApprovedPolicies, decision: str, today: date, reads_locked: bool = False
) -> dict[str, Any]:
    """A decision as it was answered, with what became of it since.

    `state`, `queue` and `due` are those of now; `reserved` is what is promised and no loan yet; `review` what a person
    decided last, without the name; `noticed`, `disputed` and `object_until` are days, where there are any. Of a record
    that a withdrawal locked, which `locked` says, only who `reads_locked` is told more than states, amounts and days:
    the rest was made with what was withdrawn.

    Raises:
        DecisionError: there is none of this id, or its record was erased.
        ScoreLogError: the log cannot be read.
    """
    desk = ReviewDesk(log, policies)
    with log.reading() as view:
        register = Register(view, log.keys)
        kept, content = desk.content(decision)
        promise = register.promise(kept.application, str(today))
        seq = register.last_review(decision)
        reviewed = None if seq is None else next(log.lines([seq])).content
        locked = register.is_locked(kept.seq, kept.person)
    answer = told(content) | {"state": kept.state, "queue": kept.queue, "due": kept.due}
    if locked:
        answer = (answer if reads_locked else {name: answer[name] for name in LOCKED_NAMES}) | {"locked": True}
    answer["reserved"] = promise[1] if promise is not None and promise[0] == decision else 0
    if reviewed is not None:
        answer["review"] = {name: reviewed.get(name) for name in ("outcome", "amount", "valid_until", "day")}
    if kept.noticed is not None:
        until = objections_until(policies.policies[content["policy"]], date.fromisoformat(kept.noticed))
        answer |= {"noticed": kept.noticed, "object_until": str(until)}
    return answer | ({} if kept.disputed is None else {"disputed": kept.disputed})


def told(content: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a decision's line to whoever asked for it."""
    names = (
        *("decision_id", "application_id", "version", "score_id", "product", "proposal", "state", "amount", "limit"),
        *("annual_rate", "valid_until", "queue", "due", "reasons", "random"),
    )
    answer = {name: content[name] for name in names}
    answer["rules"] = [dict(zip(REPORT_KEYS, row, strict=True)) for row in content["rules"]]
    answer["term_months"] = content["asked"]["term_months"]
    answer["policy"] = {"name": content["policy_name"], "hash": content["policy"]}
    answer["score"] = {name: content["scored"][name] for name in ("pd", "points")} | {"role": content["role"]}
    if "score-shopping" in content["scored"]["events"]:
        answer["alarm"] = "score-shopping"
    return answer | {name: content[name] for name in ("basis", "disputes", "held") if content.get(name) is not None}
