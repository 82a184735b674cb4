"""The rate: counts of training records with a good outcome and with a bad one."""

from __future__ import annotations

from sealscore.shared.phases.additive.tower_budget import part_of
from sealscore.shared.phases.kind import Kind, SummedKind
from sealscore.shared.plan.plan import Plan


class CountOutcomes(SummedKind):
    """A record stands in one of two counts."""

    kind, title = Kind.RATE, "Count outcomes"

    def longest(self, plan: Plan, tower: str) -> int:
        """Good, then bad."""
        return 2

    def share(self, plan: Plan, tower: str) -> float:
        """As the recipe says."""
        return part_of(plan, tower, lambda shares: shares.rate)
