"""Calibration by the additive recipe: sums of residuals and of curvature over a few tents of the score."""

from __future__ import annotations

import math

from sealscore.shared.dp.rounding import grid_for
from sealscore.shared.model.additive.curve import SUMS, residual_error
from sealscore.shared.phases.additive.tower_budget import fit_shares, tower_part
from sealscore.shared.phases.kind import Kind, Measure, SummedKind
from sealscore.shared.plan.plan import Plan


class SumResiduals(SummedKind):
    """A record adds a vector of norm at most 1 (docs/proofs/additive.md)."""

    kind, title = Kind.RESIDUALS, "Calibrate the curve"
    parts = frozenset({"bins", "codes"})

    def longest(self, plan: Plan, group: str) -> int:
        """Residuals by knot, curvature by knot and by neighbours."""
        return SUMS

    def share(self, plan: Plan, group: str) -> float:
        """As the recipe says."""
        return tower_part(plan) * fit_shares(plan, group).calibration

    def measure(self, plan: Plan, group: str, length: int, records: int) -> Measure:
        """Real numbers, rounded to a grid."""
        grid = grid_for(1.0, length)
        return Measure(grid, 1.0, 1.0 + residual_error(records) + grid * math.sqrt(length))
