"""Training by the additive recipe: clipped sums of units of features and of pairs, over all training records."""

from __future__ import annotations

from abc import abstractmethod

from sealscore.shared.model.additive.codes import MAX_FACTORS, MAX_UNITS
from sealscore.shared.model.recipe.budget import FitShares
from sealscore.shared.phases.additive.tower_budget import fit_shares, part_of
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

    def share(self, plan: Plan, tower: str) -> float:
        """As the recipe says."""
        return part_of(plan, tower, self.part)

    def shortest(self, plan: Plan, tower: str) -> int:
        """The intercept."""
        return 1


class FitFeatures(AdditiveKind):
    """The first phase: units of features."""

    kind, title = Kind.FIRST, "Fit the features"

    def longest(self, plan: Plan, tower: str) -> int:
        """A unit for each bin, and the intercept."""
        return _units(plan, tower)

    def part(self, shares: FitShares) -> float:
        """See `FitShares`."""
        return shares.first


class SumPairs(AdditiveKind):
    """Units of all pairs, once: whether there is anything in them."""

    kind, title = Kind.PAIRS, "Look for pairs"
    parts = frozenset({"bins", "codes", "pairs"})

    def longest(self, plan: Plan, tower: str) -> int:
        """All products of all pairs."""
        return 1 + _products(plan, tower)

    def part(self, shares: FitShares) -> float:
        """See `FitShares`."""
        return shares.pairs


class FitTables(AdditiveKind):
    """The second phase: units of features, and of pairs where these showed."""

    kind, title = Kind.SECOND, "Fit the tables"

    def longest(self, plan: Plan, tower: str) -> int:
        """Units of features, and all products of pairs where the plan looks for them."""
        return _units(plan, tower) + (_products(plan, tower) if fit_shares(plan, tower).pairs else 0)

    def part(self, shares: FitShares) -> float:
        """See `FitShares`."""
        return shares.second


def _units(plan: Plan, tower: str) -> int:
    return 1 + sum(min(size, MAX_UNITS) for size in bin_rule(plan, tower).sizes)


def _products(plan: Plan, tower: str) -> int:
    features = len(bin_rule(plan, tower).features)
    return features * (features - 1) // 2 * MAX_FACTORS**2
