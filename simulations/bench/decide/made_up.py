"""What the bench of decisions decides on: a policy with many rules, invented scores and applications."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np

from sealscore.clients.decision.policy.faults import faults
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.shared.serving.release import CHAMPION

RULES = 20
_CYCLE = 1000
_WORDS = {"en": "A reason of the bench.", "zh": "测试原因。"}
REASONS = [{"code": f"reason-{number}", "points": 9.5 - number, **_WORDS} for number in range(4)]


class InventedScores:
    """Answers as `ScoreService` gives them, made up, each a line of the log."""

    def __init__(self, log: ScoreLog, today: date) -> None:
        self._log, self._today = log, today
        self._points = np.random.default_rng(1).integers(480, 640, _CYCLE).tolist()

    def score_many(self, batch: Sequence[Any], caller: str, today: date) -> list[dict[str, Any]]:
        """Answers, in order."""
        answers = [self._answer(data["application_id"]) for data in batch]
        with self._log.commit() as log:
            for data, answer in zip(batch, answers, strict=True):
                line = answer | {"role": CHAMPION, "caller": caller}
                log.write(line, data["application_id"], data["person"], 1, b"bench")
        return answers

    def _answer(self, application: str) -> dict[str, Any]:
        points = self._points[int(application[1:]) % _CYCLE]
        return {
            "score_id": application.rjust(32, "0"),
            "application_id": application,
            "version": 1,
            "pd": 1 / (1 + 20 * 2 ** ((points - 600) / 20)),
            "points": points,
            "reasons": REASONS,
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


def invented_application(number: int, random: np.random.Generator) -> dict[str, Any]:
    """An application for a loan under `bench_policy`."""
    inputs = {f"input_{place}": float(random.integers(0, 920)) for place in range(RULES)}
    money = {"income": float(random.integers(3000, 20_000)), "debt_service": float(random.integers(0, 3000))}
    asked = {"product": "loan", "amount": int(random.integers(1000, 40_000)), "term_months": 12}
    return {"application_id": f"a{number}", "person": f"p{number % 700}", **asked, "inputs": inputs | money}
