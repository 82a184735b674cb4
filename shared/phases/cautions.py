"""What a plan cannot give, from its public numbers alone: said before anything is spent, and no reason to refuse."""

from __future__ import annotations

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


def cautions(plan: Plan) -> list[Caution]:
    """What to say of a plan before it runs; empty where there is nothing, or no noise."""
    if plan.privacy.noise == "none":
        return []
    found = []
    if (signal := signal_over_noise(plan)) < LEAST_SIGNAL:
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
