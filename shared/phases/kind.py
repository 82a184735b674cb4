"""What all phases have: what is summed or passed on, what one person can move, and what it is called in reports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import ClassVar, Literal

from sealscore.shared.plan.plan import Plan

Side = Literal["lender", "platform"]


class Kind(Enum):
    """What a phase does; a function of that name stands in the coordinator and one at the party."""

    ALIGN = "align"
    BIN = "bin"
    LABELS = "release_labels"
    RATE = "count_outcomes"
    TRAIN = "train_tower"
    FIRST = "fit_features"
    PAIRS = "sum_pairs"
    SECOND = "fit_tables"
    EDGES = "signal_edges"
    SIGNAL = "disclose_signal"
    GROUPS = "disclose_groups"
    REUSE = "reuse_signal"
    CALIBRATE = "calibrate"
    RESIDUALS = "sum_residuals"
    EVALUATE = "evaluate"
    PASSAGES = "count_passages"


class PhaseKind:
    """One kind of phase. What is not said here follows from the kinds below.

    `gives` tells for a paired phase which side gives a payload at each step; after the last one the other side takes.
    `parts` are the published parts that a request must name, `test` whether test persons' records are read, `trains`
    whether records are sampled and clipped, and `clips` whether gradients are clipped, sampled or not.
    """

    kind: ClassVar[Kind]
    title: ClassVar[str]
    gives: ClassVar[tuple[Side, ...]] = ()
    parts: ClassVar[frozenset[str]] = frozenset()
    test: ClassVar[bool] = False
    trains: ClassVar[bool] = False
    clips: ClassVar[bool] = False


class PairedKind(PhaseKind):
    """A lender and a platform pass each other payloads that the server only carries."""


class Written(Enum):
    """How a sum is written in integers, and what float arithmetic adds to it: `shared.dp.measure` has the numbers."""

    COUNTS = "counts"
    TOWER = "clipped gradients of a tower"
    UNITS = "clipped gradients of an additive model's units"
    RESIDUALS = "residuals of the calibration"


class SummedKind(PhaseKind, ABC):
    """A group's parties answer with contributions to a sum.

    Formal guarantees: adding or removing one record of a group moves a party's exact vector by at most `sensitivity`
    in L2 norm, in units of one count, or of the clip norm where it `clips`; `longest` bounds the entries.
    """

    written: ClassVar[Written] = Written.COUNTS

    @abstractmethod
    def longest(self, plan: Plan, tower: str) -> int:
        """An upper bound on the length of the sum, from the plan alone."""

    @abstractmethod
    def share(self, plan: Plan, tower: str) -> float:
        """The share of the budget that the phase of this tower has."""

    def sensitivity(self, plan: Plan, tower: str) -> float:
        """L2 distance that one record can make."""
        return 1.0

    def shortest(self, plan: Plan, tower: str) -> int:
        """A lower bound on the length of the sum."""
        return self.longest(plan, tower)
