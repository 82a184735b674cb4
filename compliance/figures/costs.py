"""What a ledger has cost: spent, set aside and left under every ceiling, and how it grew."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sealscore.compliance.verify.account import Account
from sealscore.compliance.verify.budgets import bounded
from sealscore.compliance.verify.verification import Claim
from sealscore.shared.dp.events import Event
from sealscore.shared.ledger.budget_check import Used, released_labels
from sealscore.shared.ledger.entries import PARTS, Abort, Answer, Disclose, Part, Reserve
from sealscore.shared.ledger.state import PlanState
from sealscore.shared.plan.errors import PlanError

_STEPS = 40
# Each moment composes every distinct event up to it.
_COMPOSITIONS = 3000


@dataclass(frozen=True)
class Cost:
    """A claim with what may come: `planned` is what was spent with all that live plans may still use.

    `state` is that of a plan. Figures are infinite where nothing bounds them.
    """

    claim: Claim
    state: str
    planned: float

    @property
    def spent(self) -> float:
        """Epsilon of what counts as answered."""
        return self.claim.epsilon

    @property
    def limit(self) -> float | None:
        """The ceiling, None where there is none."""
        return self.claim.ceiling

    @property
    def reserved(self) -> float:
        """What live plans may add."""
        return self.planned - self.spent if math.isfinite(self.spent) else 0.0

    @property
    def left(self) -> float | None:
        """What is neither spent nor set aside; None without a ceiling."""
        return None if self.limit is None else max(0.0, self.limit - self.planned)


@dataclass(frozen=True)
class CostMoment:
    """Epsilon of a data set after so many answers; `plan` and `phase` are those of the last of them."""

    answers: int
    at: datetime | None
    plan: str
    phase: str
    epsilon: float


def costs(account: Account, claims: Sequence[Claim]) -> list[Cost]:
    """Claims of a ledger, each with what its live plans may add."""
    live = {key for key, plan in account.state.plans.items() if plan.state == "live"}
    used = {key: _planned(plan) if key in live else Used.of(plan) for key, plan in account.state.plans.items()}
    found = []
    for claim in claims:
        within = [
            key
            for key, plan in account.state.plans.items()
            if claim.scope == "data-set" or claim.name == (key if claim.scope == "plan" else plan.plan.purpose_code)
        ]
        planned = claim.epsilon
        if live.intersection(within) and math.isfinite(claim.epsilon):
            planned = max(planned, bounded([used[key] for key in within], claim.delta, claim.ceiling))
        state = account.state.plans[claim.name].state if claim.scope == "plan" and within else ""
        found.append(Cost(claim, state, planned))
    return found


def _planned(plan: PlanState) -> Used:
    """All that is in a live plan's budget. Under a plan that no noise can meet, nothing more is ever answered."""
    try:
        return Used.of(plan, planned=True)
    except PlanError:
        return Used.of(plan)


def against_platforms(account: Account) -> float | None:
    """Epsilon of what was spent composed with the noisy labels that were sent, at the ceilings' delta.

    All recipients get the same coin, so a label of one outcome and epsilon counts once. None where none was sent.
    """
    labels = released_labels(account.state)
    if not labels or account.ceilings is None:
        return None
    used = [Used.of(plan) for plan in account.plans]
    return bounded(used, account.ceilings.delta, account.ceilings.epsilon, list(labels.values()))


def moments(account: Account) -> list[CostMoment]:
    """Epsilon along a ledger's releases: after every phase of every plan and within long ones, fewer if that is much.

    An answer that was reserved counts as given, and sums of another group that this party's records move as given as
    often as the plan allows from the first exchange with it on.
    """
    ceilings = account.ceilings
    if ceilings is None:
        return []
    steps = list(_steps(account))
    chosen = _chosen(steps)
    rules = {key: Used.of(plan) for key, plan in account.state.plans.items()}
    charged: dict[str, dict[Part, Counter[Event]]] = {}
    answers = 0
    found = [CostMoment(0, steps[0].at, "", "", 0.0)] if steps else []
    for place, step in enumerate(steps):
        parts = charged.setdefault(step.plan, {part: Counter() for part in PARTS})
        for part, counts in step.events.items():
            parts[part].update(counts)
        answers += step.answers
        if place in chosen:
            used = [Used(rules[plan].division, events, rules[plan].distance) for plan, events in charged.items()]
            epsilon = bounded(used, ceilings.delta, ceilings.epsilon)
            found.append(CostMoment(answers, step.at, step.plan, step.phase, epsilon))
    return found


@dataclass(frozen=True)
class _Step:
    """What was charged at once: a reservation, less those of its answers that never left, or the sums of a group."""

    plan: str
    phase: str
    at: datetime | None
    answers: int
    events: Mapping[Part, Counter[Event]]


def _steps(account: Account) -> Iterable[_Step]:
    aborted: Counter[int] = Counter()
    for _, abort in account.of(Abort):
        aborted[abort.reserve] += abort.count
    met: dict[str, set[str]] = {}
    for line in account.lines:
        entry = line.entry
        plan = account.state.plans.get(getattr(entry, "plan", ""))
        if plan is None:
            continue
        if isinstance(entry, Reserve) and (left := entry.count - aborted[line.seq]) > 0:
            yield _Step(entry.plan, entry.phase, line.at, left, {entry.part: Counter({entry.event: left})})
        elif isinstance(entry, Answer | Disclose) and entry.phase in plan.phases:
            group = plan.other_group(plan.phases[entry.phase][1])
            if group in plan.exchanged and group not in met.setdefault(entry.plan, set()):
                met[entry.plan].add(group)
                yield _Step(entry.plan, entry.phase, line.at, 0, plan.elsewhere([group]))


def _chosen(steps: Sequence[_Step]) -> set[int]:
    """The places of steps after which epsilon is composed."""
    if not steps:
        return set()
    different = {event for step in steps for counts in step.events.values() for event in counts}
    most = max(12, min(_STEPS, _COMPOSITIONS // max(1, len(different))))
    stretches = _stretches(steps, lambda step: (step.plan, step.phase))
    if len(stretches) > most:
        stretches = _stretches(steps, lambda step: step.plan)
    if len(stretches) > most:
        ends = [stretches[round(k * (len(stretches) - 1) / (most - 1))][1] for k in range(most)]
        return set(ends)
    # Epsilon rises steeply at first, so the beginning of a long stretch is looked at more closely.
    about = max(1, min(8, most // len(stretches)))
    return {
        first + max(1, -(-(last - first + 1) * k * k // about**2)) - 1
        for first, last in stretches
        for k in range(1, about + 1)
    }


def _stretches(steps: Sequence[_Step], key: Callable[[_Step], object]) -> list[tuple[int, int]]:
    """First and last place of each run of steps that have the same key."""
    found = []
    for _, group in groupby(enumerate(steps), key=lambda pair: key(pair[1])):
        places = [place for place, _ in group]
        found.append((places[0], places[-1]))
    return found
