"""Epsilon of every packaged plan, composed once more from the entries of ledgers without the project's accounting."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from builders import RUN
from independent import composed
from ledger_entries import DIGEST
from ledgers import identified

from sealscore.clients.node.plan_ledger import approve
from sealscore.compliance.figures.joint import joint_claims
from sealscore.compliance.verify.verify import Verification, verify_ledger
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.budget_check import BudgetCheck
from sealscore.shared.ledger.entries import Answer, Ceilings, Reserve
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.data.scenario import PLANS, Scenario

NAMES = sorted(path.stem for path in PLANS.glob("*.toml"))
BLOCK = 50


@cache
def made_of(name: str) -> Mechanisms:
    return Mechanisms(Scenario.load(PLANS / f"{name}.toml").plan)


def written(made: Mechanisms, party: str, path: Path) -> Path:
    """A party's ledger in which all that is in the budget of its own phases was answered."""
    plan, group = made.plan, made.plan.groups[made.plan.party(party).group]
    identity = Identity.simulated(plan.seed, party, group.role)
    ceilings = Ceilings(epsilon=None, delta=plan.privacy.delta)
    ledger = Ledger.create(path, identity, "records", ceilings, identified=identified(plan, party))
    approve(ledger, plan)
    for phase in made.phases:
        for entry in reserved(made, phase, party) if not phase.paired else exchanged(plan, phase, party):
            ledger.append(lambda state, entry=entry: entry)  # type: ignore[misc]
    ledger.close()
    return path


def reserved(made: Mechanisms, phase: Phase, party: str) -> Iterable[Reserve]:
    """All attempts of a phase of a party's own group: blocks of its rounds, then the spare ones in its last."""
    plan, group = made.plan, made.plan.groups[phase.group]
    if plan.party(party).group != phase.group:
        return
    cohort = len(plan.members(phase.group))
    alone = plan.training.local is not None and phase.kind.value == "train_tower"
    event = made.event(phase)
    plain: dict[str, Any] = {
        **{"plan": plan.hash, "run": RUN, "phase": phase.name, "event": event, "source": "seeded"},
        "part": "all"
        if plan.monitoring or plan.evaluation.split.kind == "date"
        else "test"
        if phase.test
        else "training",
        "own_noise": 1.0 if alone else 1 / math.sqrt(max(1, cohort - group.max_colluding)),
        **{"cohort": cohort, "max_colluding": group.max_colluding},
    }
    for first in range(1, phase.rounds, BLOCK):
        yield Reserve(**plain, round=first, attempt=1, count=min(BLOCK, phase.rounds - first))
    for attempt in range(1, phase.attempts - phase.rounds + 2):
        yield Reserve(**plain, round=phase.rounds, attempt=attempt)


def exchanged(plan: Plan, phase: Phase, party: str) -> Iterable[Answer]:
    """A first step with one peer, where the phase is one of this party."""
    own = plan.party(party).group
    if own in (phase.group, plan.lenders):
        peer = plan.members(plan.lenders if own == phase.group else phase.group)[0].name
        where: dict[str, Any] = {"plan": plan.hash, "run": RUN, "phase": phase.name, "round": 1, "attempt": 1}
        yield Answer(**where, peer=peer, request=DIGEST)


def charged(path: Path) -> Counter[tuple[str, str, str]]:
    """(phase, part, event as text) of what a ledger's file says was answered, with how often."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    bodies = [json.loads(body) for (body,) in database.execute("SELECT body FROM entries ORDER BY seq")]
    database.close()
    found: Counter[tuple[str, str, str]] = Counter()
    for body in bodies:
        if body["kind"] == "reserve":
            found[body["phase"], body["part"], json.dumps(body["event"], sort_keys=True)] += body["count"]
    return found


def by_hand(counts: Counter[tuple[str, str, str]], made: Mechanisms) -> float:
    """Epsilon of one person, whose records are all training or all test records, by dp-accounting alone.

    Of delta goes off what the noise that is drawn can differ from the noise that is accounted, at the plan's epsilon.
    """
    privacy = made.plan.privacy
    delta = privacy.delta - (1 + math.exp(privacy.epsilon)) * made.distance
    parts = {part for _, part, _ in counts} - {"all"} or {"all"}
    return max(
        composed([(json.loads(event), times) for (_, of, event), times in counts.items() if of in (part, "all")], delta)
        for part in parts
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_plans_claim_is_what_its_ledgers_compose_to(name: str, tmp_path: Path):
    made = made_of(name)
    plan = made.plan
    # One of each group: the others would say the same.
    parties = [plan.members(group)[0].name for group in plan.groups]
    paths = {party: written(made, party, tmp_path / f"{party}.db") for party in parties}
    ledgers = {party: charged(path) for party, path in paths.items()}
    # A sum of a group is one release, however many parties are in it.
    whole: Counter[tuple[str, str, str]] = Counter()
    for counts in ledgers.values():
        whole |= counts
    claimed = by_hand(whole, made)
    assert 0.99 * plan.privacy.epsilon < claimed <= plan.privacy.epsilon
    assert made.claim() == pytest.approx(claimed, rel=1e-4)
    found = {party: verify_ledger(path, simulation=True) for party, path in paths.items()}
    assert all(one.ok for one in found.values()), [one.findings for one in found.values()]
    assert joint_claims(found.values())[0].epsilon == pytest.approx(claimed, rel=1e-4)
    for party, one in found.items():
        # What it has no answers of itself, its records move all the same: the other sides' sums, at the planned count.
        moved = {other.group for other in plan.parties if plan.lenders in (other.group, plan.party(party).group)}
        moved |= {plan.party(party).group}
        of_moved = {phase.name for phase in made.phases if phase.group in moved}
        seen = Counter({key: times for key, times in whole.items() if key[0] in of_moved})
        assert own_claim(one, plan) == pytest.approx(by_hand(seen, made), rel=1e-4)
        assert one.state is not None
        assert BudgetCheck().epsilon(one.state) == pytest.approx(by_hand(seen, made), rel=5e-3)


def own_claim(found: Verification, plan: Plan) -> float:
    """What a verification says of a plan."""
    return next(claim.epsilon for claim in found.claims if claim.name == plan.hash)
