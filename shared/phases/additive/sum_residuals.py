"""Calibration by the additive recipe: sums of residuals and of curvature over a few tents of the score."""

from __future__ import annotations

from sealscore.shared.model.additive.curve import SUMS
from sealscore.shared.phases.additive.tower_budget import part_of
from sealscore.shared.phases.kind import Kind, SummedKind, Written
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.towers import planned_tower


class SumResiduals(SummedKind):
    """A record adds a vector of norm at most 1 (docs/proofs/additive.md)."""

    kind, title = Kind.RESIDUALS, "Calibrate the curve"
    parts = frozenset({"bins", "codes"})
    written = Written.RESIDUALS

    def longest(self, plan: Plan, tower: str) -> int:
        """Residuals by knot, curvature by knot and by neighbours."""
        return SUMS

    def share(self, plan: Plan, tower: str) -> float:
        """As the recipe says; all of the tower's part where nothing is trained."""
        if plan.scores_from is not None:
            return planned_tower(plan, tower).calibration
        return part_of(plan, tower, lambda shares: shares.calibration)
