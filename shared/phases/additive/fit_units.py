"""Training by the additive recipe: clipped sums of units of features and of pairs, over all training records."""

from __future__ import annotations

from abc import abstractmethod

from sealscore.shared.model.additive.codes import MAX_FACTORS, MAX_UNITS
from sealscore.shared.model.recipe.budget import FitShares
from sealscore.shared.phases.additive.tower_budget import fit_shares, tower_part
from sealscore.shared.phases.bin_rule import bin_rule
from sealscore.shared.phases.kind import Kind, SummedKind, Written
from sealscore.shared.plan.plan import Plan


class AdditiveKind(SummedKind):
    """A record's gradient has at most the clip norm, whatever codes a server publishes."""

    parts = frozenset({"bins", "codes"})
    clips = True
    written = Written.UNITS

    @abstractmethod
    def part(self, shares: FitShares) -> float:
        """The phase's share of the tower's part."""

    def share(self, plan: Plan, group: str) -> float:
        """As the recipe says."""
        return tower_part(plan) * self.part(fit_shares(plan, group))

    def shortest(self, plan: Plan, group: str) -> int:
        """The intercept."""
        return 1


class FitFeatures(AdditiveKind):
    """The first phase: units of features."""

    kind, title = Kind.FIRST, "Fit the features"

    def longest(self, plan: Plan, group: str) -> int:
        """A unit for each bin, and the intercept."""
        return _units(plan, group)

    def part(self, shares: FitShares) -> float:
        """See `FitShares`."""
        return shares.first


class SumPairs(AdditiveKind):
    """Units of all pairs, once: whether there is anything in them."""

    kind, title = Kind.PAIRS, "Look for pairs"
    parts = frozenset({"bins", "codes", "pairs"})

    def longest(self, plan: Plan, group: str) -> int:
        """All products of all pairs."""
        return 1 + _products(plan, group)

    def part(self, shares: FitShares) -> float:
        """See `FitShares`."""
        return shares.pairs


class FitTables(AdditiveKind):
    """The second phase: units of features, and of pairs where these showed."""

    kind, title = Kind.SECOND, "Fit the tables"

    def longest(self, plan: Plan, group: str) -> int:
        """Units of features, and all products of pairs where the plan looks for them."""
        return _units(plan, group) + (_products(plan, group) if fit_shares(plan, group).pairs else 0)

    def part(self, shares: FitShares) -> float:
        """See `FitShares`."""
        return shares.second


def _units(plan: Plan, group: str) -> int:
    return 1 + sum(min(size, MAX_UNITS) for size in bin_rule(plan, group).sizes)


def _products(plan: Plan, group: str) -> int:
    features = len(bin_rule(plan, group).features)
    return features * (features - 1) // 2 * MAX_FACTORS**2
