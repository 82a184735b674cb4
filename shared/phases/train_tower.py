"""Training: clipped gradients of sampled training records, or noisy local steps."""

from __future__ import annotations

import math

from sealscore.shared.dp.rounding import clip_error, grid_for
from sealscore.shared.model.weights import MAX_WIDTH
from sealscore.shared.phases.kind import Kind, Measure, SummedKind
from sealscore.shared.plan.plan import Plan


class TrainTower(SummedKind):
    """A record's gradient has at most the clip norm."""

    kind, title = Kind.TRAIN, "Train the tower"
    parts = frozenset({"bins"})
    trains = True
    clips = True

    def longest(self, plan: Plan, group: str) -> int:
        """The widest tower's weights."""
        return _weights(plan, MAX_WIDTH)

    def shortest(self, plan: Plan, group: str) -> int:
        """The narrowest tower's weights."""
        return _weights(plan, 1)

    def share(self, plan: Plan, group: str) -> float:
        """What the others leave, the same for all towers."""
        shares = plan.privacy.shares
        signal = shares.signal if plan.platforms else 0.0
        return (1 - shares.bins - shares.calibration - signal) / len(plan.groups)

    def measure(self, plan: Plan, group: str, length: int, records: int) -> Measure:
        """Clipped gradients of a tower, with what float arithmetic and rounding add."""
        clip = plan.clip_norm(group)
        grid = grid_for(clip, length)
        gamma = clip_error(records, length, plan.model.hidden, clip)
        return Measure(grid, clip, clip * (1 + gamma) + grid * math.sqrt(length))


def _weights(plan: Plan, width: int) -> int:
    """Weights of a tower that reads codes of that width."""
    return (width + 1) * (plan.model.hidden + 1) + plan.model.hidden
