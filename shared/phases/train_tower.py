"""Training: clipped gradients of sampled training records, or noisy local steps."""

from __future__ import annotations

from sealscore.shared.model.weights import MAX_WIDTH
from sealscore.shared.phases.kind import Kind, SummedKind, Written
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.towers import planned_tower


class TrainTower(SummedKind):
    """A record's gradient has at most the clip norm."""

    kind, title = Kind.TRAIN, "Train the tower"
    parts = frozenset({"bins"})
    trains = True
    clips = True
    written = Written.TOWER

    def longest(self, plan: Plan, tower: str) -> int:
        """The widest tower's weights."""
        return _weights(plan, MAX_WIDTH)

    def shortest(self, plan: Plan, tower: str) -> int:
        """The narrowest tower's weights."""
        return _weights(plan, 1)

    def share(self, plan: Plan, tower: str) -> float:
        """As the plan says."""
        return planned_tower(plan, tower).training


def _weights(plan: Plan, width: int) -> int:
    """Weights of a tower that reads codes of that width."""
    return (width + 1) * (plan.model.hidden + 1) + plan.model.hidden
