"""The features that a tower reads: its group's own columns, and the signals of platforms."""

from __future__ import annotations

from sealscore.shared.plan.plan import Plan, signal_name
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature
from sealscore.shared.plan.towers import group_of, planned_tower


def signal_feature(plan: Plan, platforms: str) -> CategoricalFeature:
    """The signal of one kind of platform as an ordered feature; it is missing of whom no such platform knows."""
    levels = tuple(str(level) for level in range(plan.model.signal_levels))
    return CategoricalFeature(
        name=signal_name(platforms), levels=levels, ordered=True, missing=True, weight=plan.model.signal_weight
    )


def tower_features(plan: Plan, tower: str) -> tuple[NumericFeature | CategoricalFeature, ...]:
    """The features of a tower, in the order of its code."""
    found = planned_tower(plan, tower)
    own = plan.groups[found.group].table.scored
    return (*own, *(signal_feature(plan, platforms) for platforms in found.signals))


def tower_crosses(plan: Plan, tower: str) -> tuple[tuple[str, str], ...]:
    """The pairs of features whose products enter a tower: those of its group of which it reads both."""
    known = {feature.name for feature in tower_features(plan, tower)}
    return tuple(pair for pair in plan.groups[group_of(plan, tower)].crosses if set(pair) <= known)
