"""How a phase's sum is written in integers: its grid, and what one record moves it by with all that rounding adds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sealscore.shared.dp.clipped_sum import CLIP
from sealscore.shared.dp.clipped_sum import clip_error as units_clip_error
from sealscore.shared.dp.rounding import COUNT_GRID, clip_error, grid_for
from sealscore.shared.model.additive.curve import residual_error
from sealscore.shared.phases.bin_rule import bin_rule
from sealscore.shared.phases.kind import Written
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan


@dataclass(frozen=True)
class Measure:
    """Numbers are multiples of `grid`; one record adds at most `most` to an entry.

    `unit` is what one record moves the rounded sum by, in L2 norm, over the phase's `sensitivity`.
    """

    grid: float
    most: float
    unit: float


def measure(plan: Plan, phase: Phase, length: int, records: int) -> Measure:
    """Of a sum of that length over at most that many records of a party."""
    written = phase.summed.written
    if written is Written.COUNTS:
        return Measure(COUNT_GRID, 1.0, 1.0)
    if written is Written.TOWER:
        clip = plan.clip_norm(phase.group)
        gamma = clip_error(records, length, plan.model.hidden, clip)
    elif written is Written.UNITS:
        clip = CLIP
        gamma = units_clip_error(records, length, max(bin_rule(plan, phase.tower).sizes))
    else:
        clip, gamma = 1.0, residual_error(records)
    grid = grid_for(clip, length)
    return Measure(grid, clip, clip * (1 + gamma) + grid * math.sqrt(length))
