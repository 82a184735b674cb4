"""Whether what an entry says was released is what the approved plan prescribes, under the noise that it prescribes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from sealscore.shared.crypto.payloads import bits_for
from sealscore.shared.dp.events import Disclosure, Event, NoNoise, RandomizedResponse
from sealscore.shared.identity.identity import Card
from sealscore.shared.ledger.entries import Disclose, Part, Reserve
from sealscore.shared.ledger.state import PlanState
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan

Faults = Iterator[tuple[str, str]]


class Prescribed(NamedTuple):
    """What a plan prescribes for a phase with a sum: its event, or in its place why that cannot be computed."""

    event: Event | None
    problem: str
    part: Part


# Own noise is a share of the whole, written down with less than this of rounding.
_SAME_NOISE = 1e-6


def plan_faults(plan: Plan, card: Card) -> Faults:
    """What is wrong with the approval of a plan by the holder of this card: (code, words) for each."""
    if not plan.enrolled:
        if not card.simulation:
            yield "card", f"the plan {plan.name} names no cards, so nobody could know whose messages they are"
    elif plan.cards[card.name].key != card.key:
        yield "card", f"the plan {plan.name} names another key of {card.name} than the one that signs this ledger"
    if plan.privacy.noise == "none" and not card.simulation:
        yield "noise", f"the plan {plan.name} adds no noise: it is for simulations only"
    if plan.platforms and plan.alignment.method != "private" and not card.simulation:
        yield "noise", f"the plan {plan.name} aligns in the open: it is for simulations only"


def prescribed(state: PlanState, phase: Phase) -> Prescribed:
    """What the plan prescribes for a phase with a sum."""
    try:
        return Prescribed(state.mechanisms.event(phase), "", state.part(phase))
    except PlanError as error:
        return Prescribed(None, str(error), state.part(phase))


class Reservations:
    """Compares a party's reservations with its plans; what these prescribe is computed once."""

    def __init__(self, party: str) -> None:
        self._party = party
        self._known: dict[tuple[str, str], Prescribed] = {}

    def faults(self, state: PlanState, entry: Reserve) -> Faults:
        """Where a reservation is not as the plan prescribes: (code, words) for each."""
        plan = state.plan
        found = state.phases.get(entry.phase)
        if found is None or found[1].paired:
            return
        phase = found[1]
        group, members = plan.groups[phase.group], len(plan.members(phase.group))
        if plan.party(self._party).group != phase.group:
            yield "group", f"{entry.phase} is of the group {phase.group}, to which {self._party} does not belong"
        if not 1 <= entry.round <= phase.rounds:
            yield "round", f"{entry.phase} has the rounds 1 to {phase.rounds}, not {entry.round}"
        yield from self._mechanism(state, phase, entry)
        if not group.min_parties <= entry.cohort <= members:
            yield "cohort", f"a cohort of {entry.cohort}, where the plan allows {group.min_parties} to {members}"
        # Entries of earlier versions count on nobody where the plan says 0.
        counted, stated = entry.max_colluding, plan.insiders(phase.group)
        if counted not in (group.max_colluding, stated):
            yield "colluding", f"it counts on {counted} parties that know their own noise, and the plan on {stated}"
        if plan.privacy.noise != "none":
            share = own_share(plan, phase, entry.cohort, entry.max_colluding)
            if not math.isclose(entry.own_noise, share, rel_tol=0.0, abs_tol=_SAME_NOISE):
                yield "own-noise", f"own noise is {entry.own_noise:.6g} of what is charged, and must be {share:.6g}"

    def _mechanism(self, state: PlanState, phase: Phase, entry: Reserve) -> Faults:
        key = (entry.plan, entry.phase)
        if key not in self._known:
            self._known[key] = prescribed(state, phase)
        event, problem, part = self._known[key]
        if state.plan.evaluation.split.moves and entry.part != part:
            yield (
                "part",
                f"it is charged to {entry.part} persons alone, and the plan's split by date moves persons: there is "
                "less noise than that takes, and the figures here add up everything",
            )
            return
        if event is None:
            yield "event", f"what {entry.phase} costs cannot be computed from the plan: {problem}"
        elif entry.event != event:
            yield "event", f"{entry.phase} is charged as {_told(entry.event)}, and the plan prescribes {_told(event)}"
        if entry.part != part:
            yield "part", f"it reads records of {entry.part} persons, and {entry.phase} those of {part}"


def own_share(plan: Plan, phase: Phase, cohort: int, insiders: int) -> float:
    """Standard deviation of the noise that each party of a cohort adds over that on which the event counts.

    1 / sqrt(cohort - insiders), so that the others add all of it together (docs/proofs/shared-noise.md); 1 where each
    adds all of it.
    """
    if phase.kind is Kind.TRAIN and plan.training.local is not None:
        return 1.0
    return 1.0 / math.sqrt(max(1, cohort - insiders))


def disclose_faults(state: PlanState, party: str, entry: Disclose) -> Faults:
    """Where a disclosure of a party is not as the plan prescribes: (code, words) for each."""
    plan = state.plan
    found = state.phases.get(entry.phase)
    if found is None or not found[1].paired:
        return
    phase = found[1]
    names = {one.name: one.group for one in plan.parties}
    pair = {names.get(party), names.get(entry.peer)}
    if pair != {plan.lenders, phase.group}:
        yield "peer", f"{entry.phase} is between lenders and {phase.group}, not with {entry.peer}"
    if phase.kind is Kind.REUSE:
        yield "disclosed", f"{entry.phase} discloses nothing, and the entry says that it did"
        return
    if entry.fresh > entry.persons:
        yield "disclosed", f"{entry.fresh} persons are disclosed for the first time, of {entry.persons} in all"
    expected = _disclosed(plan, phase)
    if entry.event not in [_to(expected, name) for name in (entry.peer, party)]:
        told = _told(_to(expected, entry.peer))
        yield "disclosed", f"{entry.phase} is noted as {_told(entry.event)}, and the plan prescribes {told}"


def _disclosed(plan: Plan, phase: Phase) -> Event:
    """What a payload of a paired phase discloses of one person; the recipient is left open."""
    if phase.kind is Kind.LABELS:
        epsilon = plan.privacy.label_epsilon
        if epsilon is None:
            return NoNoise(count=1, what=phase.name)
        return RandomizedResponse(epsilon=epsilon, count=1)
    bits = 1
    if phase.kind is Kind.SIGNAL:
        bits = plan.model.signal_bits
    elif phase.kind is Kind.GROUPS:
        bits = bits_for(math.prod(len(plan.bands(name)) for name in plan.groups_at(phase.group)))
    return Disclosure(bits=bits, recipient="?", count=1)


def _to(event: Event, recipient: str) -> Event:
    return event.model_copy(update={"recipient": recipient}) if isinstance(event, Disclosure) else event


@lru_cache(maxsize=64)
def _told(event: Event) -> str:
    shown = event.model_dump(exclude={"unit", "neighbouring", "kind"})
    return f"{event.kind} ({', '.join(f'{name} {value}' for name, value in shown.items())})"
