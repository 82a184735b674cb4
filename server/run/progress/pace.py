"""How long a plan takes: exchanges over Flower, and private alignments; and how much of it is left in a run."""

from __future__ import annotations

import math
from typing import Any

from sealscore.shared.crypto.psi_cost import SECONDS_AN_OPERATION, operations
from sealscore.shared.phases.order import Phase, phases
from sealscore.shared.phases.pairs.alignments import alignments
from sealscore.shared.plan.plan import Plan

# One exchange with four parties over Flower on one machine of two cores (`python -m sealscore.simulations.bench
# federation`).
SECONDS_A_ROUND = 2.4


def sums(plan: Plan) -> int:
    """How many sums a plan asks for without a failure, all phases together."""
    return sum(phase.rounds for phase in phases(plan) if not phase.paired)


def payloads(plan: Plan) -> int:
    """How many payloads a plan carries between lenders and platforms, step by step."""
    return sum(exchanges(plan, phase) for phase in phases(plan) if phase.paired)


def exchanges(plan: Plan, phase: Phase) -> int:
    """How often a phase asks without a failure: its rounds, or the steps of all its pairs."""
    if not phase.paired:
        return phase.rounds
    return len(phase.of.gives) * len(plan.members(plan.lenders)) * len(plan.members(phase.group))


def alignment_seconds(plan: Plan, phase: Phase) -> float:
    """Seconds of computing in a phase that aligns privately, on one core of each party, pair after pair; else 0."""
    both = [operations(pair.size, pair.others) for pair in alignments(plan, phase)]
    return SECONDS_AN_OPERATION * sum(map(sum, both))


def duration(plan: Plan, seconds: float = SECONDS_A_ROUND) -> float:
    """Seconds that a plan takes, alignments included, where one exchange with all parties takes so many."""
    aligned = sum(alignment_seconds(plan, phase) for phase in phases(plan))
    return seconds * (sums(plan) + payloads(plan)) + aligned


def minutes(seconds: float) -> str:
    """A duration in words."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Remaining:
    """What is left of a run, by the pace of its rounds so far; an Observer."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._phases = plan, phases(plan)
        self._at, self._done = -1, 0  # phases before it are over; of its exchanges so many are
        self._rounds, self._seconds = 0, 0.0

    def phase(self, phase: Phase) -> None:
        """A phase begins."""
        self._at, self._done = next(i for i, one in enumerate(self._phases) if one.name == phase.name), 0

    def round(self, row: dict[str, Any]) -> None:
        """A round is done."""
        phase = self._phases[self._at]
        if phase.paired:
            self._done = exchanges(self._plan, phase)
            return
        self._done = int(row["round"])
        self._rounds, self._seconds = self._rounds + 1, self._seconds + float(row["seconds"])

    def step(self, phase: Phase, done: int, total: int) -> None:
        """Of a paired phase so many of all payloads were carried."""
        self._done = done

    @property
    def number(self) -> str:
        """Which phase of how many it is at."""
        return f"{self._at + 1} of {len(self._phases)}"

    def seconds(self) -> float:
        """Seconds that are left, without failures."""
        pace = self._seconds / self._rounds if self._rounds else SECONDS_A_ROUND
        left = 0.0
        for index, phase in enumerate(self._phases[max(self._at, 0) :], max(self._at, 0)):
            every = exchanges(self._plan, phase)
            open_ = every - self._done if index == self._at else every
            left += open_ * pace + alignment_seconds(self._plan, phase) * open_ / every
        return left
