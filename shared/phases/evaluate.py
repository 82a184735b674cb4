"""Evaluation: counts of test records over score cells and labels, all and by the bands of each group."""

from __future__ import annotations

import math

from sealscore.shared.phases.kind import Kind, SummedKind
from sealscore.shared.plan.plan import Plan


class Evaluate(SummedKind):
    """A record stands in one cell of each table: that of all, and one for each group."""

    kind, title = Kind.EVALUATE, "Evaluate"
    parts = frozenset({"bins"})
    test = True

    def longest(self, plan: Plan, group: str) -> int:
        """Cells times two labels, of all and of each band of each group."""
        return 2 * plan.evaluation.cells * (1 + sum(len(plan.bands(name)) for name in plan.evaluation.groups))

    def share(self, plan: Plan, group: str) -> float:
        """As the plan says."""
        return plan.privacy.shares.evaluation

    def sensitivity(self, plan: Plan, group: str) -> float:
        """One cell of each table changes by one."""
        return math.sqrt(1 + len(plan.evaluation.groups))
