"""First passages: counts of all loans over months, days past due and bands."""

from __future__ import annotations

import math

from sealscore.shared.phases.kind import Kind, SummedKind
from sealscore.shared.plan.plan import Plan


class CountPassages(SummedKind):
    """A loan stands in at most one cell of each table for each event: once opened, and first 30, 60, 90 days past due.

    Several loans of a person can fall into one cell, so a person moves the sum by the number of the loans counted times
    what one loan does, and not by its root.
    """

    kind, title = Kind.PASSAGES, "Count first passages"

    def longest(self, plan: Plan, tower: str) -> int:
        """Months times events times bands, of all tables."""
        return plan.counted.cells(plan.groups[plan.lenders].table)

    def share(self, plan: Plan, tower: str) -> float:
        """All of the budget."""
        return 1.0

    def sensitivity(self, plan: Plan, tower: str) -> float:
        """One cell for each event of each table changes by one: sqrt(3) with one table, 2 with originations."""
        asked = plan.counted
        return math.sqrt(len(asked.events) * len(asked.by))
