"""The phases of a plan in the order in which they run: every node refuses any other order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sealscore.shared.plan.plan import Plan


class Kind(Enum):
    """What a phase does; a function of that name stands in the coordinator and one at the party.

    In the phases of `PAIRED`, a lender and a platform send each other payloads that the server only carries. In all
    others a group's parties answer with contributions to a sum.
    """

    ALIGN = "align"
    BIN = "bin"
    LABELS = "release_labels"
    TRAIN = "train_tower"
    EDGES = "signal_edges"
    SIGNAL = "disclose_signal"
    GROUPS = "disclose_groups"
    CALIBRATE = "calibrate"
    EVALUATE = "evaluate"


PAIRED = frozenset({Kind.ALIGN, Kind.LABELS, Kind.SIGNAL, Kind.GROUPS})


@dataclass(frozen=True)
class Phase:
    """One phase of one group: `rounds` sums, for which up to `attempts` answers a party are in the budget.

    A paired phase belongs to the platforms' group. `steps` counts the mechanism's invocations in one answer (above 1
    where a party takes local steps). `test` tells whose records a sum reads: test persons' or training persons',
    never both.
    """

    kind: Kind
    group: str
    rounds: int = 1
    attempts: int = 1
    steps: int = 1

    @property
    def name(self) -> str:
        """The phase's name in messages, ledgers and reports: `train_tower:lender`."""
        return f"{self.kind.value}:{self.group}"

    @property
    def paired(self) -> bool:
        """True where the phase has no sum."""
        return self.kind in PAIRED

    @property
    def parts(self) -> frozenset[str]:
        """The published parts that a request of this phase must name."""
        if self.kind is Kind.SIGNAL:
            return frozenset({"bins", "tower", "edges"})
        return frozenset() if self.paired or self.kind is Kind.BIN else frozenset({"bins"})

    @property
    def test(self) -> bool:
        """True where the phase sums over test persons' records."""
        return self.kind is Kind.EVALUATE


def phases(plan: Plan) -> tuple[Phase, ...]:
    """All phases of the plan, in order: each kind of platform in turn, then the lenders."""
    from sealscore.shared.dp.noise_calibration import spare_attempts

    def summed(kind: Kind, group: str, rounds: int = 1, steps: int = 1) -> Phase:
        spare = spare_attempts(rounds, plan.privacy.spare_attempts)
        return Phase(kind, group, rounds, rounds + spare, steps)

    def training(group: str) -> Phase:
        local = plan.training.local
        return summed(Kind.TRAIN, group, plan.training.rounds, local.steps if local else 1)

    order: list[Phase] = []
    for group in plan.platforms:
        order += [
            Phase(Kind.ALIGN, group),
            summed(Kind.BIN, group),
            Phase(Kind.LABELS, group),
            training(group),
            summed(Kind.EDGES, group),
            Phase(Kind.SIGNAL, group),
        ]
        if plan.groups_at(group):
            order.append(Phase(Kind.GROUPS, group))
    lenders = plan.lenders
    order += [summed(Kind.BIN, lenders), training(lenders)]
    order += [summed(Kind.CALIBRATE, lenders), summed(Kind.EVALUATE, lenders)]
    return tuple(order)
