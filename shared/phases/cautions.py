"""What a plan cannot give, from its public numbers alone: said before anything is spent, and no reason to refuse."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sealscore.shared.closed_forms import gaussian_mu
from sealscore.shared.model.recipe.facts import LEAST_RATE, Facts
from sealscore.shared.plan.plan import Plan

LEAST_SIGNAL = 3.0
"""Signal over noise below which one training differs from the next by more than any setting changes: measured on
seven credit tables."""


@dataclass(frozen=True)
class Caution:
    """One thing that a reader of figures must know: a code for programs, and words."""

    code: str
    words: str


def signal_over_noise(plan: Plan) -> float:
    """`Facts.signal_to_noise` of the lenders' nominal training records and the features of all groups.

    Where no bad rate is declared, the smallest that `Facts` knows.
    """
    lenders = plan.members(plan.lenders)
    records = sum(plan.nominal_training(party) for party in lenders)
    mu = gaussian_mu(plan.privacy.epsilon, plan.privacy.delta) / plan.multiplicity(plan.lenders)
    features = sum(len(group.table.scored) for group in plan.groups.values())
    return Facts.of(records, records * (plan.outcome.bad_rate or LEAST_RATE), features, mu).signal_to_noise


def gain_over_alone(plan: Plan) -> float:
    """Signal over noise of all lenders together against that of the largest by itself at the same epsilon.

    Together they have more records; but a person may be at several of them, and noise is shared among those only who
    do not know it from inside, or, with local steps, among none.
    """
    lenders = plan.members(plan.lenders)
    records = [plan.nominal_training(party) for party in lenders]
    parties, insiders = len(lenders), plan.insiders(plan.lenders)
    excess = parties if plan.training.local is not None else parties / (parties - insiders)
    spread = plan.multiplicity(plan.lenders) / plan.privacy.max_records_per_person
    return sum(records) / max(records) / spread / math.sqrt(excess)


def cautions(plan: Plan) -> list[Caution]:
    """What to say of a plan before it runs; empty where there is nothing, or no noise."""
    if plan.privacy.noise == "none":
        return []
    found, trains = [], plan.monitoring is None
    if trains and (signal := signal_over_noise(plan)) < LEAST_SIGNAL:
        rate = plan.outcome.bad_rate
        assumed = f"a bad rate of {rate:g}" if rate else f"a bad rate of {LEAST_RATE:g}, as none is declared"
        found.append(
            Caution(
                "little-signal",
                f"the noise will cover most of what there is to learn: signal over noise is {signal:.2g}, below "
                f"{LEAST_SIGNAL:g} (for {assumed}); more records, a larger epsilon, fewer columns or fewer records and "
                "parties a person would help",
            )
        )
    # With platforms the lenders learn from columns that none of them has.
    if trains and not plan.platforms and len(plan.members(plan.lenders)) > 1 and (gain := gain_over_alone(plan)) < 1:
        found.append(
            Caution(
                "no-gain-over-alone",
                f"the lenders together have {gain:.2g} times the signal over noise that the largest has by itself at "
                "the same epsilon, since a person may be at several of them or each adds noise of its own: unless "
                "their borrowers differ, nobody gains; say at how many parties a person can be "
                "(privacy.max_parties_per_person), or take more lenders",
            )
        )
    persons = sum(party.nominal_records for party in plan.members(plan.lenders))
    if plan.privacy.delta > 1 / persons:
        found.append(
            Caution(
                "large-delta",
                f"delta = {plan.privacy.delta:g} is above 1 / {persons:,}, one in all records: the claim would hold "
                "even if somebody's record were given away",
            )
        )
    return found
