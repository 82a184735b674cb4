"""Bins: counts of training records over the public cells of every feature of a tower."""

from __future__ import annotations

import math

from sealscore.shared.phases.additive.tower_budget import part_of
from sealscore.shared.phases.bin_rule import bin_rule
from sealscore.shared.phases.kind import Kind, SummedKind
from sealscore.shared.plan.features import tower_features
from sealscore.shared.plan.plan import Plan


class Bin(SummedKind):
    """A record stands in one cell of each feature."""

    kind, title = Kind.BIN, "Cut features into bins"

    def longest(self, plan: Plan, tower: str) -> int:
        """All cells of all features."""
        return bin_rule(plan, tower).length

    def share(self, plan: Plan, tower: str) -> float:
        """As the plan says, the same for all towers; or as the recipe does."""
        if plan.training.auto:
            return part_of(plan, tower, lambda shares: shares.bins)
        return plan.privacy.shares.bins / len(plan.trained)

    def sensitivity(self, plan: Plan, tower: str) -> float:
        """One cell of each feature changes by one."""
        return math.sqrt(len(tower_features(plan, tower)))
