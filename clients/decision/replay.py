"""Replay of decisions: compute every logged proposal again under its policy, and name those that differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from typing import Any

from sealscore.clients.decision.evaluation import Evaluator
from sealscore.clients.decision.facts import ScoredFacts
from sealscore.clients.decision.loans import LOAN
from sealscore.clients.decision.policy.approved import PolicyUses
from sealscore.clients.decision.policy.model import MOST_MANY, DecisionPolicy
from sealscore.clients.decision.register import draw_of, recent_days
from sealscore.clients.decision.reviews import DISPUTE, REVIEW
from sealscore.clients.decision.service import KIND, Draw, evaluated, shadowed
from sealscore.clients.decision.standing import COUNTED, LINE_FORM, STANDING, LastVersion, approved_until, standing
from sealscore.clients.scoring.replay import Replayed
from sealscore.clients.scoring.score_log import ScoreLine
from sealscore.clients.scoring.storage.log_keys import LogKeys

_OF_SCORE = ("role", "points", "pd", "signals", "reasons", "version", "valid_until")


@dataclass
class _Promises:
    """What one person owes and was promised, as the lines so far say."""

    loans: dict[str, int] = field(default_factory=dict)
    reserved: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    decided: dict[str, str] = field(default_factory=dict)
    days: list[str] = field(default_factory=list)
    readable: bool = True

    def exposure(self, day: str, application: str) -> int:
        promised = sum(
            amount for name, (_, amount, until) in self.reserved.items() if name != application and until >= day
        )
        return promised + sum(self.loans.values())

    def reserve(self, decision: str, application: str, amount: int, until: str) -> None:
        self.reserved[application] = (decision, amount, until)

    def promise(self, application: str, day: str) -> tuple[str, int] | None:
        """Decision and amount of what is in force for an application on a day."""
        decision, amount, until = self.reserved.get(application, ("", 0, ""))
        return (decision, amount) if until >= day else None

    def loan(self, content: Mapping[str, Any]) -> bool:
        """A loan's line; False where it started by an approval that is over, or by one of less."""
        self.loans.pop(content["loan"], None)
        if content["principal"]:
            self.loans[content["loan"]] = content["principal"]
        started = self.decided.get(content["decision_id"] or "")
        if started is None:
            return content["decision_id"] is None or not self.readable
        decision, amount = self.promise(started, content["day"]) or ("", 0)
        if decision == content["decision_id"]:
            del self.reserved[started]
        return not self.readable or (decision == content["decision_id"] and content["principal"] <= amount)


@dataclass
class _Decided:
    """What later lines need of a decision: the most that may be lent on it, and the last day of its score, too."""

    application: str
    product: str
    limit: int | None
    score_until: str
    policy: DecisionPolicy


def replay_decisions(lines: Iterable[ScoreLine], policies: Mapping[str, DecisionPolicy], keys: LogKeys) -> Replayed:
    """Compute proposals again, bit for bit, from inputs, the score's own line, exposure and draw.

    A decision also differs where its score is not the one of the score's line, its exposure not what the person's
    earlier lines come to, its policy not the one that was live, or what became of it not what follows from the
    proposal. So do an approval by a person beyond limit, exposure or score, and a loan beyond its approval. `unknown`
    are those of a policy that is not among `policies`.
    """
    replay = _Replay(policies, keys)
    for line in lines:
        replay.read(line)
    return replay.found


