"""Evaluation: counts of test records over score cells and labels, all and by the bands of attributes."""

from __future__ import annotations

import math

import numpy as np

from sealscore.shared.phases.kind import Kind, SummedKind
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.towers import planned_tower

# Weights are whole multiples of this, the unit in which counts are summed, so that no weighted count is rounded.
WEIGHT_UNIT = 2.0**-6


class Evaluate(SummedKind):
    """A record stands in one cell of each table: that of all, and one for each attribute."""

    kind, title = Kind.EVALUATE, "Evaluate"
    parts = frozenset({"bins"})
    test = True

    def longest(self, plan: Plan, tower: str) -> int:
        """Cells times two labels, of all and of each band of each attribute."""
        return len(entry_weights(plan, tower))

    def share(self, plan: Plan, tower: str) -> float:
        """As the plan says."""
        return planned_tower(plan, tower).evaluation

    def sensitivity(self, plan: Plan, tower: str) -> float:
        """One cell of each table changes by one, times the table's weight (docs/proofs/shared-noise.md, section 2)."""
        overall, band = table_weights(plan, tower)
        return math.sqrt(overall**2 + len(planned_tower(plan, tower).bands) * band**2)


def table_weights(plan: Plan, tower: str) -> tuple[float, float]:
    """By what a count is multiplied in the sum: in the table of all test persons, and in those of bands.

    The larger one is 1. Both are multiples of `WEIGHT_UNIT`, so a released count of a table has the noise of the sum
    over its weight, and the squares of the weights share the budget as `evaluation.overall_share` says, to the unit.
    """
    share, groups = plan.evaluation.overall_share, len(planned_tower(plan, tower).bands)
    if share is None or not groups:
        return 1.0, 1.0
    ratio = math.sqrt((1 - share) / (groups * share))
    return _to_unit(min(1.0, 1 / ratio)), _to_unit(min(1.0, ratio))


def entry_weights(plan: Plan, tower: str) -> np.ndarray:
    """The weight of each entry of the sum: float64 [2 * cells * tables], the table of all first."""
    overall, band = table_weights(plan, tower)
    bands = sum(len(plan.bands(name)) for name in planned_tower(plan, tower).bands)
    return np.repeat([overall, *[band] * bands], 2 * plan.evaluation.judged_cells)


def _to_unit(weight: float) -> float:
    return max(1, round(weight / WEIGHT_UNIT)) * WEIGHT_UNIT
