"""What the ledgers of one federation say together of a person who is at all of their parties.

A sum over several parties is one release, however many ledgers speak of it: each states the mechanism of the whole
sum, and a person's records at several parties are in its sensitivity. So of each phase the largest number of answers
that any party gave counts, and the phases of all groups compose; those of a group without a ledger here as often as
the plan allows, if these parties' records move them. Where all ledgers of a run are given, the figure is the run's own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sealscore.compliance.verify.budgets import bounded
from sealscore.compliance.verify.verification import Verification
from sealscore.shared.dp.events import Event, RandomizedResponse
from sealscore.shared.ledger.budget_check import Used
from sealscore.shared.ledger.entries import PARTS, Part
from sealscore.shared.ledger.state import PlanState
from sealscore.shared.plan.plan import Plan


@dataclass(frozen=True)
class JointClaim:
    """Epsilon of one plan, at its delta, for a person with records at all parties of these ledgers.

    `answers` counts a phase's answers. `against_platforms` is composed with the person's noisy labels, None where the
    plan releases none. `missing` are parties of the plan whose ledgers were not given: where a whole group is among
    them with which one of these parties exchanged something, all that is in its budget counts as answered. Figures are
    infinite where nothing bounds them.
    """

    plan: Plan
    parties: tuple[str, ...]
    missing: tuple[str, ...]
    answers: dict[str, int]
    epsilon: float
    against_platforms: float | None

    @property
    def delta(self) -> float:
        """The plan's delta, at which the figures are."""
        return self.plan.privacy.delta

    @property
    def whole(self) -> bool:
        """Whether every group of the plan is there with all of its parties."""
        return not self.missing

    def as_json(self) -> dict[str, Any]:
        """For machines: plain data; a figure that nothing bounds is null."""
        platforms = self.against_platforms
        return {
            "plan": self.plan.hash,
            "name": self.plan.name,
            "parties": list(self.parties),
            "missing": list(self.missing),
            "answers": self.answers,
            "epsilon": self.epsilon if math.isfinite(self.epsilon) else None,
            "epsilon_against_platforms": platforms if platforms is not None and math.isfinite(platforms) else None,
            "delta": self.delta,
        }


def joint_claims(ledgers: Iterable[Verification]) -> list[JointClaim]:
    """One claim for each plan that is approved in any of these ledgers, by the plan's name.

    Two files of one party's ledger count as one party. Findings in the ledgers are not looked at: a claim is worth as
    much as the verification that it is made of.
    """
    found: dict[str, dict[str, PlanState]] = {}
    for ledger in ledgers:
        for key, state in (ledger.state.plans if ledger.state else {}).items():
            found.setdefault(key, {})[ledger.party] = state
    return sorted((_claim(of) for of in found.values()), key=lambda claim: (claim.plan.name, claim.plan.hash))


def _claim(states: dict[str, PlanState]) -> JointClaim:
    one = next(iter(states.values()))
    plan, mechanisms = one.plan, one.mechanisms
    used, unseen = used_by(list(states.values())), _unseen(list(states.values()))
    events = used.events
    delta, ceiling = plan.privacy.delta, plan.privacy.epsilon
    answers = {
        name: phase.attempts if phase.group in unseen else max(s.spent[name] for s in states.values())
        for name, (_, phase) in one.phases.items()
        if not phase.paired
    }
    epsilon = bounded([used], delta, ceiling)
    platforms = None
    if (labels := labels_of(plan)) is not None and math.isfinite(epsilon):
        part: Part = "all" if len(mechanisms.composed) == 1 else "training"
        labelled = {**events, part: events[part] + Counter({labels: 1})}
        platforms = bounded([Used(used.division, labelled, used.distance)], delta, ceiling)
    names = [party.name for party in plan.parties]
    return JointClaim(
        plan,
        tuple(name for name in names if name in states),
        tuple(name for name in names if name not in states),
        answers,
        epsilon,
        platforms,
    )


def labels_of(plan: Plan) -> RandomizedResponse | None:
    """The noisy labels of one person that platforms may have, at all lenders; all platforms get the same coin."""
    epsilon = plan.privacy.label_epsilon
    if not plan.platforms or epsilon is None:
        return None
    lenders = len(plan.members(plan.lenders))
    return RandomizedResponse(epsilon=epsilon, count=min(plan.privacy.max_parties_per_person or lenders, lenders))


def used_by(states: Sequence[PlanState]) -> Used:
    """What one plan has used of a person at all parties of these ledgers.

    The rule of division leaves out the name of the column, which parties have each for themselves.
    """
    one = states[0]
    events, elsewhere = _merged(states), one.elsewhere(_unseen(states))
    division = one.division
    return Used(
        None if division is None else division._replace(column=""),
        {part: events[part] + elsewhere[part] for part in PARTS},
        one.mechanisms.distance,
    )


def _unseen(states: Sequence[PlanState]) -> frozenset[str]:
    """Groups that these parties exchanged something with, and of which no party's ledger is here."""
    here = {state.plan.party(state.party).group for state in states}
    return frozenset().union(*(state.exchanged for state in states)) - here


def _merged(states: Sequence[PlanState]) -> dict[Part, Counter[Event]]:
    """Events by part of persons: of each phase, each event as often as the party has it that gave it most often."""
    most: dict[str, Counter[tuple[Part, Event]]] = {}
    for state in states:
        own: dict[str, Counter[tuple[Part, Event]]] = {}
        for reservation in state.reservations.values():
            entry = reservation.entry
            own.setdefault(entry.phase, Counter())[entry.part, entry.event] += reservation.spent
        for phase, counts in own.items():
            most[phase] = most.get(phase, Counter()) | counts
    events: dict[Part, Counter[Event]] = {part: Counter() for part in PARTS}
    for counts in most.values():
        for (part, event), times in counts.items():
            events[part][event] += times
    return events
