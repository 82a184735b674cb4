"""Edges of the signal: counts of aligned training records over the public cells of the tower's logit."""

from __future__ import annotations

from sealscore.shared.model.signal import CELLS
from sealscore.shared.phases.kind import Kind, SummedKind
from sealscore.shared.plan.plan import Plan


class SignalEdges(SummedKind):
    """A record stands in one cell."""

    kind, title = Kind.EDGES, "Cut the signal into levels"
    parts = frozenset({"bins"})

    def longest(self, plan: Plan, tower: str) -> int:
        """The cells."""
        return CELLS

    def share(self, plan: Plan, tower: str) -> float:
        """As the plan says, the same for all kinds of platforms."""
        return plan.privacy.shares.signal / len(plan.platforms)
