"""Calibration: counts of training records over score cells and labels."""

from __future__ import annotations

from sealscore.shared.phases.kind import Kind, SummedKind
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.towers import planned_tower


class Calibrate(SummedKind):
    """A record stands in one cell of one table."""

    kind, title = Kind.CALIBRATE, "Calibrate"
    parts = frozenset({"bins"})

    def longest(self, plan: Plan, tower: str) -> int:
        """Cells times two labels."""
        return 2 * plan.evaluation.cells

    def share(self, plan: Plan, tower: str) -> float:
        """As the plan says."""
        return planned_tower(plan, tower).calibration
