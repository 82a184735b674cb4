"""What a decision costs on top of a score: checked inputs, every rule, the reservation, and a signed line on the disk.

The answers of scores are invented, and each is a line of the log. Score alone, and score with its decision, take turns,
each a commit of its own, as one application at a time is; the difference of their medians is the decision. CPU is that
of this process.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from sealscore.clients.decision.evaluation import Evaluator
from sealscore.clients.decision.facts import Applicant, LoanRequest, ScoredFacts
from sealscore.clients.decision.policy.approved import ApprovedPolicies, use_policy
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.replay import replay_decisions
from sealscore.clients.decision.service import DecisionService
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.scoring.storage.log_keys import LogKeys
from sealscore.shared.serving.release import CHAMPION
from sealscore.simulations.bench.decide.made_up import (
    REASONS,
    RULES,
    InventedScores,
    bench_policy,
    invented_application,
)

DECISIONS = 1000


def run(decisions: int = DECISIONS) -> dict[str, Any]:
    """Milliseconds of CPU and of the clock for a decision on top of a score, and of the evaluation alone; decisions
    that a replay computes a second."""
    today, policy, random = datetime.now(UTC).date(), bench_policy(), np.random.default_rng(2)
    asked = [invented_application(number, random) for number in range(decisions)]
    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        log = ScoreLog(LogKeys.fresh(), Path(folder) / "scores.db")
        use_policy(log, policy, "live", "bench")
        scores = InventedScores(log, today)
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
        evaluator.propose(CHAMPION, one, REASONS)
    return (time.process_time() - before) / len(applicants) * 1e3
