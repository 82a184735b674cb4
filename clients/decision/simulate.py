"""A policy tried on the decisions that are in the log: who would be decided otherwise, and what that would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sealscore.clients.decision.evaluation import Evaluator
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.register import draw_of
from sealscore.clients.decision.service import KIND, evaluated
from sealscore.clients.scoring.score_log import ScoreLine
from sealscore.clients.scoring.storage.log_keys import LogKeys

OFFERS = ("approve", "counter")
LEAST_IN_GROUP = 10
"""Applications below which a group's share is not shown: few persons, and no figure."""


@dataclass
class SimulatedBook:
    """What one policy would approve: proposals by kind, the sum that is offered, and the loss that is expected of it.

    The loss is PD x loss given default x amount, summed. `groups` has offers and applications of each group.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    amount: int = 0
    loss: float = 0.0
    groups: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, kind: str, amount: int, pd: float, given: float, group: str | None) -> None:
        """One application."""
        self.kinds[kind] += 1
        self.amount += amount
        self.loss += pd * given * amount
        if group is not None:
            offers, all = self.groups.get(group, (0, 0))
            self.groups[group] = (offers + (kind in OFFERS), all + 1)


@dataclass
class Simulated:
    """A policy beside what was proposed. `changed` has decisions whose proposal would be another, old and new.

    `uncovered` counts those whose product or term the policy has not, `erased` those that cannot be read.
    """

    logged: SimulatedBook = field(default_factory=SimulatedBook)
    tried: SimulatedBook = field(default_factory=SimulatedBook)
    changed: dict[str, tuple[str, str]] = field(default_factory=dict)
    uncovered: int = 0
    erased: int = 0


def simulate(
    lines: Iterable[ScoreLine], policy: DecisionPolicy, keys: LogKeys, groups: Mapping[str, str] | None = None
) -> Simulated:
    """Try a policy on the last version of each logged application.

    Exposure is as it was logged: what earlier approvals of the tried policy would have added is left aside. `groups`
    has the group of applications by their id, which a lender lawfully holds elsewhere and no policy reads.
    """
    found, last = Simulated(), dict[str, tuple[bytes, dict[str, Any]]]()
    for line in lines:
        if line.kind == KIND and line.content is None:
            found.erased += 1
        elif line.kind == KIND and line.content is not None:
            last[line.content["application_id"]] = (line.person, line.content)
    evaluators = {name: Evaluator(product) for name, product in policy.products.items()}
    for application, (person, content) in last.items():
        product = policy.products.get(content["product"])
        asked = content["asked"]
        if product is None or asked["term_months"] not in product.limits.terms:
            found.uncovered += 1
            continue
        proposal = evaluated(policy, evaluators, content, partial(draw_of, keys, person))
        group, pd = (groups or {}).get(application), content["scored"]["pd"]
        given = product.limits.loss_given_default
        found.logged.add(content["proposal"], content["amount"], pd, given, group)
        found.tried.add(proposal.kind, proposal.amount, pd, given, group)
        if proposal.kind != content["proposal"]:
            found.changed[content["decision_id"]] = (content["proposal"], proposal.kind)
    return found
