"""Replay of decisions: compute every logged proposal again under its policy, and name those that differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sealscore.clients.decision.evaluation import Evaluator
from sealscore.clients.decision.facts import ScoredFacts
from sealscore.clients.decision.loans import LOAN
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.register import draw_of
from sealscore.clients.decision.reviews import REVIEW
from sealscore.clients.decision.service import KIND, evaluated
from sealscore.clients.scoring.replay import Replayed
from sealscore.clients.scoring.score_log import ScoreLine
from sealscore.clients.scoring.service import SHOPPING
from sealscore.clients.scoring.storage.log_keys import LogKeys


@dataclass
class _Promises:
    """What one person owes and was promised, as the lines so far say."""

    loans: dict[str, int] = field(default_factory=dict)
    reserved: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    decided: dict[str, str] = field(default_factory=dict)
    readable: bool = True

    def exposure(self, day: str, application: str) -> int:
        promised = sum(
            amount for name, (_, amount, until) in self.reserved.items() if name != application and until >= day
        )
        return promised + sum(self.loans.values())

    def reserve(self, decision: str, application: str, amount: int, until: str) -> None:
        self.reserved[application] = (decision, amount, until)

    def loan(self, content: Mapping[str, Any]) -> None:
        self.loans.pop(content["loan"], None)
        if content["principal"]:
            self.loans[content["loan"]] = content["principal"]
        started = self.decided.get(content["decision_id"] or "")
        if started is not None:
            self.reserved.pop(started, None)


def replay_decisions(lines: Iterable[ScoreLine], policies: Mapping[str, DecisionPolicy], keys: LogKeys) -> Replayed:
    """Compute proposals again, bit for bit, from inputs, the score's own line, exposure and draw.

    A decision also differs where its score is not the one of the score's line, or its exposure not what the person's
    earlier lines come to. `unknown` are those of a policy that is not among `policies`.
    """
    found, scores = Replayed(), dict[str, dict[str, Any]]()
    evaluators = {
        hash: {name: Evaluator(product) for name, product in policy.products.items()}
        for hash, policy in policies.items()
    }
    persons: defaultdict[bytes, _Promises] = defaultdict(_Promises)
    for line in lines:
        promises = persons[line.person]
        if line.content is None:
            promises.readable = False
            if line.kind == KIND:
                found.erased[line.seq] = line.erased
        elif line.kind == "score":
            scores[line.content["score_id"]] = _facts(line.content)
        elif line.kind == LOAN:
            promises.loan(line.content)
        elif line.kind == REVIEW and line.content["outcome"] == "approve":
            content = line.content
            ends = content["valid_until"]
            promises.reserve(content["decision_id"], content["application_id"], content["amount"], ends)
        elif line.kind == KIND:
            content = line.content
            policy = policies.get(content["policy"])
            if policy is None or content["product"] not in policy.products:
                found.unknown.append(line.seq)
                continue
            draw = partial(draw_of, keys, line.person)
            proposal = evaluated(policy, evaluators[content["policy"]], content, draw).plain()
            owed = promises.exposure(content["day"], content["application_id"])
            same = (
                all(content[name] == proposal[name] for name in proposal if name != "queue")
                and scores.get(content["score_id"]) == _said(content)
                and (content["exposure"] == owed or not promises.readable)
            )
            promises.decided[content["decision_id"]] = content["application_id"]
            if content["state"] == "approved":
                ends = content["valid_until"]
                promises.reserve(content["decision_id"], content["application_id"], content["amount"], ends)
            if same:
                found.same += 1
            else:
                found.differ.append(line.seq)
    return found


def _facts(score: Mapping[str, Any]) -> dict[str, Any]:
    """What a decision reads of a score's line."""
    alarm = {"alarm": "score-shopping"} if score["version"] >= SHOPPING else {}
    facts = {"role": score["role"], "scored": ScoredFacts.of({**score, **alarm}).plain()}
    return facts | {"score_reasons": list(score["reasons"])}


def _said(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: content[name] for name in ("role", "scored", "score_reasons")}
