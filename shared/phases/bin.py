"""Bins: counts of training records over the public cells of every feature of a group's tower."""

from __future__ import annotations

import math

from sealscore.shared.model.bins import histogram_length
from sealscore.shared.phases.kind import Kind, SummedKind
from sealscore.shared.plan.features import tower_features
from sealscore.shared.plan.plan import Plan


class Bin(SummedKind):
    """A record stands in one cell of each feature."""

    kind, title = Kind.BIN, "Cut features into bins"

    def longest(self, plan: Plan, group: str) -> int:
        """All cells of all features."""
        return histogram_length(tower_features(plan, group), plan.model.grid_cells)

    def share(self, plan: Plan) -> float:
        """As the plan says."""
        return plan.privacy.shares.bins

    def sensitivity(self, plan: Plan, group: str) -> float:
        """One cell of each feature changes by one."""
        return math.sqrt(len(tower_features(plan, group)))
