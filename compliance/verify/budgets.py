"""Budgets, recomputed from the entries: what every plan, purpose and data set has cost, and what was allowed.

Two figures each: with at most the plans' `max_colluding` parties colluding, as the entries state the events, and with
all others of every cohort colluding, when this party's own noise is all that is left in a sum. Both count the sums of
other groups that this party's records move as often as the plan allows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from sealscore.compliance.verify.verification import Claim
from sealscore.shared.dp.accountant import PldAccountant
from sealscore.shared.dp.effort import TooMuchWork
from sealscore.shared.dp.events import Disclosure, Event, Gaussian, NoNoise, SampledGaussian
from sealscore.shared.dp.noise_calibration import UnreachableBudget
from sealscore.shared.ledger.budget_check import Used, composed_epsilon, label_epsilon
from sealscore.shared.ledger.entries import Ceilings, Disclose, Part, Reserve
from sealscore.shared.ledger.state import LedgerState, PlanState


def own_event(entry: Reserve) -> Event:
    """What one answer is under this party's own noise alone."""
    event = entry.event
    if not isinstance(event, Gaussian | SampledGaussian):
        return event
    if entry.own_noise == 0:
        return NoNoise(count=event.count, what=entry.phase)
    return event.model_copy(update={"noise_multiplier": event.noise_multiplier * entry.own_noise})


def used_alone(state: PlanState) -> Used:
    """What counts as answered under a plan, as it is if all others of every cohort of this party collude.

    Sums of other groups are as in the other figure: this party adds no noise to them.
    """
    events: dict[Part, Counter[Event]] = {part: Counter(counts) for part, counts in state.elsewhere().items()}
    for reservation in state.reservations.values():
        if reservation.spent:
            events[reservation.entry.part][own_event(reservation.entry)] += reservation.spent
    whole = Used.of(state)
    return Used(whole.division, events, whole.distance)


def claims(state: LedgerState) -> list[Claim]:
    """The figures of the data set, then of each purpose, then of each plan in the order of approval."""
    ceilings, plans = state.ceilings, list(state.plans.values())
    if ceilings is None or state.opened is None:
        return []
    used = {plan.plan.hash: Used.of(plan) for plan in plans}
    alone = {plan.plan.hash: used_alone(plan) for plan in plans}
    found = [_claim("data-set", state.opened.data_set, "the data set", plans, used, alone, ceilings.epsilon, ceilings)]
    for purpose in sorted({plan.plan.purpose_code for plan in plans} | set(ceilings.purposes)):
        chosen = [plan for plan in plans if plan.plan.purpose_code == purpose]
        limit = ceilings.purposes.get(purpose)
        found.append(_claim("purpose", purpose, f"the purpose {purpose}", chosen, used, alone, limit, ceilings))
    return found + [_plan_claim(plan, used, alone) for plan in plans]


def _claim(
    scope: str,
    name: str,
    title: str,
    plans: Sequence[PlanState],
    used: dict[str, Used],
    alone: dict[str, Used],
    limit: float | None,
    ceilings: Ceilings,
) -> Claim:
    hashes = [plan.plan.hash for plan in plans]
    about = ceilings.epsilon if limit is None else limit
    return Claim(
        "purpose" if scope == "purpose" else "data-set",
        name,
        title,
        bounded([used[one] for one in hashes], ceilings.delta, about),
        bounded([alone[one] for one in hashes], ceilings.delta, about),
        ceilings.delta,
        limit,
    )


def _plan_claim(plan: PlanState, used: dict[str, Used], alone: dict[str, Used]) -> Claim:
    privacy = plan.plan.privacy
    # A plan without noise claims nothing; that it may run in simulations only is another check.
    limit = privacy.epsilon if privacy.noise != "none" else None
    one = plan.plan.hash
    figures = [bounded([of[one]], privacy.delta, privacy.epsilon) for of in (used, alone)]
    return Claim("plan", one, f"the plan {plan.plan.name}", figures[0], figures[1], privacy.delta, limit)


def bounded(used: Sequence[Used], delta: float, limit: float | None, extra: Sequence[Event] = ()) -> float:
    """Epsilon of everything that was used, and of `extra`, at a delta; infinite where nothing bounds it."""
    try:
        return composed_epsilon(used, delta, limit or 1.0, PldAccountant(), extra)
    except (UnreachableBudget, TooMuchWork, OverflowError):
        return math.inf


def signal_bits(state: LedgerState, own: str) -> int:
    """The most bits of signals that the ledger's party, `own`, can have disclosed of one person, over all plans.

    A level under one meaning counts once, to whomever it went. Whether other levels were disclosed of the same persons
    is in the party's disclosure store only, so they are taken to be: this is an upper bound.
    """
    bits: dict[tuple[str, int], int] = {}
    for plan in state.plans.values():
        for place, told in enumerate(plan.disclosures):
            if not told.fresh or not isinstance(told.event, Disclosure) or not _tells_signal(told):
                continue
            if told.event.recipient != own:
                # What has no name may mean something new each time.
                meaning = (told.what, 0) if told.what else (told.plan, place + 1)
                bits[meaning] = max(bits.get(meaning, 0), told.event.bits * told.event.count)
    return sum(bits.values())


def _tells_signal(told: Disclose) -> bool:
    return told.phase.startswith("disclose_signal:")


class Ceiling:
    """Checks a party's ledger against the ceilings that were in force while something was released under them."""

    def __init__(self) -> None:
        self.party = ""
        self._fresh = False
        self._seq = 0

    def released(self, seq: int) -> None:
        """Something was reserved or disclosed by this entry."""
        self._fresh, self._seq = True, seq

    def faults(self, state: LedgerState, known: Sequence[Claim] | None = None) -> Iterator[tuple[str, int, str]]:
        """(code, seq, words) of each ceiling that is exceeded by what was released up to here, `known` its claims.

        Nothing, if nothing was released since the last look: an operator may set a ceiling below what is spent.
        """
        if not self._fresh or state.ceilings is None:
            return
        self._fresh = False
        for claim in claims(state) if known is None else known:
            if not claim.within:
                what = f"{claim.title}: epsilon {claim.epsilon:.6g} at delta {claim.delta:g}, allowed {claim.ceiling:g}"
                yield f"{claim.scope}-budget", self._seq, what
        limit, labels = state.ceilings.label_epsilon, label_epsilon(state)
        if limit is not None and labels > limit * (1 + 1e-9):
            yield "label-budget", self._seq, f"label epsilon {labels:g}, allowed {limit:g}"
        if (bits := signal_bits(state, self.party)) > state.ceilings.signal_bits:
            allowed = state.ceilings.signal_bits
            yield "signal-budget", self._seq, f"up to {bits} bits of a person's signal, allowed {allowed}"
