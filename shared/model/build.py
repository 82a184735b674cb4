"""From the plan to the parts of a model, in the one way that every party and the server must share."""

from __future__ import annotations

from sealscore.shared.model.bins import Binning
from sealscore.shared.model.coding import Coding, Crosses
from sealscore.shared.model.tower import Tower
from sealscore.shared.plan.plan import Plan


def crosses_of(plan: Plan, group: str) -> Crosses:
    """The crosses of a group's tower."""
    return Crosses(plan.groups[group].crosses, plan.model.cross_bins, plan.model.cross_scale)


def coding_of(plan: Plan, group: str, binning: Binning) -> Coding:
    """The coding of a group's records under a binning."""
    return Coding(binning, crosses_of(plan, group))


def initial_tower(plan: Plan, group: str, binning: Binning) -> Tower:
    """The tower of a group before training: its weights follow from the plan alone."""
    return Tower(coding_of(plan, group, binning).width, plan.model.hidden, plan.seed)
