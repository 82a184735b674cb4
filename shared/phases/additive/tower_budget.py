"""A tower's part of the plan's budget under `training = "auto"`, and how its phases share it: from the plan alone."""

from __future__ import annotations

import math

from sealscore.shared.closed_forms import gaussian_mu, kept_probability
from sealscore.shared.model.recipe.budget import FitShares
from sealscore.shared.plan.features import tower_features
from sealscore.shared.plan.plan import Plan


def tower_part(plan: Plan) -> float:
    """The part of a training person's budget that each tower has, with its bins and its calibration."""
    signal = plan.privacy.shares.signal if plan.platforms else 0.0
    return (1 - signal) / len(plan.groups)


def tower_mu(plan: Plan, group: str) -> float:
    """The tower's budget as that of one Gaussian release of a record, infinite without noise."""
    privacy = plan.privacy
    if privacy.noise == "none":
        return math.inf
    # By date, test persons' figures are paid from the same budget.
    whole = 1 + (privacy.shares.evaluation if plan.evaluation.split.moves else 0.0)
    mu = gaussian_mu(privacy.epsilon, privacy.delta)
    return mu * math.sqrt(tower_part(plan) / whole) / plan.multiplicity(group)


def label_keep(plan: Plan, group: str) -> float:
    """The probability with which a label reaches a group's tower as it is: 1 at lenders."""
    epsilon = plan.privacy.label_epsilon
    return 1.0 if group == plan.lenders or epsilon is None else kept_probability(epsilon)


def fit_shares(plan: Plan, group: str) -> FitShares:
    """How the tower's phases share its part."""
    records = sum(plan.nominal_training(party) for party in plan.members(group))
    return FitShares.planned(
        records,
        len(tower_features(plan, group)),
        tower_mu(plan, group),
        scores=group == plan.lenders,
        keep=label_keep(plan, group),
    )
