"""From the plan to the parts of a model, in the one way that every party and the server must share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealscore.shared.model.bins import Binning
from sealscore.shared.model.coding import Coding, Crosses
from sealscore.shared.plan.features import tower_crosses
from sealscore.shared.plan.plan import Plan

if TYPE_CHECKING:
    from sealscore.shared.model.tower import Tower


def crosses_of(plan: Plan, tower: str) -> Crosses:
    """The crosses of a tower."""
    return Crosses(tower_crosses(plan, tower), plan.model.cross_bins, plan.model.cross_scale)


def coding_of(plan: Plan, tower: str, binning: Binning) -> Coding:
    """The coding of records for a tower under a binning."""
    return Coding(binning, crosses_of(plan, tower))


def initial_tower(plan: Plan, tower: str, binning: Binning) -> Tower:
    """A tower before training: its weights follow from the plan alone."""
    # Late, since it brings torch: most commands read a release or a plan without it.
    from sealscore.shared.model.tower import Tower

    return Tower(coding_of(plan, tower, binning).width, plan.model.hidden, plan.seed)
