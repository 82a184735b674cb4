"""What a lender's own repayments say of the guess by which a plan of counts is judged: for its own operator alone."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from sealscore.clients.monitoring.passages import passages
from sealscore.shared.monitoring.power import LEAST_POWER, power
from sealscore.shared.plan.monitoring import OPENED, PASSAGES
from sealscore.shared.plan.plan import Plan

FAR_OFF = 1.5
"""A guess is far off where it is so many times what the own loans show."""


@dataclass(frozen=True)
class OwnPassing:
    """Of so many own loans that the plan's months opened those that were ever 30 days past due, and the chance of
    finding a shift if it were so at all lenders.
    """

    loans: int
    passed: int
    guess: float
    chance: float

    @classmethod
    def of(cls, plan: Plan, rows: pl.DataFrame) -> OwnPassing | None:
        """By rows of the table of repayments (`RepaymentTable.histories`); None where the guess judges nothing, or no
        loan was opened in the plan's months.

        Raises:
            PlanError: no noise gives what the plan claims.
        """
        asked = plan.monitoring
        if asked is None or asked.originations or plan.privacy.noise == "none":
            return None
        first, last = (int(month.replace("-", "")) for month in (asked.first_month, asked.last_month))
        found = passages(rows).filter(pl.col(OPENED).is_between(first, last))
        if found.is_empty():
            return None
        passed = found.height - found[PASSAGES[0]].null_count()
        # No loan passed: as if half a one had.
        share = min(1 - 1e-9, max(passed, 0.5) / found.height)
        return cls(found.height, passed, asked.passing, power(plan.replace(monitoring__passing=share)).chance)

    @property
    def share(self) -> float:
        """The share of the own loans."""
        return self.passed / self.loans

    @property
    def words(self) -> str:
        """What the operator reads; it leaves the node nowhere."""
        return (
            f"{self.share:.3g} of {self.loans:,} own loans that the plan's months opened passed 30 days, by the plan's "
            f"guess {self.guess:.3g}; if it is so at all lenders, a shift is found with the chance {self.chance:.3g}"
        )

    @property
    def warning(self) -> str | None:
        """Why the guess talks the power up, where it is far above what chance can make of the own loans."""
        deviation = (self.guess * (1 - self.guess) * self.loans) ** 0.5
        by_chance = self.passed > self.guess * self.loans - 2 * deviation
        if by_chance or self.guess < FAR_OFF * self.share or self.chance >= LEAST_POWER:
            return None
        return (
            f"monitoring.passing = {self.guess:g} is far above the own share, {self.share:.3g}, by which the chance of "
            f"finding a shift is {self.chance:.3g}, below {LEAST_POWER:g}: ask for another guess, or for fewer tables"
        )