class _Replay:
    def __init__(self, policies: Mapping[str, DecisionPolicy], keys: LogKeys) -> None:
        self.found = Replayed()
        self._policies, self._keys = policies, keys
        self._evaluators = {
            hash: {name: Evaluator(product) for name, product in policy.products.items()}
            for hash, policy in policies.items()
        }
        self._uses, self._form, self._erased = PolicyUses(), 1, False
        self._scores: dict[str, dict[str, Any]] = {}
        self._persons: defaultdict[bytes, _Promises] = defaultdict(_Promises)
        self._decided: dict[str, _Decided] = {}
        self._last: dict[str, LastVersion] = {}

    def read(self, line: ScoreLine) -> None:
        """The next line of the log."""
        promises, content = self._persons[line.person], line.content
        if content is None:
            promises.readable = False
            if line.kind == KIND:
                self.found.erased[line.seq] = line.erased
                self._erased = True
        elif line.kind == "policy":
            self._uses.note(line)
        elif line.kind == "score":
            self._scores[content["score_id"]] = {name: content[name] for name in _OF_SCORE}
        elif line.kind == LOAN:
            self._told(line.seq, promises.loan(content))
        elif line.kind == REVIEW:
            self._told(line.seq, self._review(content, promises))
        elif line.kind == DISPUTE:
            self._dispute(content)
        elif line.kind == KIND:
            policy = self._policies.get(content["policy"])
            if policy is None or content["product"] not in policy.products:
                self.found.unknown.append(line.seq)
            else:
                same = self._decision(content, policy, promises, partial(draw_of, self._keys, line.person))
                self.found.same += same
                self._told(line.seq, same)
            if content.get("form", 1) >= COUNTED and content.get("disputes") is None:
                # As many as are ever counted.
                promises.days = sorted([*promises.days, content["day"]])[-MOST_MANY:]
            application = content["application_id"]
            promises.decided[content["decision_id"]] = application
            self._last[application] = LastVersion.of(content)
            if content["state"] == "approved":
                promises.reserve(content["decision_id"], application, content["amount"], content["valid_until"])

    def _told(self, seq: int, good: bool) -> None:
        if not good:
            self.found.differ.append(seq)

    def _decision(self, content: Mapping[str, Any], policy: DecisionPolicy, promises: _Promises, draw: Draw) -> bool:
        form, day, application = content.get("form", 1), content["day"], content["application_id"]
        score = self._scores.get(content["score_id"])
        last = self._last.get(application)
        held = last.held() if last is not None and content.get("disputes") is None else None
        proposal = evaluated(policy, self._evaluators[content["policy"]], content, draw)
        plain, owed = proposal.plain(), promises.exposure(day, application)
        recent = recent_days(promises.days, date.fromisoformat(day))
        shadows = {
            hash: shadowed(self._policies[hash], self._evaluators[hash], content, draw)
            for hash in self._uses.shadow_hashes
            if hash in self._policies
        }
        same = (
            self._form <= form <= LINE_FORM
            and content["policy"] == self._uses.live_hash
            and all(content[name] == plain[name] for name in plain if name != "queue")
            and score is not None
            and _facts(score, content["version"] if form > 1 else 1) == _said(content)
            and (content["exposure"] == owed or not promises.readable)
            and (form < COUNTED or content.get("recent") == recent or not promises.readable)
            # An earlier version may be one that was erased.
            and (form == 1 or day <= score["valid_until"])
            and (form == 1 or content["held"] == held or (held is None and self._erased))
            and {name: content[name] for name in STANDING if name in content}
            == standing(policy, content, proposal, score["valid_until"])
            and content.get("shadows", {}) == shadows
        )
        self._form = max(self._form, form)
        until = content["valid_until"] if score is None else score["valid_until"]
        limit = content["limit"]
        self._decided[content["decision_id"]] = _Decided(application, content["product"], limit, until, policy)
        return same

    def _review(self, content: Mapping[str, Any], promises: _Promises) -> bool:
        """What a person decided: whether it is within the limits of the decision and of the day."""
        decision, day, application = content["decision_id"], content["day"], content["application_id"]
        before, stands, of = promises.promise(application, day), content.get("stands"), self._decided.get(decision)
        good = True
        if content["outcome"] == "approve":
            good = of is None or self._approvable(content, of, promises)
            promises.reserve(decision, application, content["amount"], content["valid_until"])
        elif before is not None and "form" in content:
            good = stands == {"decision_id": before[0], "amount": before[1]}
        last = self._last.get(application)
        if last is not None and last.decision == decision:
            approved = content["outcome"] == "approve" or (
                before is not None if "form" not in content else (stands or {}).get("decision_id") == decision
            )
            last.state, last.queue, last.due = "approved" if approved else "declined", None, None
        return good

    def _approvable(self, content: Mapping[str, Any], of: _Decided, promises: _Promises) -> bool:
        limits, day = of.policy.products[of.product].limits, content["day"]
        left = limits.exposure - promises.exposure(day, of.application)
        until = approved_until(of.policy, date.fromisoformat(day), of.score_until)
        return (
            of.limit is not None
            and limits.smallest <= content["amount"] <= of.limit
            and (content["amount"] <= left or not promises.readable)
            and ("form" not in content or (content["valid_until"] == until and day <= of.score_until))
        )

    def _dispute(self, content: Mapping[str, Any]) -> None:
        of = self._decided.get(content["decision_id"])
        last = None if of is None else self._last.get(of.application)
        if of is None or last is None or last.decision != content["decision_id"]:
            return
        last.disputed = True
        if last.state != "waiting":
            queue = of.policy.notice.queue
            due = date.fromisoformat(content["day"]) + timedelta(days=of.policy.queues[queue].days)
            last.state, last.queue, last.due = "waiting", queue, str(due)


def _facts(score: Mapping[str, Any], version: int) -> dict[str, Any]:
    """What a version of a decision reads of a score's line."""
    facts = {"role": score["role"], "scored": ScoredFacts.of(score, version).plain()}
    return facts | {"score_reasons": list(score["reasons"])}


def _said(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: content[name] for name in ("role", "scored", "score_reasons")}
