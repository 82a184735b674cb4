"""What a decision costs on top of a score: checked inputs, every rule, the reservation, and a signed line on the disk.

The answers of scores are invented, and each is a line of the log. Score alone, and score with its decision, take turns,
each a commit of its own, as one application at a time is; the difference of their medians is the decision. CPU is that
of this process.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from sealscore.clients.decision.evaluation import Evaluator
from sealscore.clients.decision.facts import Applicant, LoanRequest, ScoredFacts
from sealscore.clients.decision.policy.approved import ApprovedPolicies, use_policy
from sealscore.clients.decision.policy.faults import faults
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.replay import replay_decisions
from sealscore.clients.decision.service import DecisionService
from sealscore.clients.scoring.score_log import LogKeys, ScoreLog
from sealscore.shared.serving.release import CHAMPION

DECISIONS, RULES = 1000, 20
_WORDS = {"en": "A reason of the bench.", "zh": "测试原因。"}
_REASONS = [{"code": f"reason-{number}", "points": 9.5 - number, **_WORDS} for number in range(4)]


class _InventedScores:
    """Answers as `ScoreService` gives them, made up, each a line of the log."""

    def __init__(self, log: ScoreLog, today: date) -> None:
        self._log, self._today = log, today
        self._points = np.random.default_rng(1).integers(480, 640, DECISIONS).tolist()

    def score_many(self, batch: Sequence[Any], caller: str, today: date) -> list[dict[str, Any]]:
        """Answers, in order."""
        answers = [self._answer(data["application_id"]) for data in batch]
        with self._log.commit() as log:
            for data, answer in zip(batch, answers, strict=True):
                line = answer | {"role": CHAMPION, "caller": caller}
                log.write(line, data["application_id"], data["person"], 1, b"bench")
        return answers

    def _answer(self, application: str) -> dict[str, Any]:
        points = self._points[int(application[1:]) % DECISIONS]
        return {
            "score_id": application.rjust(32, "0"),
            "application_id": application,
            "version": 1,
            "pd": 1 / (1 + 20 * 2 ** ((points - 600) / 20)),
            "points": points,
            "reasons": _REASONS,
            "signals": [{"kind": "wallet", "status": "used", "told": {"capacity": {"above": 30.0, "up_to": 45.0}}}],
            "model": {"release": "0" * 64, "role": CHAMPION},
            "valid_until": str(self._today + timedelta(days=30)),
        }


def bench_policy(rules: int = RULES) -> DecisionPolicy:
    """A policy with one product and so many rules, on as many inputs."""
    amount = {"kind": "amount", "lower": 0, "upper": 1_000_000}
    checks = [
        {"id": f"rule-{number}", "input": f"input_{number}", "above": 900, "effect": "review", "reason": _WORDS}
        for number in range(rules)
    ]
    own = {f"input_{number}": {"kind": "number", "lower": 0, "upper": 1000} for number in range(rules)}
    product = {
        "inputs": {"income": amount, "debt_service": amount, **own},
        "rules": checks,
        "champion": {"approve": 540, "review": 500},
        "fallback": {"approve": 550, "review": 510},
        "bands": [
            {"name": "basic", "start": 480, "end": 580, "largest": 20_000, "annual_rate": 0.18},
            {"name": "good", "start": 580, "largest": 50_000, "annual_rate": 0.12},
        ],
        "limits": {
            "smallest": 1000,
            "largest": 50_000,
            "exposure": 80_000,
            "terms": [6, 12],
            "loss_given_default": 0.6,
            "affordable": {"income": "income", "share": 0.4, "debt_service": "debt_service"},
        },
        "queue": "desk",
        "random": {"series": "bench", "start": 480, "propensity": 0.02, "largest": 5000},
    }
    notice = {"lender": _WORDS, "contact": _WORDS, "object_days": 30, "queue": "desk"}
    whole = {"name": "bench", "revision": 1, "currency": "CNY", "valid_days": 14, "declines": "desk", "notice": notice}
    policy = DecisionPolicy.parse(whole | {"queues": {"desk": {"days": 2}}, "products": {"loan": product}})
    if wrong := faults(policy):
        raise ValueError(f"the policy of the bench has a fault: {wrong[0]}")
    return policy


def run(decisions: int = DECISIONS) -> dict[str, Any]:
    """Milliseconds of CPU and of the clock for a decision on top of a score, and of the evaluation alone; decisions
    that a replay computes a second."""
    today, policy, random = datetime.now(UTC).date(), bench_policy(), np.random.default_rng(2)
    asked = [_asked(number, random) for number in range(decisions)]
    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        log = ScoreLog(LogKeys.fresh(), Path(folder) / "scores.db")
        use_policy(log, policy, "live", "bench")
        scores = _InventedScores(log, today)
        service = DecisionService(scores, log, ApprovedPolicies.of(log), "exact")
        kinds = set()
        cpu: dict[str, list[float]] = {"score": [], "decide": []}
        wall: dict[str, list[float]] = {"score": [], "decide": []}
        for data in asked:
            alone = data | {"application_id": f"b{data['application_id'][1:]}"}
            before, clock = time.process_time(), time.perf_counter()
            scores.score_many([alone], "bench", today)
            cpu["score"].append(time.process_time() - before)
            wall["score"].append(time.perf_counter() - clock)
            before, clock = time.process_time(), time.perf_counter()
            kinds.add(service.decide(data, "bench", today)["proposal"])
            cpu["decide"].append(time.process_time() - before)
            wall["decide"].append(time.perf_counter() - clock)
        if len(kinds) < 3:
            raise RuntimeError("the applications of the bench are too much alike")
        before = time.process_time()
        replayed = replay_decisions(log.lines(), {policy.hash: policy}, log.keys)
        spent = time.process_time() - before
        log.close()
    if replayed.same != decisions:
        raise RuntimeError("a replay differs")
    return {
        "decisions": decisions,
        "rules": RULES,
        "score_line_cpu_ms": median(cpu["score"]) * 1e3,
        "score_and_decision_cpu_ms": median(cpu["decide"]) * 1e3,
        "decision_cpu_ms": (median(cpu["decide"]) - median(cpu["score"])) * 1e3,
        "decision_wall_ms": (median(wall["decide"]) - median(wall["score"])) * 1e3,
        "evaluate_cpu_ms": _evaluation(policy, asked),
        "replay_decisions_s": decisions / spent,
    }


def _evaluation(policy: DecisionPolicy, asked: Sequence[dict[str, Any]]) -> float:
    """Milliseconds of CPU of one evaluation, inputs already checked."""
    evaluator, facts = Evaluator(policy.products["loan"]), ScoredFacts(560, 0.2, 30.0, frozenset(), False)
    requests = [LoanRequest.parse(data, policy) for data in asked]
    applicants = [Applicant(one.amount, one.term, one.inputs, facts, 0, 0.5) for one in requests]
    before = time.process_time()
    for one in applicants:
        evaluator.propose(CHAMPION, one, _REASONS)
    return (time.process_time() - before) / len(applicants) * 1e3


def _asked(number: int, random: np.random.Generator) -> dict[str, Any]:
    inputs = {f"input_{place}": float(random.integers(0, 920)) for place in range(RULES)}
    money = {"income": float(random.integers(3000, 20_000)), "debt_service": float(random.integers(0, 3000))}
    asked = {"product": "loan", "amount": int(random.integers(1000, 40_000)), "term_months": 12}
    return {"application_id": f"a{number}", "person": f"p{number % 700}", **asked, "inputs": inputs | money}
