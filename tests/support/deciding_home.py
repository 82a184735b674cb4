"""A scorer's folder in which a policy is live, and what its callers ask about decisions."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
from policies import INPUTS, lenient
from scorer_callers import ScorerCallers
from scorer_home import LENDER, ScorerHome, application, new_home

from sealscore.clients.decision.policy.approved import ApprovedPolicies, PolicyUse, use_policy
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.register import SCHEMA
from sealscore.clients.decision.replay import replay_decisions
from sealscore.clients.decision.service import DecisionService
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.scoring.service import ScoreService


def deciding_home(folder: Path, policy: DecisionPolicy | None = None) -> ScorerHome:
    """A home with a release and a policy that are live."""
    home = new_home(folder)
    approved(home, policy or lenient())
    return home


def approved(home: ScorerHome, policy: DecisionPolicy, use: PolicyUse = "live") -> None:
    """Approve a policy, or end it, as the command does: by a line that another process writes."""
    with closing(home.dir.log()) as log:
        use_policy(log, policy, use, "command of 0")


def loan(person: str = "p1", **changes: Any) -> dict[str, Any]:
    """An application for a loan today."""
    given: dict[str, Any] = {"amount": 8000, "term_months": 12, "inputs": copy.deepcopy(INPUTS)}
    return application(person, **(given | changes))


def offline(home: ScorerHome, log: ScoreLog) -> DecisionService:
    """What decides by command on the same log."""
    (hash,) = home.approved
    release = home.dir.release(hash)
    scores = ScoreService(release, home.dir.opening_keys(LENDER), log, home.approved)
    return DecisionService(scores, log, ApprovedPolicies.of(log), release.plan.alignment.identifier)


class DecidingCallers(ScorerCallers):
    """Callers of whom every second one has applications decided, and starts the loan of each third."""

    def __init__(self, *given: Any) -> None:
        self.decisions: list[dict[str, Any]] = []
        self.loans: list[str] = []
        super().__init__(*given)

    def _score(self, client: httpx.Client, number: int, turn: int) -> None:
        if number % 2:
            super()._score(client, number, turn)
            return
        answer = client.post("/v1/decisions", json=loan(f"{self._prefix}-{number}-{turn}"))
        if answer.status_code != 200:
            self.refused.append(answer)
            return
        self.decisions.append(answer.json())
        if turn % 3 == 0:
            decision = answer.json()["decision_id"]
            body = {"loan_id": decision, "principal": 8000, "decision_id": decision}
            if client.post("/v1/loans", json=body).status_code == 200:
                self.loans.append(decision)


def check_decisions(home: ScorerHome, answers: Sequence[dict[str, Any]], loans: Sequence[str] = ()) -> int:
    """All that was answered is in the log as it was answered, loans too; each replays; what is promised has its line.

    Gives how many decisions there are.
    """
    with closing(home.dir.log()) as log:
        log.extend(SCHEMA)
        assert log.check() == []
        lines = list(log.lines())
        found = replay_decisions(lines, ApprovedPolicies.of(log).policies, log.keys)
        assert (found.differ, found.unknown) == ([], [])
        kept = {line.content["decision_id"]: line for line in lines if line.kind == "decision" and line.content}
        scores = {line.content["score_id"] for line in lines if line.kind == "score" and line.content}
        for answer in answers:
            content = kept[answer["decision_id"]].content
            assert content is not None
            for name in ("application_id", "version", "proposal", "state", "amount", "limit", "reasons"):
                assert content[name] == answer[name]
        # A decision and its score are one commit.
        assert {(line.content or {})["score_id"] for line in kept.values()} <= scores
        rows = log._database.execute("SELECT decision, seq FROM decisions").fetchall()
        assert {(decision, seq) for decision, seq in rows} == {(id, line.seq) for id, line in kept.items()}
        promised = dict(log._database.execute("SELECT decision, amount FROM reservations").fetchall())
        started = {(line.content or {}).get("decision_id") for line in lines if line.kind == "loan"}
        assert set(loans) <= started
        in_force = {
            id: (line.content or {})["amount"]
            for id, line in kept.items()
            if (line.content or {})["state"] == "approved"
        }
        assert promised == {id: amount for id, amount in in_force.items() if id not in started}
    return len(kept)
