"""A tower's part of the plan's budget under `training = "auto"`, and how its phases share it: from the plan alone."""

from __future__ import annotations

import math
from collections.abc import Callable

from sealscore.shared.closed_forms import gaussian_mu, kept_probability
from sealscore.shared.model.recipe.budget import FitShares
from sealscore.shared.plan.features import tower_features
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.towers import group_of, planned_tower


def tower_mu(plan: Plan, tower: str) -> float:
    """The tower's budget as that of one Gaussian release of a record, infinite without noise."""
    privacy = plan.privacy
    if privacy.noise == "none":
        return math.inf
    # By date, test persons' figures are paid from the same budget.
    whole = 1 + (privacy.shares.evaluation if plan.evaluation.split.moves else 0.0)
    mu = gaussian_mu(privacy.epsilon, privacy.delta)
    found = planned_tower(plan, tower)
    return mu * math.sqrt(found.part / whole) / plan.multiplicity(found.group)


def label_keep(plan: Plan, tower: str) -> float:
    """The probability with which a label reaches a tower as it is: 1 at lenders."""
    epsilon = plan.privacy.label_epsilon
    return 1.0 if group_of(plan, tower) == plan.lenders or epsilon is None else kept_probability(epsilon)


def fit_shares(plan: Plan, tower: str) -> FitShares:
    """How the tower's phases share its part."""
    found = planned_tower(plan, tower)
    records = sum(plan.nominal_training(party) for party in plan.members(found.group))
    return FitShares.planned(
        records,
        len(tower_features(plan, tower)),
        tower_mu(plan, tower),
        scores=found.scores,
        keep=label_keep(plan, tower),
        counts=found.bins == tower,
    )


def part_of(plan: Plan, tower: str, share: Callable[[FitShares], float]) -> float:
    """The share of a training person's budget that a phase of the tower has."""
    return planned_tower(plan, tower).part * share(fit_shares(plan, tower))
