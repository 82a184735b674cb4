"""Bins: counts of training records over the public cells of every feature of a group's tower."""

from __future__ import annotations

import math

from sealscore.shared.phases.additive.tower_budget import fit_shares, tower_part
from sealscore.shared.phases.bin_rule import bin_rule
from sealscore.shared.phases.kind import Kind, SummedKind
from sealscore.shared.plan.features import tower_features
from sealscore.shared.plan.plan import Plan


class Bin(SummedKind):
    """A record stands in one cell of each feature."""

    kind, title = Kind.BIN, "Cut features into bins"

    def longest(self, plan: Plan, group: str) -> int:
        """All cells of all features."""
        return bin_rule(plan, group).length

    def share(self, plan: Plan, group: str) -> float:
        """As the plan says, the same for all towers; or as the recipe does."""
        if plan.training.auto:
            return tower_part(plan) * fit_shares(plan, group).bins
        return plan.privacy.shares.bins / len(plan.groups)

    def sensitivity(self, plan: Plan, group: str) -> float:
        """One cell of each feature changes by one."""
        return math.sqrt(len(tower_features(plan, group)))
