"""The features that a group's tower reads: its own columns, and at lenders the signals of the platforms."""

from __future__ import annotations

from sealscore.shared.plan.plan import Plan, signal_name
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature


def signal_feature(plan: Plan, platforms: str) -> CategoricalFeature:
    """The signal of one kind of platform as an ordered feature; it is missing of whom no such platform knows."""
    levels = tuple(str(level) for level in range(plan.model.signal_levels))
    return CategoricalFeature(
        name=signal_name(platforms), levels=levels, ordered=True, missing=True, weight=plan.model.signal_weight
    )


def tower_features(plan: Plan, group: str) -> tuple[NumericFeature | CategoricalFeature, ...]:
    """The features of a group's tower, in the order of its code."""
    own = plan.groups[group].table.scored
    if group != plan.lenders:
        return own
    return (*own, *(signal_feature(plan, platforms) for platforms in plan.platforms))
