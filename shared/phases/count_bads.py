"""The rate: a count of training records with a bad outcome."""

from __future__ import annotations

from sealscore.shared.phases.kind import Kind, SummedKind
from sealscore.shared.phases.tower_budget import fit_shares, tower_part
from sealscore.shared.plan.plan import Plan


class CountBads(SummedKind):
    """A record adds its label."""

    kind, title = Kind.RATE, "Count bad outcomes"

    def longest(self, plan: Plan, group: str) -> int:
        """One count."""
        return 1

    def share(self, plan: Plan, group: str) -> float:
        """As the recipe says."""
        return tower_part(plan) * fit_shares(plan, group).rate
