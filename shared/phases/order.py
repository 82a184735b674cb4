"""The phases of a plan in the order in which they run: every node refuses any other order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from sealscore.shared.model.recipe.calibrator import ROUNDS as CALIBRATION_ROUNDS
from sealscore.shared.model.recipe.fit import FIRST_ROUNDS, ROUNDS
from sealscore.shared.phases.additive.count_outcomes import CountOutcomes
from sealscore.shared.phases.additive.fit_units import FitFeatures, FitTables, SumPairs
from sealscore.shared.phases.additive.sum_residuals import SumResiduals
from sealscore.shared.phases.additive.tower_budget import fit_shares
from sealscore.shared.phases.align import Align
from sealscore.shared.phases.bin import Bin
from sealscore.shared.phases.calibrate import Calibrate
from sealscore.shared.phases.count_passages import CountPassages
from sealscore.shared.phases.disclose_groups import DiscloseGroups
from sealscore.shared.phases.evaluate import Evaluate
from sealscore.shared.phases.kind import Kind, PairedKind, PhaseKind, SummedKind
from sealscore.shared.phases.release_labels import ReleaseLabels
from sealscore.shared.phases.signal.disclose import DiscloseSignal
from sealscore.shared.phases.signal.edges import SignalEdges
from sealscore.shared.phases.signal.reuse import ReuseSignal
from sealscore.shared.phases.train_tower import TrainTower
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.towers import TowerPlan, planned_tower, towers

KINDS: dict[Kind, PhaseKind] = {
    found.kind: found
    for found in (
        Align(),
        Bin(),
        CountOutcomes(),
        ReleaseLabels(),
        TrainTower(),
        FitFeatures(),
        SumPairs(),
        FitTables(),
        SignalEdges(),
        DiscloseSignal(),
        DiscloseGroups(),
        ReuseSignal(),
        Calibrate(),
        SumResiduals(),
        Evaluate(),
        CountPassages(),
    )
}
"""All kinds of phases: what a new one needs beside its file is a line here, and its method at coordinator and role."""


@dataclass(frozen=True)
class Phase:
    """One phase of one tower: `rounds` sums, for which up to `attempts` answers a party are in the budget.

    The parties of `group` answer; a paired phase belongs to the platforms' group. `steps` counts the mechanism's
    invocations in one answer (above 1 where a party takes local steps). `test` tells whose records a sum reads: test
    persons' or training persons', never both. `codes` tells whether the tower is additive, so that its codes are a part
    of their own.
    """

    kind: Kind
    tower: str
    group: str
    rounds: int = 1
    attempts: int = 1
    steps: int = 1
    codes: bool = False

    @cached_property
    def name(self) -> str:
        """The phase's name in messages, ledgers and reports: `train_tower:lender`."""
        return f"{self.kind.value}:{self.tower}"

    @cached_property
    def of(self) -> PhaseKind:
        """What this kind of phase is."""
        return KINDS[self.kind]

    @cached_property
    def summed(self) -> SummedKind:
        """What this kind of phase sums; TypeError for a paired one."""
        found = self.of
        if not isinstance(found, SummedKind):
            raise TypeError(f"{self.name} has no sum")
        return found

    @cached_property
    def paired(self) -> bool:
        """True where the phase has no sum."""
        return isinstance(self.of, PairedKind)

    @cached_property
    def parts(self) -> frozenset[str]:
        """The published parts that a request of this phase must name."""
        return self.of.parts | {"codes"} if self.codes else self.of.parts

    @cached_property
    def test(self) -> bool:
        """True where the phase sums over test persons' records."""
        return self.of.test


def spare_attempts(rounds: int, fraction: float) -> int:
    """Attempts beyond `rounds` that are in the budget: ceil(fraction * rounds).

    The product is rounded to nine digits first, since 0.05 * 300 must give 15 and not 16.
    """
    if rounds < 0 or not (math.isfinite(fraction) and fraction >= 0):
        raise ValueError(f"rounds and fraction must be at least 0, got {rounds} and {fraction}")
    return math.ceil(round(fraction * rounds, 9))


def phases(plan: Plan) -> tuple[Phase, ...]:
    """All phases of the plan, in order: each kind of platform in turn, then the lenders, then their fallback.

    Where the signals are those of an earlier plan, platforms have one phase, in which they agree; where the scores are,
    they are calibrated and evaluated, and nothing else. A plan of counts has one phase in all.
    """

    auto, kept = plan.training.auto, plan.scores_from is not None

    def summed(kind: Kind, tower: TowerPlan, rounds: int = 1, steps: int = 1, codes: bool = False) -> Phase:
        spare = spare_attempts(rounds, plan.privacy.spare_attempts)
        return Phase(kind, tower.name, tower.group, rounds, rounds + spare, steps, codes)

    if plan.monitoring is not None:
        return (summed(Kind.PASSAGES, planned_tower(plan, plan.lenders)),)

    def training(tower: TowerPlan) -> list[Phase]:
        if auto:
            found = [summed(Kind.FIRST, tower, FIRST_ROUNDS)]
            found += [summed(Kind.PAIRS, tower)] if fit_shares(plan, tower.name).pairs else []
            return [*found, summed(Kind.SECOND, tower, ROUNDS)]
        local = plan.training.local
        return [summed(Kind.TRAIN, tower, plan.training.rounds, local.steps if local else 1)]

    def calibration(tower: TowerPlan) -> list[Phase]:
        if not auto:
            return [summed(Kind.CALIBRATE, tower)]
        worth = kept or fit_shares(plan, tower.name).calibration
        return [summed(Kind.RESIDUALS, tower, CALIBRATION_ROUNDS)] if worth else []

    order: list[Phase] = [summed(Kind.RATE, planned_tower(plan, plan.lenders))] if auto and not kept else []
    for group in plan.platforms:
        if plan.signals_from is not None:
            order.append(Phase(Kind.REUSE, group, group))
            continue
        tower = planned_tower(plan, group)
        order += [
            Phase(Kind.ALIGN, group, group),
            summed(Kind.BIN, tower),
            Phase(Kind.LABELS, group, group),
            *training(tower),
            summed(Kind.EDGES, tower, codes=auto),
            Phase(Kind.SIGNAL, group, group, codes=auto),
        ]
        if plan.groups_at(group):
            order.append(Phase(Kind.GROUPS, group, group))
    for tower in (tower for tower in towers(plan) if tower.scores):
        if not kept:
            order += [summed(Kind.BIN, tower)] if tower.bins == tower.name else []
            order += training(tower)
        order += [*calibration(tower), summed(Kind.EVALUATE, tower, codes=auto)]
    return tuple(order)
