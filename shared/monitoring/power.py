"""What the noise of a plan of counts lets be seen: the chance of finding that bands moved, from public numbers alone.

The index of a month against the reference months is sum (a - b)^2 / b over bands, the population stability index to
second order, less what chance and noise give by themselves. For bands of equal shares, n loans a month, noise of
variance v in a cell, and a reference of R months, sum (a - b)^2 / b is s times a noncentral chi-square variable of
bands - 1 degrees of freedom, with

    s = (1 + 1 / R) (1 / n) (1 + bands v / n),    noncentrality index / s

A month is compared in each table, and the chance that any comparison finds something where nothing moved is 5 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import chdtr, chdtri, chndtr, chndtrinc

from sealscore.shared.closed_forms import gaussian_mu
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan

ALL_ALARMS = 0.05
SHIFT = 0.1
LEAST_POWER = 0.8
_MOST_EPSILON = 50.0


@dataclass(frozen=True)
class Comparison:
    """A comparison of shares: `scale` is s of the module, `freedom` one less than the bands, `level` its own chance of
    an alarm where nothing moved.
    """

    scale: float
    freedom: float
    level: float

    @property
    def by_chance(self) -> float:
        """What chance and noise give of the index by themselves, which is taken off."""
        return self.scale * self.freedom

    @property
    def threshold(self) -> float:
        """The index above which bands have moved."""
        return self.scale * float(chdtri(self.freedom, self.level)) - self.by_chance

    def power(self, shift: float = SHIFT) -> float:
        """The chance of finding a shift of that index."""
        return 1.0 - float(chndtr(chdtri(self.freedom, self.level), self.freedom, shift / self.scale))

    def interval(self, index: float) -> tuple[float, float]:
        """The 95 % interval of the true index, by inverting its distribution."""
        seen = max(0.0, index + self.by_chance) / self.scale
        return self._shift_of(seen, 0.975), self._shift_of(seen, 0.025)

    def _shift_of(self, seen: float, below: float) -> float:
        """The index of which so large a part of months shows less than what was seen; 0 where none does."""
        if chdtr(self.freedom, seen) <= below:
            return 0.0
        return float(chndtrinc(seen, self.freedom, below)) * self.scale


@dataclass(frozen=True)
class Power:
    """The chance of finding a shift of `SHIFT` in a month of the worst table: `loans` a month at `column`'s bands."""

    column: str
    loans: float
    noise: float
    chance: float

    @property
    def enough(self) -> bool:
        """Whether it is at least `LEAST_POWER`."""
        return self.chance >= LEAST_POWER


def alarm_level(plan: Plan) -> float:
    """The chance of an alarm that each comparison has: `ALL_ALARMS` over all months and tables that are compared."""
    asked = plan.counted
    return ALL_ALARMS / ((len(asked.months) - asked.reference_months) * len(asked.by))


def scale_of(loans: float, bands: int, variance: float, reference_months: int) -> float:
    """s of the module, for so many loans a month and noise of that variance in a cell."""
    return (1 + 1 / reference_months) / loans * (1 + bands * variance / loans)


def loans_a_month(plan: Plan) -> float:
    """Nominal loans that enter the compared event in a month: an equal part of all, or of those that pass 30 days."""
    asked = plan.counted
    loans = sum(party.nominal_records for party in plan.members(plan.lenders)) / len(asked.months)
    return loans if asked.originations else loans * asked.passing


def noise_of(mechanisms: Mechanisms) -> float:
    """Standard deviation of the noise in a cell of the sum over all lenders."""
    (phase,) = mechanisms.phases
    plan = mechanisms.plan
    return mechanisms.mechanism(phase, mechanisms.longest(phase)).total_std(len(plan.members(phase.group)))


def power(plan: Plan, noise: float | None = None) -> Power:
    """The power of a plan of counts; by default at the noise that it prescribes.

    Raises:
        PlanError: no noise gives what the plan claims.
    """
    asked, table = plan.counted, plan.groups[plan.lenders].table
    noise = noise_of(Mechanisms(plan)) if noise is None else noise
    loans, level = loans_a_month(plan), alarm_level(plan)
    found = []
    for name in asked.by:
        bands = max(2, len(asked.band_keys(table, name)))
        scale = scale_of(loans, bands, noise**2, asked.reference_months)
        found.append(Power(name, loans, noise, Comparison(scale, bands - 1, level).power()))
    return min(found, key=lambda one: one.chance)


def too_weak(plan: Plan) -> list[str]:
    """Why a plan of counts would mislead who reads it, with the figure and the fix; empty for any other plan."""
    if plan.monitoring is None or plan.privacy.noise == "none":
        return []
    try:
        found = power(plan)
    except PlanError:
        return []  # that no noise gives the claim is found elsewhere
    if found.enough:
        return []
    return [
        f"monitoring: the chance of finding a shift of PSI {SHIFT:g} in a month is {found.chance:.3g}, below "
        f"{LEAST_POWER:g}, by nominal counts ({found.loans:.4g} loans a month in {found.column}, noise of standard "
        f"deviation {found.noise:.3g} in a cell): {_fix(plan, found)}"
    ]


def _fix(plan: Plan, found: Power) -> str:
    privacy = plan.privacy
    mu = gaussian_mu(privacy.epsilon, privacy.delta)

    def at(epsilon: float) -> bool:
        return power(plan, found.noise * mu / gaussian_mu(epsilon, privacy.delta)).enough

    others = (
        "fewer columns or bands in monitoring.by, fewer loans of a person (privacy.max_records_per_person), or more "
        "records"
    )
    if not at(_MOST_EPSILON):
        return f"no privacy.epsilon would do; take {others}"
    low, high = privacy.epsilon, _MOST_EPSILON
    while high / low > 1.005:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if at(middle) else (middle, high)
    return f"raise privacy.epsilon to about {high:.2g}, or take {others}"
